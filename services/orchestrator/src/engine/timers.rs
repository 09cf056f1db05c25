//! Timers: those due soon are in memory, all are in the store.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use planaria_kernel::workflow::Input;
use planaria_runtime::clock::now_ms;

use super::entry::{Mail, MailKind};
use super::{Engine, Internal};
use crate::store::TimerKey;

/// The timers in memory.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, TimerKey)>>,
    /// When each is due; an entry of the heap that says otherwise is of a timer that is no more.
    armed: HashMap<TimerKey, u64>,
}

/// Timers taken from the store at once.
const SCANNED_MAX: u32 = 10_000;

impl Timers {
    pub(crate) fn arm(&mut self, key: TimerKey, due_ms: u64) {
        if self.armed.insert(key, due_ms) != Some(due_ms) {
            self.heap.push(Reverse((due_ms, key)));
        }
    }

    pub(crate) fn disarm(&mut self, key: &TimerKey) {
        self.armed.remove(key);
    }

    /// Disarms all of a workflow.
    pub(crate) fn forget(&mut self, workflow: uuid::Uuid) {
        self.armed.retain(|key, _| key.task.workflow != workflow);
    }

    pub(crate) fn is_armed(&self, key: &TimerKey) -> bool {
        self.armed.contains_key(key)
    }

    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due_ms, _))| *due_ms)
    }

    /// Takes out the first timer that is due.
    fn pop_due(&mut self, now_ms: u64) -> Option<TimerKey> {
        while let Some(Reverse((due_ms, key))) = self.heap.peek().copied() {
            if due_ms > now_ms {
                return None;
            }
            self.heap.pop();
            if self.armed.get(&key) == Some(&due_ms) {
                self.armed.remove(&key);
                return Some(key);
            }
        }
        None
    }
}

impl Engine {
    pub(super) fn fire_due_timers(&mut self) {
        let now_ms = now_ms();
        while let Some(key) = self.timers.pop_due(now_ms) {
            let input = Input::TimerFired { frame: key.task.frame, timer: key.timer };
            self.mail.push_back((key.task.workflow, Mail::quiet(MailKind::Input(input))));
        }
    }

    /// Asks the store for timers that come within the horizon.
    pub(super) fn scan_timers(&self) {
        let before_ms = now_ms() + self.parts.config.timer_horizon_ms;
        let (store, inner) = (self.parts.store.clone(), self.inner.clone());
        tokio::spawn(async move {
            match store.timers_before(before_ms, SCANNED_MAX).await {
                Ok(timers) => drop(inner.send(Internal::Timers(timers))),
                Err(error) => planaria_store::tell("timers cannot be read", &error),
            }
        });
    }

    pub(super) fn arm_scanned(&mut self, timers: &[(TimerKey, u64)]) {
        for (key, due_ms) in timers {
            // The scan may be older than what is in memory.
            if self.is_wanted(key, *due_ms) {
                self.timers.arm(*key, *due_ms);
            }
        }
        if timers.len() >= SCANNED_MAX as usize {
            self.next_scan = tokio::time::Instant::now() + Duration::from_millis(100);
        }
    }

    fn is_wanted(&self, key: &TimerKey, due_ms: u64) -> bool {
        match self.slots.get(&key.task.workflow) {
            Some(super::entry::Slot::Live(entry)) => {
                entry.timers.get(&(key.task.frame, key.timer)) == Some(&due_ms)
            }
            _ => true,
        }
    }
}
