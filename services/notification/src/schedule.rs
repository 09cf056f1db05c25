//! When a delivery is tried again.

use std::time::SystemTime;

use planaria_runtime::clock;

/// A delivery is spread over this part of its delay, so that what failed together does not come
/// back together.
const JITTER: f64 = 0.1;

/// When a delivery whose tries all failed is tried next (Unix milliseconds); nothing: it is given
/// up. `delays_ms` holds the delay before each try, `chance` is 0 to 1. A receiver that says when
/// it wants to be asked again is not asked earlier, but is asked after `retry_after_ms_max`.
pub(crate) fn next_at_ms(
    delays_ms: &[u64],
    attempts: u32,
    now_ms: u64,
    retry_after_ms: Option<u64>,
    chance: f64,
) -> Option<u64> {
    let delay_ms = *delays_ms.get(attempts as usize)?;
    let spread_ms =
        std::time::Duration::from_millis(delay_ms).mul_f64(JITTER * chance.clamp(0.0, 1.0));
    let spread_ms = u64::try_from(spread_ms.as_millis()).unwrap_or(0);
    let longest_ms = delays_ms.iter().copied().max().unwrap_or(0);
    let asked_ms = retry_after_ms.unwrap_or(0).min(longest_ms);
    Some(now_ms.saturating_add(delay_ms.saturating_add(spread_ms).max(asked_ms)))
}

/// What a header `Retry-After` means (milliseconds): seconds, or a date.
pub(crate) fn retry_after_ms(header: &str, now_ms: u64) -> Option<u64> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let at: SystemTime = httpdate::parse_http_date(header).ok()?;
    Some(clock::ms_of(at).saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: [u64; 4] = [0, 5_000, 300_000, 60_000];

    #[test]
    fn each_try_has_its_delay_and_after_the_last_it_is_given_up() {
        let next = |attempts| next_at_ms(&DELAYS, attempts, 1_000, None, 0.0);
        assert_eq!(next(1), Some(6_000));
        assert_eq!(next(2), Some(301_000));
        assert_eq!(next(3), Some(61_000));
        assert_eq!(next(4), None);
        assert_eq!(next_at_ms(&DELAYS, 2, 0, None, 1.0), Some(330_000));
    }

    #[test]
    fn a_receiver_may_ask_for_later_but_not_for_never() {
        let next = |retry_after_ms| next_at_ms(&DELAYS, 1, 0, Some(retry_after_ms), 0.0);
        assert_eq!(next(1_000), Some(5_000));
        assert_eq!(next(60_000), Some(60_000));
        assert_eq!(next(u64::MAX), Some(300_000));
    }

    #[test]
    fn a_wish_is_seconds_or_a_date() {
        let now_ms = 1_700_000_000_000;
        assert_eq!(retry_after_ms(" 120 ", now_ms), Some(120_000));
        assert_eq!(retry_after_ms("Tue, 14 Nov 2023 22:14:20 GMT", now_ms), Some(60_000));
        assert_eq!(retry_after_ms("Tue, 14 Nov 2023 22:12:20 GMT", now_ms), Some(0));
        assert_eq!(retry_after_ms("soon", now_ms), None);
    }
}
