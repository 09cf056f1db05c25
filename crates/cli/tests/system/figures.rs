//! Times, and what is said of them.

use std::fmt;
use std::time::Duration;

use prost_types::Timestamp;

/// Times in ascending order.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        assert!(!times.is_empty(), "nothing was measured");
        Self(times)
    }

    /// The time within which so many percent lie (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [50, 99, 100].map(|percent| self.percentile(percent).as_millis());
        write!(formatter, "p50 {p50} ms, p99 {p99} ms, max {max} ms of {}", self.0.len())
    }
}

/// Milliseconds since the epoch.
pub(crate) fn ms(at: &Timestamp) -> u64 {
    u64::try_from(at.seconds * 1_000 + i64::from(at.nanos / 1_000_000)).unwrap()
}
