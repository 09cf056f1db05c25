//! Per-attempt progress deadlines: they catch a worker that beats while its function hangs.

use std::collections::BTreeMap;

/// What a heartbeat says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptReport {
    /// Names the attempt.
    pub attempt_id: String,
    /// Rises whenever the function made progress.
    pub progress_count: u64,
    /// The longest silence between two progress reports; `None` = none asked for.
    pub progress_timeout_ms: Option<u64>,
}

/// When each attempt of a session last made progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    marks: BTreeMap<String, Mark>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    count: u64,
    since_ms: u64,
    stalled: bool,
}

impl Progress {
    /// Takes a heartbeat's inventory; returns the attempts that are stalled now and were not
    /// before, with the time of their last progress. Only a heartbeat can show a stall: without
    /// one, nobody knows how far the function came. With `lenient` every attempt gets its time
    /// anew, because the reports before this one may have been lost.
    pub fn observe(
        &mut self,
        attempts: Vec<AttemptReport>,
        lenient: bool,
        now: u64,
    ) -> Vec<(String, u64)> {
        let mut before = std::mem::take(&mut self.marks);
        let mut stalled = Vec::new();
        for attempt in attempts {
            let fresh = Mark { count: attempt.progress_count, since_ms: now, stalled: false };
            let mut mark = before.remove(&attempt.attempt_id).unwrap_or_else(|| fresh.clone());
            if mark.count != attempt.progress_count {
                mark = fresh;
            } else if lenient && !mark.stalled {
                mark.since_ms = now;
            }
            let silence = now.saturating_sub(mark.since_ms);
            let over = attempt.progress_timeout_ms.is_some_and(|timeout| silence >= timeout);
            if over && !mark.stalled && !lenient {
                mark.stalled = true;
                stalled.push((attempt.attempt_id.clone(), mark.since_ms));
            }
            self.marks.insert(attempt.attempt_id, mark);
        }
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(progress_count: u64, progress_timeout_ms: Option<u64>) -> Vec<AttemptReport> {
        vec![AttemptReport { attempt_id: "a".into(), progress_count, progress_timeout_ms }]
    }

    #[test]
    fn an_attempt_without_progress_is_stalled_once_per_stall() {
        let mut progress = Progress::default();
        let mut beat = |count, now| progress.observe(report(count, Some(1_000)), false, now);
        assert_eq!(beat(0, 0), []);
        assert_eq!(beat(0, 999), []);
        assert_eq!(beat(0, 1_000), [("a".into(), 0)]);
        assert_eq!(beat(0, 1_500), []);
        assert_eq!(beat(1, 1_600), []);
        assert_eq!(beat(1, 2_600), [("a".into(), 1_600)]);
    }

    #[test]
    fn no_deadline_no_stall() {
        let mut progress = Progress::default();
        assert_eq!(progress.observe(report(0, None), false, 0), []);
        assert_eq!(progress.observe(report(0, None), false, 1_000_000), []);
    }

    #[test]
    fn after_lost_reports_the_time_starts_anew() {
        let mut progress = Progress::default();
        assert_eq!(progress.observe(report(0, Some(1_000)), false, 0), []);
        assert_eq!(progress.observe(report(0, Some(1_000)), true, 5_000), []);
        assert_eq!(progress.observe(report(0, Some(1_000)), false, 5_999), []);
        assert_eq!(progress.observe(report(0, Some(1_000)), false, 6_000), [("a".into(), 5_000)]);
    }

    #[test]
    fn what_left_the_inventory_is_forgotten() {
        let mut progress = Progress::default();
        assert_eq!(progress.observe(report(0, Some(1_000)), false, 0), []);
        assert_eq!(progress.observe(Vec::new(), false, 500), []);
        assert!(progress.marks.is_empty());
    }
}
