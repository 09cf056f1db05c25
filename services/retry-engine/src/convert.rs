//! Between the contract and what is kept.

use planaria_kernel::retry::RetryPolicy;
use planaria_proto::retry::v1;
use planaria_proto::types::v1::RetryPolicy as SetPolicy;
use prost_types::{Duration, Timestamp};

use crate::records::{DeadLetter, Retry};

/// Unix milliseconds; 0 for none and for what lies before 1970.
pub(crate) fn milliseconds(at: Option<Timestamp>) -> u64 {
    at.map_or(0, |at| whole_milliseconds(at.seconds, at.nanos))
}

/// A span in milliseconds; negative ones are 0.
pub(crate) fn span_milliseconds(span: Duration) -> u64 {
    whole_milliseconds(span.seconds, span.nanos)
}

fn whole_milliseconds(seconds: i64, nanos: i32) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanos = u64::try_from(nanos).unwrap_or(0);
    seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

pub(crate) fn timestamp(at_ms: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(at_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(at_ms % 1_000 * 1_000_000).unwrap_or_default(),
    }
}

/// A policy as it was announced; what it leaves out is the default's.
pub(crate) fn policy(set: &SetPolicy, default: &RetryPolicy) -> RetryPolicy {
    RetryPolicy {
        base_ms: set.delay.map_or(default.base_ms, span_milliseconds),
        factor: if set.factor >= 1.0 { set.factor } else { default.factor },
        cap_ms: set.delay_max.map_or(default.cap_ms, span_milliseconds),
        attempts_max: if set.attempts_max > 0 { set.attempts_max } else { default.attempts_max },
    }
}

/// The task is told by the orchestrator alone.
pub(crate) fn retry(retry: Retry, task: String) -> v1::Retry {
    v1::Retry {
        id: retry.key.to_string(),
        workflow_id: retry.key.workflow,
        task,
        function: retry.function,
        failed_attempt: retry.key.attempt,
        failure: retry.failure,
        error: Some(retry.error),
        due_at: Some(timestamp(retry.due_at_ms)),
        attempts_max: retry.attempts_max,
    }
}

/// Without its story and arguments.
pub(crate) fn dead_letter(letter: DeadLetter) -> v1::DeadLetter {
    let redriven = letter.state == v1::DeadLetterState::Redriven;
    v1::DeadLetter {
        id: letter.id,
        workflow_id: letter.workflow,
        definition: Some(letter.definition),
        task: letter.task,
        cause: letter.cause.into(),
        state: letter.state.into(),
        error: Some(letter.error),
        created_at: Some(timestamp(letter.created_at_ms)),
        redriven_at: letter.settled_at_ms.filter(|_| redriven).map(timestamp),
        story: Vec::new(),
        arguments: None,
    }
}
