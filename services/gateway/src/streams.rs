//! Runs the calls of one connection in the connection's own task.
//!
//! Calls that a service answers together are then written together, and none of them crosses
//! from thread to thread on its way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;

use crate::leash;

/// Where HTTP puts the calls that it has accepted; cheap to clone, all clones are one.
#[derive(Clone)]
pub(crate) struct Streams {
    accepted: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
    /// A call whose client takes nothing of its answer for so long is dropped.
    unread_max: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, call: F) {
        let held = leash::hold(call, self.unread_max);
        let call = Box::pin(async move {
            // Dropped or over: it has nothing to say.
            let _over = held.await;
        });
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

impl Streams {
    pub(crate) fn new(unread_max: Duration) -> Self {
        Self { accepted: Arc::default(), unread_max }
    }

    /// Drives a connection and its calls until the connection ends; the calls end with it.
    pub(crate) async fn drive<C: Future + Unpin>(&self, mut connection: C) -> C::Output {
        let mut open = FuturesUnordered::new();
        poll_fn(|context| {
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(context) {
                return Poll::Ready(result);
            }
            open.extend(self.accepted.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
            // What a call writes wakes the connection, and with it this task.
            while let Poll::Ready(Some(())) = open.poll_next_unpin(context) {}
            Poll::Pending
        })
        .await
    }
}
