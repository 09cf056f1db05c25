//! One monotonic clock for all decisions, and its relation to the wall clock for people.

use prost_types::Timestamp;
use tokio::time::Instant;

/// Milliseconds since the detector was built. They do not pass while the machine sleeps, so that
/// nobody is dead when it wakes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(crate) fn now_ms(self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn instant(self, at_ms: u64) -> Instant {
        self.origin + std::time::Duration::from_millis(at_ms)
    }

    /// The wall clock's time at a moment of this clock.
    pub(crate) fn wall(self, at_ms: u64) -> Timestamp {
        let age_ms = self.now_ms().saturating_sub(at_ms);
        let wall_ms = planaria_runtime::clock::now_ms().saturating_sub(age_ms);
        let seconds = i64::try_from(wall_ms / 1_000).unwrap_or(i64::MAX);
        let nanos = i32::try_from(wall_ms % 1_000).unwrap_or(0) * 1_000_000;
        Timestamp { seconds, nanos }
    }
}
