//! What a function's retries may cost.

/// How often and with what delays a failed function task is tried again: the task's own policy,
/// else its function's, else the default. Not the author's `try/catch/retry`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The longest first delay.
    pub base_ms: u64,
    /// From one delay to the next. What is below 1, or not a number, counts as 1.
    pub factor: f64,
    /// The longest delay at all.
    pub cap_ms: u64,
    /// The failure with this number is the last; 0 counts as 1.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    /// The usual of durable engines, bounded: 1 s × 2 up to 100 s, ten attempts.
    fn default() -> Self {
        Self { base_ms: 1_000, factor: 2.0, cap_ms: 100_000, attempts_max: 10 }
    }
}
