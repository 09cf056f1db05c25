//! Verdicts that no orchestrator has accepted yet.

use std::collections::BTreeMap;

use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;

/// In the order they were pronounced; repeating one is harmless, so none is kept after it was
/// accepted.
#[derive(Debug)]
pub(crate) struct Verdicts {
    waiting: BTreeMap<u64, Verdict>,
    next: u64,
    count_max: usize,
}

impl Verdicts {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { waiting: BTreeMap::new(), next: 0, count_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// If there are too many, the oldest is dropped: by now the lease decides.
    pub(crate) fn add(&mut self, verdict: Verdict) {
        if self.waiting.len() >= self.count_max
            && let Some((_, dropped)) = self.waiting.pop_first()
        {
            tracing::warn!(session_id = dropped.session_id, "verdict left to the lease");
        }
        self.waiting.insert(self.next, verdict);
        self.next += 1;
    }

    /// The oldest ones, with their numbers.
    pub(crate) fn first(&self, count: usize) -> Vec<(u64, Verdict)> {
        self.waiting.iter().take(count).map(|(number, each)| (*number, each.clone())).collect()
    }

    pub(crate) fn remove(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.waiting.remove(number);
        }
    }

    /// The session is over for the orchestrators: nothing about it need be said.
    pub(crate) fn forget(&mut self, session_id: &str) {
        self.waiting.retain(|_, verdict| verdict.session_id != session_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(session: &str) -> Verdict {
        Verdict { session_id: session.into(), ..Verdict::default() }
    }

    #[test]
    fn the_oldest_go_first_and_make_room_first() {
        let mut verdicts = Verdicts::new(2);
        for session in ["a", "b", "c"] {
            verdicts.add(verdict(session));
        }
        let first = verdicts.first(1);
        assert_eq!(first[0].1.session_id, "b");
        verdicts.remove(&[first[0].0]);
        verdicts.forget("c");
        assert_eq!(verdicts.len(), 0);
    }
}
