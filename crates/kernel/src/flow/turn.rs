//! Priority with ageing, as a number that never changes while a task waits.

/// When it is a task's turn, in milliseconds: the smaller, the earlier.
///
/// A task counts as if it had waited `step_ms` longer for each step of its priority. That orders
/// tasks as priorities that rise by one with each `step_ms` of waiting would, but no task has to be
/// moved while it waits: the differences between two tasks stay what they are. So a task waits for
/// one that is of `n` steps higher priority only if that one comes less than `n * step_ms` later.
#[must_use]
pub fn turn_ms(since_ms: u64, priority: i32, step_ms: u64) -> i64 {
    let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
    let step_ms = i64::try_from(step_ms).unwrap_or(i64::MAX);
    since_ms.saturating_sub(i64::from(priority).saturating_mul(step_ms))
}

#[cfg(test)]
mod tests {
    use super::turn_ms;

    #[test]
    fn a_step_of_priority_is_worth_a_step_of_time() {
        assert_eq!(turn_ms(50_000, 0, 10_000), 50_000);
        assert_eq!(turn_ms(50_000, 2, 10_000), turn_ms(30_000, 0, 10_000));
        assert_eq!(turn_ms(50_000, -3, 10_000), turn_ms(80_000, 0, 10_000));
        assert!(turn_ms(5_000, 1, 10_000) < 0, "earlier than the beginning of time");
    }

    #[test]
    fn no_number_is_too_large() {
        assert_eq!(turn_ms(u64::MAX, i32::MIN, u64::MAX), i64::MAX);
        assert!(turn_ms(0, i32::MAX, u64::MAX) < turn_ms(0, 0, u64::MAX));
        assert!(turn_ms(0, 0, u64::MAX) < turn_ms(0, i32::MIN, u64::MAX));
    }
}
