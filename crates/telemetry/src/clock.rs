//! The time, for spans.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix nanoseconds.
#[expect(clippy::disallowed_methods, reason = "spans are dated, and nothing else is decided here")]
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
