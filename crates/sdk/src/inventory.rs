//! Every attempt that this worker has: running, or ended and not yet acknowledged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use planaria_proto::task::v1::Assignment;
use tokio::sync::Notify;

use crate::attempt::Attempt;

/// Shared by those who pull, execute, report and beat. An attempt that is not in here any more is
/// forgotten: whatever its function still does, its result goes nowhere.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    attempts: Mutex<HashMap<String, Arc<Attempt>>>,
    emptied: Notify,
}

impl Inventory {
    fn attempts(&self) -> MutexGuard<'_, HashMap<String, Arc<Attempt>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an assignment in; none if it is here already (it was delivered twice).
    pub(crate) fn add(&self, assignment: Assignment, session: &Arc<str>) -> Option<Arc<Attempt>> {
        let mut attempts = self.attempts();
        if attempts.contains_key(&assignment.attempt_id) {
            return None;
        }
        let attempt = Arc::new(Attempt::new(assignment, Arc::clone(session)));
        attempts.insert(attempt.id().to_owned(), Arc::clone(&attempt));
        Some(attempt)
    }

    /// Whether this very attempt is still here.
    pub(crate) fn holds(&self, attempt: &Arc<Attempt>) -> bool {
        self.attempts().get(attempt.id()).is_some_and(|held| Arc::ptr_eq(held, attempt))
    }

    /// Forgets attempts whose results were acknowledged, or can never be.
    pub(crate) fn settle<'a>(&self, settled: impl Iterator<Item = &'a Arc<Attempt>>) {
        let mut attempts = self.attempts();
        for attempt in settled {
            if attempts.get(attempt.id()).is_some_and(|held| Arc::ptr_eq(held, attempt)) {
                attempts.remove(attempt.id());
            }
        }
        let emptied = attempts.is_empty();
        drop(attempts);
        if emptied {
            self.emptied.notify_waiters();
        }
    }

    /// Stops and forgets these; the unknown ones are forgotten already.
    pub(crate) fn abandon(&self, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        let found: Vec<_> = {
            let attempts = self.attempts();
            ids.iter().filter_map(|id| attempts.get(id)).cloned().collect()
        };
        self.cancel(&found);
    }

    /// Stops and forgets all.
    pub(crate) fn abandon_all(&self) {
        self.cancel(&self.snapshot());
    }

    /// Stops and forgets all that still run. Ended ones keep their results: they are facts, and
    /// the engine judges whether they still count.
    pub(crate) fn abandon_running(&self) -> usize {
        let mut running = self.snapshot();
        running.retain(|attempt| !attempt.has_ended());
        self.cancel(&running);
        running.len()
    }

    /// Forgotten first, so that no result slips out between the two.
    fn cancel(&self, abandoned: &[Arc<Attempt>]) {
        self.settle(abandoned.iter());
        for attempt in abandoned {
            attempt.cancel.cancel();
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<Arc<Attempt>> {
        self.attempts().values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.attempts().len()
    }

    /// Waits until there is none.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(id: &str) -> Assignment {
        Assignment { attempt_id: id.to_owned(), ..Assignment::default() }
    }

    #[test]
    fn a_second_delivery_is_not_a_second_attempt() {
        let inventory = Inventory::default();
        let session: Arc<str> = "s".into();
        assert!(inventory.add(assignment("a"), &session).is_some());
        assert!(inventory.add(assignment("a"), &session).is_none());
    }

    #[test]
    fn a_forgotten_attempt_does_not_settle_its_successor() {
        let inventory = Inventory::default();
        let session: Arc<str> = "s".into();
        let first = inventory.add(assignment("a"), &session).expect("new");
        inventory.abandon(&["a".to_owned(), "unknown".to_owned()]);
        assert!(first.cancel.is_cancelled() && !inventory.holds(&first));
        let second = inventory.add(assignment("a"), &session).expect("new again");
        inventory.settle([&first].into_iter());
        assert!(inventory.holds(&second));
    }

    #[test]
    fn fencing_keeps_the_results_of_ended_attempts() {
        let inventory = Inventory::default();
        let session: Arc<str> = "s".into();
        let ended = inventory.add(assignment("ended"), &session).expect("new");
        let running = inventory.add(assignment("running"), &session).expect("new");
        assert!(ended.end() && !ended.end());
        assert_eq!(inventory.abandon_running(), 1);
        assert!(inventory.holds(&ended) && !inventory.holds(&running));
    }
}
