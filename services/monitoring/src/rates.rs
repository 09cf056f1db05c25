//! Rates from counters that are looked at now and then.

use std::collections::VecDeque;

/// Counters at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at_ms: u64,
    pub(crate) completed: u64,
    pub(crate) faulted: u64,
}

/// The samples of the last `window_ms`.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    window_ms: u64,
    samples: VecDeque<Sample>,
}

impl Rates {
    pub(crate) fn new(window_ms: u64) -> Self {
        Self { window_ms, samples: VecDeque::new() }
    }

    /// Counters that went back belong to another process: what was before does not count.
    pub(crate) fn add(&mut self, sample: Sample) {
        let back = |last: &Sample| {
            sample.completed < last.completed
                || sample.faulted < last.faulted
                || sample.at_ms < last.at_ms
        };
        if self.samples.back().is_some_and(back) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        let begin_ms = sample.at_ms.saturating_sub(self.window_ms);
        // One sample from before the window stays: the difference to it covers all of it.
        while self.samples.get(1).is_some_and(|second| second.at_ms <= begin_ms) {
            self.samples.pop_front();
        }
    }

    /// Workflows completed per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub(crate) fn completed_per_second(&self) -> f64 {
        let Some((first, last)) = self.ends() else { return 0.0 };
        let seconds = (last.at_ms - first.at_ms) as f64 / 1_000.0;
        if seconds > 0.0 { (last.completed - first.completed) as f64 / seconds } else { 0.0 }
    }

    /// Of the workflows that completed or faulted, those that completed; 1 if there is none.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub(crate) fn success_ratio(&self) -> f64 {
        let Some((first, last)) = self.ends() else { return 1.0 };
        let completed = last.completed - first.completed;
        let ended = completed + (last.faulted - first.faulted);
        if ended == 0 { 1.0 } else { completed as f64 / ended as f64 }
    }

    fn ends(&self) -> Option<(&Sample, &Sample)> {
        self.samples.front().zip(self.samples.back())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(samples: &[(u64, u64, u64)]) -> (f64, f64) {
        let mut rates = Rates::new(60_000);
        for &(at_ms, completed, faulted) in samples {
            rates.add(Sample { at_ms, completed, faulted });
        }
        (rates.completed_per_second(), rates.success_ratio())
    }

    #[test]
    fn rates_are_over_the_window() {
        assert_eq!(rates(&[]), (0.0, 1.0));
        assert_eq!(rates(&[(0, 5, 5)]), (0.0, 1.0));
        assert_eq!(rates(&[(0, 0, 0), (10_000, 75, 25)]), (7.5, 0.75));
        // The first burst has left the window.
        let samples = [(0, 0, 0), (10_000, 1_000, 0), (70_000, 1_060, 0)];
        assert_eq!(rates(&samples), (1.0, 1.0));
    }

    #[test]
    fn a_restart_of_what_counts_is_no_negative_rate() {
        let samples = [(0, 900, 9), (10_000, 1_000, 10), (20_000, 10, 0), (30_000, 30, 0)];
        assert_eq!(rates(&samples), (2.0, 1.0));
    }

    #[test]
    fn samples_outside_the_window_are_not_kept() {
        let mut rates = Rates::new(1_000);
        for at_ms in 0..10_000 {
            rates.add(Sample { at_ms, completed: at_ms, faulted: 0 });
        }
        assert_eq!(rates.samples.len(), 1_001);
        assert!((rates.completed_per_second() - 1_000.0).abs() < 1.0);
    }
}
