//! Phi-accrual (Hayashibara et al., 2004) as Pekko's `PhiAccrualFailureDetector` computes it: the
//! intervals between heartbeats are taken as normally distributed; phi is -log10 of the chance
//! that a heartbeat is still to come after a silence this long.

use std::collections::VecDeque;

use super::Policy;

/// What the silence of a session means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within what is usual.
    Alive,
    /// Unusual.
    Suspect,
    /// Too unlikely to be only late.
    Dead,
}

/// Intervals are remembered up to this length, so that sums cannot overflow.
const INTERVAL_MS_MAX: u64 = 3_600_000;

/// Beyond that many deviations phi is infinite in double precision.
const DEVIATIONS_MAX: f64 = 40.0;

/// The heartbeats of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimator {
    last_ms: u64,
    intervals: VecDeque<u64>,
    sum: u64,
    squares: u64,
}

impl Estimator {
    /// After the first heartbeat. As Pekko does, two intervals around the expected one are
    /// assumed, with a wide deviation of a quarter, until real ones are known.
    #[must_use]
    pub fn new(policy: &Policy, now: u64) -> Self {
        let deviation = policy.beat_ms / 4;
        let mut estimator = Self { last_ms: now, intervals: VecDeque::new(), sum: 0, squares: 0 };
        estimator.remember(policy, policy.beat_ms - deviation);
        estimator.remember(policy, policy.beat_ms + deviation);
        estimator
    }

    /// Another heartbeat. The interval that ended a suspicion is not remembered: a long pause
    /// would make the next one look usual (Pekko leaves it out after a death only).
    pub fn beat(&mut self, policy: &Policy, pause_factor: u64, now: u64) {
        if self.verdict(policy, pause_factor, now) == Verdict::Alive {
            self.remember(policy, now.saturating_sub(self.last_ms));
        }
        self.last_ms = self.last_ms.max(now);
    }

    /// When the last heartbeat arrived.
    #[must_use]
    pub fn last_ms(&self) -> u64 {
        self.last_ms
    }

    /// The mean interval in milliseconds.
    #[must_use]
    pub fn mean_ms(&self) -> f64 {
        self.sum as f64 / self.intervals.len() as f64
    }

    /// The standard deviation of the intervals in milliseconds, at least the policy's.
    #[must_use]
    pub fn sigma_ms(&self, policy: &Policy) -> f64 {
        let mean = self.mean_ms();
        let variance = self.squares as f64 / self.intervals.len() as f64 - mean * mean;
        variance.max(0.0).sqrt().max(policy.sigma_ms_min as f64)
    }

    /// How suspicious the silence is; never falls while it lasts.
    #[must_use]
    pub fn phi(&self, policy: &Policy, pause_factor: u64, now: u64) -> f64 {
        let silence = now.saturating_sub(self.last_ms) as f64;
        let expected = self.mean_ms() + (policy.pause_ms * pause_factor) as f64;
        let deviations = (silence - expected) / self.sigma_ms(policy);
        // The logistic approximation of the normal distribution's tail, constants as in Pekko.
        let e = (-deviations * (1.597_6 + 0.070_566 * deviations * deviations)).exp();
        let later = if deviations > 0.0 { e / (1.0 + e) } else { 1.0 - 1.0 / (1.0 + e) };
        (-later.log10()).max(0.0)
    }

    /// What phi means.
    #[must_use]
    pub fn verdict(&self, policy: &Policy, pause_factor: u64, now: u64) -> Verdict {
        let phi = self.phi(policy, pause_factor, now);
        if phi >= policy.phi_dead {
            Verdict::Dead
        } else if phi >= policy.phi_suspect {
            Verdict::Suspect
        } else {
            Verdict::Alive
        }
    }

