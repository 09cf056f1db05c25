//! How many retries a function may cost, in proportion to what it is used.
//!
//! Without a budget, a far side that fails gets the load of its failures on top, just when it can
//! bear least. A retry beyond the budget is not refused: a durable engine can wait, so it comes
//! later.

use crate::retry::window::Window;

/// How many retries are within the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetPolicy {
    /// Retries per hundred first attempts.
    pub percent: u32,
    /// Retries per second that are always within the budget.
    pub per_second: u32,
    /// The stretch of time that both are counted over.
    pub window_ms: u64,
}

impl Default for BudgetPolicy {
    fn default() -> Self {
        Self { percent: 20, per_second: 10, window_ms: 10_000 }
    }
}

/// First attempts and retries of one key over the last seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    window: Window,
}

impl Budget {
    /// From what was stored of it.
    #[must_use]
    pub const fn from_window(window: Window) -> Self {
        Self { window }
    }

    /// What to store: first attempts and retries by second.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// First attempts were made.
    pub fn attempted(&mut self, policy: &BudgetPolicy, at_ms: u64, count: u32) {
        self.window.add(policy.window_ms, at_ms, (count, 0));
    }

    /// Takes up to `wanted` retries out of the budget; answers how many are within it.
    pub fn take(&mut self, policy: &BudgetPolicy, now_ms: u64, wanted: u32) -> u32 {
        let taken = u32::try_from(self.left(policy, now_ms)).unwrap_or(u32::MAX).min(wanted);
        if taken > 0 {
            self.window.add(policy.window_ms, now_ms, (0, taken));
        }
        taken
    }

    /// Retries that are within the budget now.
    #[must_use]
    pub fn left(&self, policy: &BudgetPolicy, now_ms: u64) -> u64 {
        let (first_attempts, retries) = self.window.sums(policy.window_ms, now_ms);
        let always = u64::from(policy.per_second).saturating_mul(policy.window_ms) / 1_000;
        let earned = first_attempts.saturating_mul(u64::from(policy.percent)) / 100;
        // A budget of nothing would defer for ever.
        always.saturating_add(earned).max(1).saturating_sub(retries)
    }

    /// When the `position`-th (from 0) of the retries that found the budget empty at `now_ms` is
    /// to ask again: behind the first that leaves the window, at the pace of the floor.
    #[must_use]
    pub fn ask_again_ms(&self, policy: &BudgetPolicy, now_ms: u64, position: u32) -> u64 {
        let leaves_ms = self.window.second_leaves_ms(policy.window_ms, now_ms);
        let pace_ms = 1_000 / u64::from(policy.per_second.clamp(1, 1_000));
        let behind_ms = u64::from(position).saturating_mul(pace_ms);
        leaves_ms.unwrap_or(now_ms).max(now_ms.saturating_add(pace_ms)).saturating_add(behind_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_fifth_of_the_first_attempts_and_ten_a_second_are_within_it() {
        let policy = BudgetPolicy::default();
        let mut budget = Budget::default();
        assert_eq!(budget.take(&policy, NOW, 1_000), 100);
        assert_eq!(budget.take(&policy, NOW, 1), 0);
        budget.attempted(&policy, NOW, 50);
        assert_eq!(budget.take(&policy, NOW, 1_000), 10);
        assert_eq!(budget.ask_again_ms(&policy, NOW, 0), NOW + 11_000);
        assert_eq!(budget.ask_again_ms(&policy, NOW, 5), NOW + 11_500);
        assert_eq!(budget.left(&policy, NOW + 10_999), 0);
        assert_eq!(budget.take(&policy, NOW + 11_000, 1_000), 100);
    }

    #[test]
    fn a_budget_of_nothing_still_lets_one_at_a_time_through() {
        let policy = BudgetPolicy { percent: 0, per_second: 0, window_ms: 10_000 };
        let mut budget = Budget::default();
        assert_eq!(budget.take(&policy, NOW, 5), 1);
        let again_ms = budget.ask_again_ms(&policy, NOW, 0);
        assert_eq!(budget.take(&policy, again_ms, 5), 1);
    }

    proptest! {
        /// Whatever happens and when: retries of any ten seconds are within the promise.
        #[test]
        fn retries_of_any_stretch_are_within_the_budget(
            steps in prop::collection::vec((0..3_000_u64, 0..40_u32, 0..60_u32), 1..60),
            percent in 0..100_u32, per_second in 1..20_u32,
        ) {
            let policy = BudgetPolicy { percent, per_second, window_ms: 10_000 };
            let mut budget = Budget::default();
            let mut now_ms = NOW;
            // (when, first attempts, retries)
            let mut happened: Vec<(u64, u64, u64)> = Vec::new();
            for (pause, first, wanted) in steps {
                now_ms += pause;
                budget.attempted(&policy, now_ms, first);
                let taken = budget.take(&policy, now_ms, wanted);
                prop_assert!(taken <= wanted);
                if taken < wanted {
                    prop_assert!(budget.ask_again_ms(&policy, now_ms, 0) > now_ms);
                }
                happened.push((now_ms, u64::from(first), u64::from(taken)));
                if taken == 0 {
                    // What was earned by first attempts of long ago was spent in its time.
                    continue;
                }
                let since = |width: u64| {
                    happened.iter().filter(move |(at, _, _)| *at + width > now_ms)
                };
                let retries: u64 = since(10_000).map(|(_, _, retries)| retries).sum();
                // Firsts of a window that is one bucket longer: buckets count whole.
                let firsts: u64 = since(11_000).map(|(_, first, _)| first).sum();
                let promised = firsts * u64::from(percent) / 100 + u64::from(per_second) * 10;
                prop_assert!(retries <= promised, "{retries} of {promised}");
            }
        }

        /// Deferred retries get their turn: asking again when told to, they all start.
        #[test]
        fn whoever_asks_again_is_let_through_in_the_end(waiting in 1..500_u32) {
            let policy = BudgetPolicy::default();
            let mut budget = Budget::default();
            let (mut left, mut now_ms, mut rounds) = (waiting, NOW, 0);
            while left > 0 {
                left -= budget.take(&policy, now_ms, left);
                now_ms = budget.ask_again_ms(&policy, now_ms, 0);
                rounds += 1;
                prop_assert!(rounds <= 10);
            }
        }
    }
}
