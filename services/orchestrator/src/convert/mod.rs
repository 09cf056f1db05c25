//! Between the contract's messages and the kernel's types.

pub(crate) mod attempt;
pub(crate) mod history;

use planaria_kernel::workflow::ErrorObject;
use planaria_proto::types::v1::WorkflowError;
use prost_types::{Duration, Timestamp};

/// Unix milliseconds as a timestamp.
#[must_use]
pub(crate) const fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp { seconds: (unix_ms / 1_000) as i64, nanos: (unix_ms % 1_000) as i32 * 1_000_000 }
}

/// A timestamp as Unix milliseconds; 0 if there is none.
#[must_use]
pub(crate) fn milliseconds(timestamp: Option<&Timestamp>) -> u64 {
    timestamp.map_or(0, |at| {
        let seconds = u64::try_from(at.seconds).unwrap_or_default();
        let nanos = u64::try_from(at.nanos).unwrap_or_default();
        seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
    })
}

/// Milliseconds as a duration.
#[must_use]
pub(crate) const fn duration(ms: u64) -> Duration {
    Duration { seconds: (ms / 1_000) as i64, nanos: (ms % 1_000) as i32 * 1_000_000 }
}

/// A duration in milliseconds; negative ones count as 0.
#[must_use]
pub(crate) fn duration_ms(duration: &Duration) -> u64 {
    let seconds = u64::try_from(duration.seconds).unwrap_or_default();
    let nanos = u64::try_from(duration.nanos).unwrap_or_default();
    seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

/// An error of a workflow.
#[must_use]
pub(crate) fn error_to(error: &ErrorObject) -> WorkflowError {
    WorkflowError {
        r#type: error.kind.clone(),
        status: i32::from(error.status),
        title: error.title.clone().unwrap_or_default(),
        detail: error.detail.clone().unwrap_or_default(),
        instance: error.instance.clone().unwrap_or_default(),
    }
}

/// An error of a workflow; what is empty is absent, and an error without a type is a runtime error.
#[must_use]
pub(crate) fn error_from(error: Option<WorkflowError>) -> ErrorObject {
    let error = error.unwrap_or_default();
    let text = |text: String| (!text.is_empty()).then_some(text);
    let standard = ErrorObject::runtime("");
    ErrorObject {
        kind: text(error.r#type).unwrap_or(standard.kind),
        status: u16::try_from(error.status).ok().filter(|&s| s != 0).unwrap_or(standard.status),
        title: text(error.title),
        detail: text(error.detail),
        instance: text(error.instance),
    }
}
