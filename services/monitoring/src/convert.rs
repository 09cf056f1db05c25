//! Times of the contract.

use prost_types::{Duration, Timestamp};

/// Unix milliseconds; nothing for none and for what lies before 1970.
pub(crate) fn milliseconds(at: Option<Timestamp>) -> Option<u64> {
    at.and_then(|at| whole_milliseconds(at.seconds, at.nanos))
}

/// A span in milliseconds; nothing for none and for negative ones.
pub(crate) fn span_milliseconds(span: Option<Duration>) -> Option<u64> {
    span.and_then(|span| whole_milliseconds(span.seconds, span.nanos))
}

fn whole_milliseconds(seconds: i64, nanos: i32) -> Option<u64> {
    let (seconds, nanos) = (u64::try_from(seconds).ok()?, u64::try_from(nanos).ok()?);
    Some(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}

pub(crate) fn timestamp(at_ms: u64) -> Timestamp {
    let Duration { seconds, nanos } = span(at_ms);
    Timestamp { seconds, nanos }
}

pub(crate) fn span(span_ms: u64) -> Duration {
    Duration {
        seconds: i64::try_from(span_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(span_ms % 1_000 * 1_000_000).unwrap_or_default(),
    }
}
