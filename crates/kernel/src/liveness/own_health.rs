//! The detector's doubt in itself (Lifeguard, Dadgar et al., 2018): a detector that was slow or
//! stopped would take its own fault for the death of others.

use super::Policy;

/// Milliseconds of punctuality that take one step off the pause's factor.
const RECOVERY_MS: u64 = 1_000;

/// How much the own observations are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnHealth {
    start_until_ms: u64,
    observe_until_ms: u64,
    factor: u64,
    raised_ms: u64,
}

impl OwnHealth {
    /// After a start: nothing is known of the sessions of before, so nothing is pronounced on them
    /// for a while.
    #[must_use]
    pub fn new(policy: &Policy, now: u64) -> Self {
        let start_until_ms = now + policy.observe_ms;
        Self { start_until_ms, observe_until_ms: 0, factor: 1, raised_ms: now }
    }

    /// The own loop ran this much later than planned. Returns whether that was a stall.
    pub fn late(&mut self, policy: &Policy, lag_ms: u64, now: u64) -> bool {
        if lag_ms > policy.lag_ms_max {
            let factor = 1 + lag_ms / policy.lag_ms_max.max(1);
            self.factor = self.pause_factor(now).max(factor.min(policy.pause_factor_max.max(1)));
            self.raised_ms = now;
        }
        let stalled = lag_ms > policy.stall_ms;
        if stalled {
            self.observe_until_ms = now + policy.observe_ms;
        }
        stalled
    }

    /// What the acceptable pause is multiplied by: 1 if the loop is punctual.
    #[must_use]
    pub fn pause_factor(&self, now: u64) -> u64 {
        let steps = now.saturating_sub(self.raised_ms) / RECOVERY_MS;
        self.factor.saturating_sub(steps).max(1)
    }

    /// When the factor changes next.
    #[must_use]
    pub fn factor_changes_ms(&self, now: u64) -> Option<u64> {
        let steps = now.saturating_sub(self.raised_ms) / RECOVERY_MS;
        (self.pause_factor(now) > 1).then(|| self.raised_ms + (steps + 1) * RECOVERY_MS)
    }

    /// Until then nothing is pronounced on sessions that began before this detector.
    #[must_use]
    pub fn start_until_ms(&self) -> u64 {
        self.start_until_ms
    }

    /// Until then nothing is pronounced.
    #[must_use]
    pub fn observe_until_ms(&self) -> u64 {
        self.observe_until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_stretches_the_pause_and_punctuality_heals_it() {
        let policy = Policy::default();
        let mut health = OwnHealth::new(&policy, 0);
        assert!(!health.late(&policy, 250, 10_000));
        assert_eq!(health.pause_factor(10_000), 1);
        assert!(!health.late(&policy, 600, 10_000));
        assert_eq!(health.pause_factor(10_000), 3);
        assert_eq!(health.factor_changes_ms(10_000), Some(11_000));
        assert_eq!(health.pause_factor(11_000), 2);
        assert_eq!(health.pause_factor(12_000), 1);
        assert_eq!(health.factor_changes_ms(12_000), None);
        assert_eq!((health.start_until_ms(), health.observe_until_ms()), (3_000, 0));
    }

    #[test]
    fn a_stall_makes_an_onlooker() {
        let policy = Policy::default();
        let mut health = OwnHealth::new(&policy, 0);
        assert!(health.late(&policy, 15_000, 20_000));
        assert_eq!(health.observe_until_ms(), 23_000);
        assert_eq!(health.pause_factor(20_000), 8);
    }
}
