//! What a subscriber gets.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// One item of a [`Subscription`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Somebody published.
    News {
        /// On this topic.
        topic: Arc<str>,
        /// These bytes.
        body: Bytes,
    },
    /// Something may have been missed: look for yourself.
    Gap,
}

/// A stream of hints. Dropping it ends it.
#[derive(Debug)]
#[must_use = "a subscription that nobody polls only misses hints"]
pub struct Subscription {
    receiver: mpsc::Receiver<Hint>,
    /// Hints were dropped because this subscriber was too slow.
    missed: Arc<AtomicBool>,
    /// In a group: where to say that the last hint is dealt with.
    acknowledge: Option<mpsc::Sender<()>>,
    owed: bool,
}

impl Subscription {
    pub(crate) fn new(receiver: mpsc::Receiver<Hint>, missed: Arc<AtomicBool>) -> Self {
        Self { receiver, missed, acknowledge: None, owed: false }
    }

    pub(crate) fn acknowledging(self, acknowledge: mpsc::Sender<()>) -> Self {
        Self { acknowledge: Some(acknowledge), ..self }
    }

    fn acknowledge_last(&mut self) {
        if let Some(acknowledge) = &self.acknowledge
            && std::mem::take(&mut self.owed)
        {
            // It has room: one hint is open at a time. Or the other side is gone, with the bus.
            let _unheard = acknowledge.try_send(());
        }
    }
}

impl Stream for Subscription {
    type Item = Hint;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Hint>> {
        let this = self.get_mut();
        this.acknowledge_last();
        if this.missed.swap(false, Ordering::AcqRel) {
            return Poll::Ready(Some(Hint::Gap));
        }
        let polled = this.receiver.poll_recv(context);
        if let Poll::Ready(Some(Hint::News { .. })) = &polled {
            this.owed = true;
        }
        polled
    }
}
