//! The worker's own thread: the session's life, heartbeats, renewals, and the leaving.
//!
//! It is an operating system's thread with a runtime and a connection of its own, because a
//! function that keeps the program's threads busy must not silence the heart: silence is what a
//! dead worker sounds like. (That is why heartbeats do not share the connection of pulls and
//! reports either: its I/O runs on the program's threads.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use tokio::sync::oneshot;

use super::core::{Core, Session};
use super::execute::release;
use super::heartbeat::Heart;
use super::lease;
use super::session;
use crate::Error;
use crate::channel::Channel;

/// Functions that were told to stop have this long before their attempts go back regardless.
const STOP_MAX: Duration = Duration::from_millis(300);

/// Starts the thread; the receiver gets its outcome.
pub(crate) fn start(core: Arc<Core>) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
    let (ended, outcome) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Io { what: "starting the heartbeat's runtime", source })?;
    let run = move || {
        let result = runtime.block_on(async {
            tokio::select! {
                () = core.over.cancelled() => Ok(()),
                result = control(&core) => result,
            }
        });
        // Nobody listens if the run was dropped.
        let _unheard = ended.send(result);
    };
    thread::Builder::new()
        .name("planaria-heart".to_owned())
        .spawn(run)
        .map_err(|source| Error::Io { what: "starting the heartbeat's thread", source })?;
    Ok(outcome)
}

/// Why a session ended.
enum End {
    Gone,
    Left,
    Failed(Error),
}

async fn control(core: &Core) -> Result<(), Error> {
    let mut client = TaskServiceClient::new(core.address.open());
    let heart = Heart::default();
    loop {
        let session = tokio::select! {
            // Nothing is held without a session, so there is nothing to hand back.
            () = core.draining.cancelled() => return Ok(()),
            session = session::open(core, &mut client) => Arc::new(session?),
        };
        tracing::info!(session = %session.id, worker = core.identity.worker_id, "session open");
        core.session.send_replace(Some(Arc::clone(&session)));
        let end = live(core, &session, &heart, &client).await;
        match end {
            End::Gone => {
                tracing::warn!(session = %session.id, "the session is gone, opening a new one");
                core.session.send_replace(None);
                core.inventory.abandon_all();
            }
            End::Left => {
                core.inventory.abandon_all();
                return Ok(());
            }
            End::Failed(error) => {
                core.session.send_replace(None);
                core.inventory.abandon_all();
                return Err(error);
            }
        }
    }
}

async fn live(
    core: &Core,
    session: &Session,
    heart: &Heart,
    client: &TaskServiceClient<Channel>,
) -> End {
    let (mut refreshing, mut renewing, mut closing) =
        (client.clone(), client.clone(), client.clone());
    let leaving = AtomicBool::new(false);
    // It beats until the goodbye was heard: a silence before that is what a dead worker sounds
    // like.
    let leave = async {
        drained(core).await;
        leaving.store(true, Ordering::Relaxed);
        core.session.send_replace(None);
        session::close(session, &mut closing).await;
    };
    let end = tokio::select! {
        biased;
        () = leave => End::Left,
        () = session.gone.cancelled() => End::Gone,
        () = heart.beat(core, session) => End::Gone,
        () = lease::fence(core, &session.lease) => End::Gone,
        () = lease::renew(core, session, &mut renewing) => End::Gone,
        error = session::refresh(core, session, &mut refreshing) => End::Failed(error),
    };
    // Gone is what it wanted to be.
    if leaving.load(Ordering::Relaxed) { End::Left } else { end }
}

/// Waits for the wish to leave, then until nothing is left to report.
async fn drained(core: &Core) {
    core.draining.cancelled().await;
    core.beat_soon.notify_one();
    let patience = core.patience;
    if tokio::time::timeout(patience.drain_grace, core.inventory.emptied()).await.is_ok() {
        return;
    }
    for attempt in core.inventory.snapshot() {
        if !attempt.has_ended() {
            attempt.hand_back();
        }
    }
    let stopped = tokio::time::timeout(STOP_MAX, core.inventory.emptied()).await;
    if stopped.is_ok() {
        return;
    }
    for attempt in core.inventory.snapshot() {
        // Functions that keep their thread cannot be stopped: their attempts go back as they are.
        let released = release(&attempt);
        core.end(attempt, released);
    }
    let left = tokio::time::timeout(patience.drain_max, core.inventory.emptied()).await;
    if left.is_err() {
        tracing::warn!(attempts = core.inventory.len(), "left with results unreported");
    }
}
