//! The decision about one failure.

use std::fmt;

use crate::retry::{ErrorClass, RetryPolicy, backoff};

/// One failure of a function task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which failure of the task it is, from 1.
    pub number: u32,
    /// What kind of failure it is.
    pub class: ErrorClass,
    /// Not before that long, if the failed side said so.
    pub retry_after_ms: Option<u64>,
}

/// Why a task is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUpReason {
    /// The failure was not worth a retry.
    NotRetryable,
    /// The policy allows no further attempt.
    Exhausted,
}

impl GiveUpReason {
    /// The reason as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRetryable => "NOT_RETRYABLE",
            Self::Exhausted => "EXHAUSTED",
        }
    }
}

impl fmt::Display for GiveUpReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What happens to the failed task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is tried again at this time, Unix milliseconds.
    RetryAt(u64),
    /// Its error is raised in the workflow.
    GiveUp(GiveUpReason),
}

/// Decides about a failure at `now_ms` with 64 uniform random bits.
///
/// What the failed side asked for is a lower bound on the delay, up to the policy's cap: a far
/// side that asks for a week must not hold a workflow longer than its author allowed.
#[must_use]
pub fn decide(policy: &RetryPolicy, failure: Failure, now_ms: u64, random_bits: u64) -> Verdict {
    match failure.class {
        ErrorClass::NotRetryable => return Verdict::GiveUp(GiveUpReason::NotRetryable),
        // It never counts among the failures, and nothing is gained by waiting.
        ErrorClass::WorkerLost => return Verdict::RetryAt(now_ms),
        ErrorClass::Retryable | ErrorClass::Throttled | ErrorClass::Timeout => {}
    }
    if failure.number >= policy.attempts_max {
        return Verdict::GiveUp(GiveUpReason::Exhausted);
    }
    let drawn = backoff::delay_ms(policy, failure.number, random_bits);
    Verdict::RetryAt(now_ms.saturating_add(drawn.max(asked_ms(policy, failure))))
}

/// The latest time that [`decide`] can choose for a failure it retries, whatever the random bits:
/// when nobody decided by then, nobody will.
#[must_use]
pub fn latest_start(policy: &RetryPolicy, failure: Failure, now_ms: u64) -> u64 {
    let longest = backoff::delay_ms(policy, failure.number, u64::MAX);
    now_ms.saturating_add(longest.max(asked_ms(policy, failure)))
}

fn asked_ms(policy: &RetryPolicy, failure: Failure) -> u64 {
    failure.retry_after_ms.unwrap_or(0).min(policy.cap_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF: u64 = 1 << 63;

    fn failure(number: u32) -> Failure {
        Failure { number, class: ErrorClass::Retryable, retry_after_ms: None }
    }

    #[test]
    fn the_last_failure_and_the_hopeless_one_end_it() {
        let policy = RetryPolicy::default();
        assert_eq!(decide(&policy, failure(1), 5_000, HALF), Verdict::RetryAt(5_500));
        assert!(matches!(decide(&policy, failure(9), 0, HALF), Verdict::RetryAt(_)));
        let exhausted = Verdict::GiveUp(GiveUpReason::Exhausted);
        assert_eq!(decide(&policy, failure(10), 0, HALF), exhausted);
        let once = RetryPolicy { attempts_max: 0, ..policy };
        assert_eq!(decide(&once, failure(1), 0, HALF), exhausted);
        let hopeless = Failure { class: ErrorClass::NotRetryable, ..failure(1) };
        let verdict = Verdict::GiveUp(GiveUpReason::NotRetryable);
        assert_eq!(decide(&policy, hopeless, 0, HALF), verdict);
        let lost = Failure { class: ErrorClass::WorkerLost, ..failure(99) };
        assert_eq!(decide(&policy, lost, 7, HALF), Verdict::RetryAt(7));
    }

    #[test]
    fn what_the_far_side_asks_for_is_waited_up_to_the_cap() {
        let policy = RetryPolicy::default();
        for (asked, expected) in [(0, 500), (300, 500), (30_000, 30_000), (600_000, 100_000)] {
            let failure = Failure { retry_after_ms: Some(asked), ..failure(1) };
            assert_eq!(decide(&policy, failure, 0, HALF), Verdict::RetryAt(expected), "{asked}");
        }
    }

    proptest! {
        #[test]
        fn a_retry_starts_between_floor_and_latest_start(
            base_ms: u64, factor: f64, cap_ms: u64, attempts_max: u32,
            number: u32, retry_after_ms: Option<u64>, now_ms: u64, bits: u64,
        ) {
            let policy = RetryPolicy { base_ms, factor, cap_ms, attempts_max };
            let failure = Failure { number, class: ErrorClass::Retryable, retry_after_ms };
            match decide(&policy, failure, now_ms, bits) {
                Verdict::GiveUp(reason) => {
                    prop_assert_eq!(reason, GiveUpReason::Exhausted);
                    prop_assert!(number >= attempts_max);
                }
                Verdict::RetryAt(at) => {
                    prop_assert!(number < attempts_max);
                    prop_assert!(at >= now_ms.saturating_add(backoff::FLOOR_MS));
                    prop_assert!(at <= latest_start(&policy, failure, now_ms));
                    let longest = cap_ms.max(backoff::FLOOR_MS);
                    prop_assert!(at <= now_ms.saturating_add(longest));
                    let asked = retry_after_ms.unwrap_or(0).min(cap_ms);
                    prop_assert!(at >= now_ms.saturating_add(asked));
                }
            }
        }
    }
}
