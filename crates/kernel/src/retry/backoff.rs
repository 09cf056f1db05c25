//! Exponential backoff with full jitter.
//!
//! The delay before the retry that follows failure `n` is
//! `max(FLOOR_MS, U(0, min(cap, base × factor^(n-1))))`. Drawing from the whole interval, instead
//! of adding a little noise to its end, spreads a crowd of clients that failed together best and
//! costs the least work in total: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture
//! Blog, 2015. `U` comes from bits the caller gives; from [`bits`], every delay can be recomputed.

use crate::retry::RetryPolicy;

/// No retry follows its failure sooner, so that a policy of zeros does not spin.
pub const FLOOR_MS: u64 = 100;

/// The delay after failure number `failure` (from 1) in milliseconds, in
/// `FLOOR_MS ..= max(FLOOR_MS, ceiling_ms)`. The bits are uniform, all 64 of them.
#[must_use]
pub fn delay_ms(policy: &RetryPolicy, failure: u32, bits: u64) -> u64 {
    // The high half of a product is the multiple of bits / 2^64, without rounding to floats.
    let width = u128::from(ceiling_ms(policy, failure)) + 1;
    let drawn = (width * u128::from(bits)) >> 64;
    u64::try_from(drawn).unwrap_or(u64::MAX).max(FLOOR_MS)
}

/// The end of the interval that the delay after failure number `failure` is drawn from.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "floats saturate on their way to integers, and delays need no 53 bits"
)]
pub fn ceiling_ms(policy: &RetryPolicy, failure: u32) -> u64 {
    let factor = if policy.factor >= 1.0 { policy.factor } else { 1.0 };
    let steps = i32::try_from(failure.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = policy.base_ms as f64 * factor.powi(steps);
    // Zero times infinity: a base of zero stays zero however often it grows.
    if grown.is_nan() { 0 } else { (grown as u64).min(policy.cap_ms) }
}

/// The bits for one failure of one task: a fixed function of its arguments (FNV-1a over them, then
/// the finaliser of SplitMix64), the same in every release and on every machine.
#[must_use]
pub fn bits(workflow: &str, frame: u32, failure: u32) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    // The length goes first, so that no two lists of arguments give the same text.
    let length = (workflow.len() as u64).to_le_bytes();
    let (frame, failure) = (frame.to_le_bytes(), failure.to_le_bytes());
    let text = length.iter().chain(workflow.as_bytes()).chain(&frame).chain(&failure);
    let mut hash = text.fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policies() -> impl Strategy<Value = RetryPolicy> {
        (any::<u64>(), any::<f64>(), any::<u64>(), any::<u32>()).prop_map(
            |(base_ms, factor, cap_ms, attempts_max)| RetryPolicy {
                base_ms,
                factor,
                cap_ms,
                attempts_max,
            },
        )
    }

    #[test]
    fn the_default_doubles_up_to_its_cap() {
        let ceilings: Vec<_> = (1..=10).map(|n| ceiling_ms(&RetryPolicy::default(), n)).collect();
        let expected =
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 100_000, 100_000, 100_000];
        assert_eq!(ceilings, expected);
        let policy = RetryPolicy::default();
        assert_eq!((delay_ms(&policy, 3, 0), delay_ms(&policy, 3, u64::MAX)), (FLOOR_MS, 4_000));
        assert_eq!(delay_ms(&policy, 3, 1 << 63), 2_000);
    }

    #[test]
    fn the_bits_of_a_failure_never_change() {
        assert_eq!(bits("order-1", 4, 1), 0x2736_7e1e_e71d_601c);
    }

    #[test]
    fn delays_fill_their_interval_evenly() {
        let policy = RetryPolicy { base_ms: 10_000, ..RetryPolicy::default() };
        let mut tenths = [0_u32; 10];
        for number in 0..10_000 {
            let delay = delay_ms(&policy, 1, bits(&format!("workflow-{number}"), 7, 1));
            tenths[usize::try_from(delay.min(9_999) / 1_000).unwrap()] += 1;
        }
        // A thousand each; five standard deviations of a fair draw are 150.
        assert!(tenths.iter().all(|count| count.abs_diff(1_000) < 150), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn delays_stay_between_floor_and_cap(
            policy in policies(), failure: u32, bits: u64,
        ) {
            let delay = delay_ms(&policy, failure, bits);
            prop_assert!(delay >= FLOOR_MS);
            prop_assert!(delay <= ceiling_ms(&policy, failure).max(FLOOR_MS));
            prop_assert!(delay <= policy.cap_ms.max(FLOOR_MS));
        }

        #[test]
        fn ceilings_never_shrink(policy in policies(), failure in 0..u32::MAX) {
            prop_assert!(ceiling_ms(&policy, failure) <= ceiling_ms(&policy, failure + 1));
        }

        #[test]
        fn more_bits_are_a_longer_delay(policy in policies(), failure: u32, low: u64, high: u64) {
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(delay_ms(&policy, failure, low) <= delay_ms(&policy, failure, high));
        }
    }
}
