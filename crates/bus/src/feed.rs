//! The giving side of a subscription.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::{Counters, Hint, Subscription};

/// Gives hints to one subscriber and never waits for it, unless told to.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: mpsc::Sender<Hint>,
    missed: Arc<AtomicBool>,
    counters: Counters,
}

/// A subscription and its other end; `queue_max` hints wait in between.
pub(crate) fn feed(queue_max: usize, counters: Counters) -> (Feed, Subscription) {
    let (sender, receiver) = mpsc::channel(queue_max.max(1));
    let missed = Arc::new(AtomicBool::new(false));
    let subscription = Subscription::new(receiver, Arc::clone(&missed));
    (Feed { sender, missed, counters }, subscription)
}

/// A subscription that holds one hint at a time and says when it is done with it.
pub(crate) fn group_feed(counters: Counters) -> (Feed, mpsc::Receiver<()>, Subscription) {
    let (feed, subscription) = feed(1, counters);
    let (acknowledge, acknowledged) = mpsc::channel(1);
    (feed, acknowledged, subscription.acknowledging(acknowledge))
}

impl Feed {
    /// Gives it, or drops it for a subscriber whose queue is full. False: the subscriber is gone.
    pub(crate) fn offer(&self, hint: Hint) -> bool {
        match self.sender.try_send(hint) {
            Ok(()) => {
                self.counters.received.inc();
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                // Set after the loss: whoever takes the mark looks later than what was lost.
                self.missed.store(true, Ordering::Release);
                self.counters.missed.inc();
            }
        }
        true
    }

    /// Tells that something may have been missed. False: the subscriber is gone.
    pub(crate) fn gap(&self) -> bool {
        self.counters.gaps.inc();
        match self.sender.try_send(Hint::Gap) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.missed.store(true, Ordering::Release);
                true
            }
        }
    }

    /// Gives it as soon as there is room. False: the subscriber is gone.
    pub(crate) async fn give(&self, hint: Hint) -> bool {
        self.counters.received.inc();
        self.sender.send(hint).await.is_ok()
    }

    /// Whether the subscriber is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns when the subscriber is gone.
    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}
