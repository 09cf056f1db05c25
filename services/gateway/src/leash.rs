//! Ends a call whose client takes nothing of its answer.
//!
//! Such a call waits below its body, where nobody asks the body for more: not even the end of the
//! caller's key would be seen. So the future that HTTP made of the call is held on a leash: its
//! body says whose turn it is, and when it is the client's for too long, or its key has ended, the
//! future is dropped, which resets the stream.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A client that reads after all is told within this that its key has ended.
const FAREWELL: Duration = Duration::from_secs(1);

tokio::task_local! {
    static CALL: Arc<Call>;
}

/// What a call's body says on its way.
#[derive(Debug, Default)]
struct Call {
    /// It gave something that the client has to take before it is asked for more.
    is_clients_turn: AtomicBool,
    /// Counts what it gave.
    given: AtomicU64,
    /// Cancelled when the caller's key ends.
    over: Mutex<Option<CancellationToken>>,
}

/// The body gave something, or waits for the service.
pub(crate) fn note(is_clients_turn: bool) {
    // Nothing holds the calls of an HTTP/1.1 client that is turned away.
    let _unheld = CALL.try_with(|call| {
        call.is_clients_turn.store(is_clients_turn, Ordering::Relaxed);
        if is_clients_turn {
            call.given.fetch_add(1, Ordering::Relaxed);
        }
    });
}

/// The call ends with this.
pub(crate) fn ends_with(over: &CancellationToken) {
    let _unheld = CALL.try_with(|call| {
        *call.over.lock().unwrap_or_else(PoisonError::into_inner) = Some(over.clone());
    });
}

/// Holds a call until it is over; nothing, if it was dropped before.
pub(crate) async fn hold<F: Future>(call: F, unread_max: Duration) -> Option<F::Output> {
    let mut call = pin!(call);
    let mut leash = Leash::new(unread_max);
    poll_fn(|context| {
        let said = Arc::clone(&leash.call);
        if let Poll::Ready(output) = CALL.sync_scope(said, || call.as_mut().poll(context)) {
            return Poll::Ready(Some(output));
        }
        leash.poll(context).map(|()| None)
    })
    .await
}

struct Leash {
    call: Arc<Call>,
    unread_max: Duration,
    /// Runs while the client takes nothing, from what was given last.
    unread: Option<(Pin<Box<Sleep>>, u64)>,
    over: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    farewell: Option<Pin<Box<Sleep>>>,
}

impl Leash {
    fn new(unread_max: Duration) -> Self {
        Self { call: Arc::default(), unread_max, unread: None, over: None, farewell: None }
    }

    /// Ready when the call must be dropped. While it is not the client's turn the body sees to
    /// that by itself.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.call.is_clients_turn.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if self.poll_unread(context).is_ready() {
            tracing::info!(after = ?self.unread_max, "call cut: its client takes nothing of it");
            return Poll::Ready(());
        }
        self.poll_over(context)
    }

    fn poll_unread(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let given = self.call.given.load(Ordering::Relaxed);
        let unread_max = self.unread_max;
        let (clock, since) =
            self.unread.get_or_insert_with(|| (Box::pin(sleep(unread_max)), given));
        if *since != given {
            clock.as_mut().reset(Instant::now() + unread_max);
            *since = given;
        }
        clock.as_mut().poll(context)
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.over.is_none() {
            let over = self.call.over.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.over = over.map(|over| Box::pin(over.cancelled_owned()));
        }
        let Some(over) = &mut self.over else { return Poll::Pending };
        if self.farewell.is_none() {
            ready!(over.as_mut().poll(context));
        }
        let farewell = self.farewell.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
        farewell.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const UNREAD_MAX: Duration = Duration::from_secs(60);

    async fn pause_of(seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// A call that gives something after each of these pauses, and then waits.
    async fn gives(pauses: &[u64], last_is_clients_turn: bool) {
        for pause in pauses {
            pause_of(*pause).await;
            note(true);
        }
        note(last_is_clients_turn);
        pending().await
    }

    /// When a call was dropped, in seconds from its beginning.
    async fn dropped_after(call: impl Future<Output = ()>) -> Option<u64> {
        let began = Instant::now();
        let held = hold(call, UNREAD_MAX);
        let day = Duration::from_secs(86_400);
        let outcome = tokio::time::timeout(day, held).await.ok()?;
        assert_eq!(outcome, None);
        Some(began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_dropped_when_its_client_takes_nothing_for_long() {
        assert_eq!(dropped_after(gives(&[5], true)).await, Some(65));
        // Each piece that is taken gives it time.
        assert_eq!(dropped_after(gives(&[0, 50, 50, 50], true)).await, Some(210));
        // A service may take as long as it likes.
        assert_eq!(dropped_after(gives(&[5, 5], false)).await, None);
        assert_eq!(hold(async { note(true) }, UNREAD_MAX).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_key_has_ended_is_dropped_soon() {
        for (pauses, expected) in [(vec![1], Some(11)), (vec![], None)] {
            let key = CancellationToken::new();
            let over = key.clone();
            tokio::spawn(async move {
                pause_of(10).await;
                over.cancel();
            });
            let call = async {
                ends_with(&key);
                gives(&pauses, !pauses.is_empty()).await;
            };
            // Where the service has the turn, the body ends the call itself.
            assert_eq!(dropped_after(call).await, expected, "{pauses:?}");
        }
    }
}
