//! The objective: how many of the workflows that end may fault, and how fast that is used up.

/// Workflows that ended in some time, without those that somebody cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) completed: u64,
    pub(crate) faulted: u64,
}

impl Ended {
    pub(crate) const fn all(self) -> u64 {
        self.completed.saturating_add(self.faulted)
    }

    /// The part that completed; 1 of nothing.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub(crate) fn success(self) -> f64 {
        if self.all() == 0 { 1.0 } else { self.completed as f64 / self.all() as f64 }
    }

    /// The part of the error budget that is left: 1 = all, 0 = none, less = overdrawn.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub(crate) fn budget_left(self, objective: f64) -> f64 {
        let allowed = (1.0 - objective) * self.all() as f64;
        match self.faulted {
            0 => 1.0,
            _ if allowed <= 0.0 => -(self.faulted as f64),
            faulted => 1.0 - faulted as f64 / allowed,
        }
    }

    /// How many times faster than allowed the budget is used: 1 = it lasts exactly its window.
    pub(crate) fn burn_rate(self, objective: f64) -> f64 {
        let allowed = 1.0 - objective;
        match 1.0 - self.success() {
            failed if failed <= 0.0 => 0.0,
            _ if allowed <= 0.0 => f64::MAX,
            failed => failed / allowed,
        }
    }
}

/// A pair of windows: the budget burns if it does over the long one, and still does over the short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Alarm {
    pub(crate) long_ms: u64,
    pub(crate) short_ms: u64,
    /// Burn rate from which on it is an alarm.
    pub(crate) rate: f64,
}

const MINUTE_MS: u64 = 60_000;

/// Those of the SRE workbook, for a window of 30 days: 2 % of the budget in an hour, 5 % in six.
pub(crate) const ALARMS: [Alarm; 2] = [
    Alarm { long_ms: 60 * MINUTE_MS, short_ms: 5 * MINUTE_MS, rate: 14.4 },
    Alarm { long_ms: 360 * MINUTE_MS, short_ms: 30 * MINUTE_MS, rate: 6.0 },
];

impl Alarm {
    /// Whether it sounds. Fewer than `ended_min` workflows tell nothing.
    pub(crate) fn sounds(self, long: Ended, short: Ended, objective: f64, ended_min: u64) -> bool {
        long.all() >= ended_min.max(1)
            && long.burn_rate(objective) >= self.rate
            && short.burn_rate(objective) >= self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(completed: u64, faulted: u64) -> Ended {
        Ended { completed, faulted }
    }

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-6
    }

    #[test]
    fn the_budget_is_what_the_objective_leaves() {
        assert!(near(ended(0, 0).budget_left(0.999), 1.0));
        assert!(near(ended(999, 1).budget_left(0.999), 0.0));
        assert!(near(ended(9_995, 5).budget_left(0.999), 0.5));
        assert!(near(ended(998, 2).budget_left(0.999), -1.0));
        assert!(near(ended(10, 0).budget_left(1.0), 1.0));
        assert!(ended(10, 1).budget_left(1.0) < 0.0);
    }

    #[test]
    fn the_rate_says_how_many_budgets_are_used_in_a_window() {
        assert!(near(ended(999, 1).burn_rate(0.999), 1.0));
        assert!(near(ended(90, 10).burn_rate(0.99), 10.0));
        assert!(near(ended(0, 0).burn_rate(0.999), 0.0));
        assert!(near(ended(5, 0).burn_rate(1.0), 0.0) && ended(5, 1).burn_rate(1.0) > 1e9);
    }

    #[test]
    fn an_alarm_needs_both_windows_and_enough_workflows() {
        let [fast, _] = ALARMS;
        let bad = ended(95, 5);
        assert!(fast.sounds(bad, bad, 0.999, 20));
        assert!(!fast.sounds(bad, ended(50, 0), 0.999, 20), "it is over");
        assert!(!fast.sounds(bad, bad, 0.999, 101), "too few tell nothing");
        assert!(!fast.sounds(ended(9_990, 10), bad, 0.999, 20), "slow enough");
    }
}