    /// The first millisecond at which phi has reached `limit`, if the silence goes on.
    #[must_use]
    pub fn reaches_ms(&self, policy: &Policy, pause_factor: u64, limit: f64) -> u64 {
        let pause = policy.pause_ms * pause_factor;
        let span = self.mean_ms() + DEVIATIONS_MAX * self.sigma_ms(policy) + 1.0;
        let (mut low, mut high) = (self.last_ms, self.last_ms + pause + span as u64);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.phi(policy, pause_factor, middle) >= limit {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn remember(&mut self, policy: &Policy, interval: u64) {
        if self.intervals.len() >= policy.window.max(2)
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.sum -= oldest;
            self.squares -= oldest * oldest;
        }
        let interval = interval.min(INTERVAL_MS_MAX);
        self.intervals.push_back(interval);
        self.sum += interval;
        self.squares += interval * interval;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy::DEFAULT;

    /// Feeds the intervals; the worst phi that any of them ended with.
    fn feed(intervals: impl IntoIterator<Item = u64>) -> (Estimator, f64) {
        let mut now = 10_000;
        let mut estimator = Estimator::new(&POLICY, now);
        let mut worst: f64 = 0.0;
        for interval in intervals {
            now += interval;
            worst = worst.max(estimator.phi(&POLICY, 1, now));
            estimator.beat(&POLICY, 1, now);
        }
        (estimator, worst)
    }

    /// Milliseconds of silence until death.
    fn detection(estimator: &Estimator) -> u64 {
        estimator.reaches_ms(&POLICY, 1, POLICY.phi_dead) - estimator.last_ms()
    }

    #[test]
    fn clockwork_is_dead_two_seconds_after_its_last_beat() {
        let (estimator, _) = feed([500; 300]);
        assert_eq!(detection(&estimator), 2_023);
        let suspect = estimator.reaches_ms(&POLICY, 1, POLICY.phi_suspect);
        assert_eq!(suspect - estimator.last_ms(), 1_806);
        // The pause of an unwell detector is longer.
        assert_eq!(estimator.reaches_ms(&POLICY, 8, 8.0) - estimator.last_ms(), 9_023);
    }

    #[test]
    fn the_pause_that_ended_a_suspicion_is_not_remembered() {
        let (calm, _) = feed([500; 20]);
        let (paused, _) = feed([500; 20].into_iter().chain([60_000]));
        assert_eq!(paused.mean_ms(), calm.mean_ms());
        assert_eq!(detection(&paused), detection(&calm));
    }

    /// Intervals in ms between 500 ms beats over loopback TCP on a machine with 2 cores: one
    /// series a line.
    #[test]
    fn recorded_arrivals_cause_no_suspicion_and_are_detected_in_time() {
        for (name, text) in [
            ("idle", include_str!("testdata/arrivals_idle.txt")),
            ("busy", include_str!("testdata/arrivals_16_burners.txt")),
        ] {
            for line in text.lines() {
                let intervals: Vec<u64> =
                    line.split(' ').map(|word| word.parse().unwrap()).collect();
                assert!(intervals.len() > 50, "{name}: a series is too short");
                let (estimator, worst) = feed(intervals);
                assert!(worst < POLICY.phi_suspect, "{name}: phi {worst} in {line}");
                let detection = detection(&estimator);
                assert!((1_900..=2_150).contains(&detection), "{name}: {detection} ms");
            }
        }
    }

    proptest! {
        #[test]
        fn no_interval_up_to_1500_ms_is_a_death(
            intervals in prop::collection::vec(0_u64..=1_500, 1..400),
        ) {
            let (_, worst) = feed(intervals);
            prop_assert!(worst < POLICY.phi_dead, "phi {worst}");
        }

        #[test]
        fn silence_after_500_ms_beats_is_death_within_2100_ms(
            intervals in prop::collection::vec(450_u64..=550, 0..400),
        ) {
            let (estimator, _) = feed(intervals);
            // Two assumed intervals with a deviation of 125 ms stand at the beginning.
            prop_assert!(detection(&estimator) <= 2_160);
            let (estimator, _) = feed((0..200).map(|beat| 475 + beat % 50));
            prop_assert!(detection(&estimator) <= 2_100);
        }

        #[test]
        fn phi_never_falls_while_the_silence_lasts(
            intervals in prop::collection::vec(0_u64..=3_000, 0..50),
            steps in prop::collection::vec(0_u64..=400, 1..50),
            factor in 1_u64..=8,
        ) {
            let (estimator, _) = feed(intervals);
            let mut now = estimator.last_ms();
            let mut before = estimator.phi(&POLICY, factor, now);
            prop_assert!(before >= 0.0);
            for step in steps {
                now += step;
                let phi = estimator.phi(&POLICY, factor, now);
                prop_assert!(phi >= before - 1e-9, "{before} then {phi}");
                before = phi;
            }
        }

        #[test]
        fn the_crossing_is_the_first_millisecond_of_the_verdict(
            intervals in prop::collection::vec(0_u64..=2_000, 0..50),
            factor in 1_u64..=8,
        ) {
            let (estimator, _) = feed(intervals);
            let dead = estimator.reaches_ms(&POLICY, factor, POLICY.phi_dead);
            prop_assert_eq!(estimator.verdict(&POLICY, factor, dead), Verdict::Dead);
            prop_assert_ne!(estimator.verdict(&POLICY, factor, dead - 1), Verdict::Dead);
        }

        #[test]
        fn sums_are_those_of_the_window(
            intervals in prop::collection::vec(0_u64..=1_000, 0..700),
        ) {
            let (estimator, _) = feed(intervals);
            prop_assert!(estimator.intervals.len() <= POLICY.window);
            prop_assert_eq!(estimator.sum, estimator.intervals.iter().sum::<u64>());
            let squares: u64 = estimator.intervals.iter().map(|interval| interval.pow(2)).sum();
            prop_assert_eq!(estimator.squares, squares);
        }
    }
}
