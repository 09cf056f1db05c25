//! Time that also passes while the machine sleeps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Since the machine started, including its sleep: what leases are measured with. The standard
/// library's `Instant` stops while the machine is suspended, and a lease does not.
#[cfg(target_os = "linux")]
pub(crate) fn since_boot() -> Duration {
    duration(ClockId::Boottime)
}

/// Since some fixed moment.
#[cfg(not(target_os = "linux"))]
pub(crate) fn since_boot() -> Duration {
    duration(ClockId::Monotonic)
}

/// Since the Unix epoch.
pub(crate) fn since_epoch() -> Duration {
    duration(ClockId::Realtime)
}

fn duration(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// From the contract's duration; a negative one is none.
pub(crate) fn from_proto(duration: prost_types::Duration) -> Duration {
    Duration::try_from(duration).unwrap_or(Duration::ZERO)
}

/// To the contract's duration; longer than it can say is the longest it can say.
pub(crate) fn to_proto(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}
