//! A group of consumers in the process: one queue, each hint to one of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use crate::feed::Feed;
use crate::{Counters, Hint};

/// What waits for the consumers of a group.
#[derive(Debug)]
pub(super) struct GroupQueue {
    waiting: Mutex<VecDeque<Bytes>>,
    arrived: Notify,
    /// A hint was dropped and no consumer knows yet.
    gap: AtomicBool,
    queue_max: usize,
    counters: Counters,
}

impl GroupQueue {
    pub(super) fn new(queue_max: usize, counters: Counters) -> Self {
        Self {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            gap: AtomicBool::new(false),
            queue_max,
            counters,
        }
    }

    pub(super) fn push(&self, body: Bytes) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= self.queue_max {
            drop(waiting);
            self.counters.missed.inc();
            return self.lost();
        }
        waiting.push_back(body);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// A hint for this group was dropped.
    pub(super) fn lost(&self) {
        self.gap.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    fn put_back(&self, body: Bytes) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_front(body);
        self.arrived.notify_one();
    }

    /// The next body, or nothing for a gap.
    async fn next(&self) -> Option<Bytes> {
        loop {
            if self.gap.swap(false, Ordering::AcqRel) {
                return None;
            }
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if next.is_some() {
                return next;
            }
            // A notification without a waiter is kept, so none is lost in between.
            self.arrived.notified().await;
        }
    }
}

/// Gives one consumer one hint after the other until it goes.
pub(super) async fn pump(
    queue: Arc<GroupQueue>,
    topic: Arc<str>,
    feed: Feed,
    mut acknowledged: mpsc::Receiver<()>,
) {
    feed.gap();
    loop {
        let next = tokio::select! {
            next = queue.next() => next,
            () = feed.closed() => break,
        };
        let Some(body) = next else {
            feed.gap();
            continue;
        };
        let hint = Hint::News { topic: Arc::clone(&topic), body: body.clone() };
        if !feed.give(hint).await || acknowledged.recv().await.is_none() {
            queue.put_back(body);
            break;
        }
    }
    // Whoever goes may have taken a notification that was meant for the others.
    queue.arrived.notify_one();
}
