//! The one stream of a page: opened when the page is seen, closed when it is hidden or left, and
//! opened again when it breaks.
//!
//! A browser has six connections to an origin without TLS, so a page follows the mesh by one stream
//! and asks for everything else by calls that end.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{AbortHandle, Either, abortable, select};
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use tonic::{Response, Status, Streaming};

use super::{Failure, visibility};

/// Between two tries to open a stream; doubled from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How the page's stream is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Link {
    /// This page follows nothing.
    #[default]
    None,
    Connecting,
    Live,
    /// The page is hidden.
    Paused,
    /// It is tried again soon.
    Lost(Failure),
}

/// What a stream tells its page.
pub(crate) enum Told<M> {
    /// It is open (again): what is asked for now misses nothing that is told later.
    Opened,
    Message(M),
}

/// Whether a page goes on following.
pub(crate) enum Next {
    On,
    /// That was all: what is followed has ended.
    Over,
}

/// Follows a stream for as long as the calling component is shown. Tells how it is in the
/// application's `RwSignal<Link>`.
pub(crate) fn follow<M, O, F>(open: O, mut tell: impl FnMut(Told<M>) + 'static)
where
    M: 'static,
    O: Fn() -> F + 'static,
    F: Future<Output = Result<Response<Streaming<M>>, Status>> + 'static,
{
    follow_to_end(open, move |told| {
        tell(told);
        Next::On
    });
}

/// Follows a stream that can end for good. It is opened once more when somebody comes back to the
/// page: what had ended may go on.
pub(crate) fn follow_to_end<M, O, F>(open: O, mut tell: impl FnMut(Told<M>) -> Next + 'static)
where
    M: 'static,
    O: Fn() -> F + 'static,
    F: Future<Output = Result<Response<Streaming<M>>, Status>> + 'static,
{
    let link = expect_context::<RwSignal<Link>>();
    let (task, abort): (_, AbortHandle) = abortable(async move {
        let mut pause = PAUSE_MIN;
        loop {
            visibility::until(true).await;
            link.set(Link::Connecting);
            let status = match open().await {
                Ok(stream) => {
                    pause = PAUSE_MIN;
                    link.set(Link::Live);
                    let _ = tell(Told::Opened);
                    match read(stream.into_inner(), &mut tell).await {
                        End::Broken(status) => status,
                        End::Hidden => {
                            link.set(Link::Paused);
                            continue;
                        }
                        End::Over => {
                            link.set(Link::None);
                            visibility::until(false).await;
                            continue;
                        }
                    }
                }
                Err(status) => status,
            };
            link.set(Link::Lost(status.into()));
            TimeoutFuture::new(pause.as_millis() as u32).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    });
    spawn_local(async move {
        // Aborted when the page is left: that is how it always ends.
        let _ = task.await;
    });
    on_cleanup(move || {
        abort.abort();
        link.try_set(Link::None);
    });
}

/// Why nothing more is read.
enum End {
    Broken(Status),
    Hidden,
    Over,
}

async fn read<M>(mut stream: Streaming<M>, tell: &mut impl FnMut(Told<M>) -> Next) -> End {
    let mut hidden = pin!(visibility::until(false));
    loop {
        match select(pin!(stream.message()), &mut hidden).await {
            Either::Left((Ok(Some(message)), _)) => {
                if let Next::Over = tell(Told::Message(message)) {
                    return End::Over;
                }
            }
            Either::Left((Ok(None), _)) => {
                return End::Broken(Status::unavailable("the stream ended"));
            }
            Either::Left((Err(status), _)) => return End::Broken(status),
            Either::Right(((), _)) => return End::Hidden,
        }
    }
}
