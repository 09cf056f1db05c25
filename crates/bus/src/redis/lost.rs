//! Topics whose subscribers must be told that hints were lost on the way to the server.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// More topics than this are not remembered: their subscribers find out at their own pace.
const TOPICS_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Lost {
    topics: Mutex<HashSet<String>>,
}

impl Lost {
    pub(super) fn add(&self, topic: &str) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.len() < TOPICS_MAX && !topics.contains(topic) {
            topics.insert(topic.to_owned());
        }
    }

    /// Takes all of them.
    pub(super) fn take(&self) -> HashSet<String> {
        std::mem::take(&mut *self.topics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
