//! Between the contract and what is kept.

use planaria_kernel::retry::breaker::Breaker;
use planaria_kernel::retry::{ErrorClass, RetryPolicy};
use planaria_proto::retry::v1;
use planaria_proto::types::v1::RetryPolicy as SetPolicy;
use prost_types::{Duration, Timestamp};

use crate::records::{DeadLetter, Filter, Group, Retry, Route};
use crate::store::BreakerRow;

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
        function: retry.route.function,
        failed_attempt: retry.key.attempt,
        failure: retry.failure,
        error: Some(retry.error),
        due_at: Some(timestamp(retry.due_at_ms)),
        attempts_max: retry.attempts_max,
        namespace: retry.route.namespace,
        error_class: class(retry.class).into(),
        destination: retry.route.destination,
        deferrals: retry.deferrals,
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
        fingerprint: letter.fingerprint,
        function: letter.function,
        losses: letter.losses,
    }
}

/// A positive number without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "floats saturate on their way to integers"
)]
pub(crate) const fn whole(number: f64) -> u32 {
    number as u32
}

/// The class of a failure on the wire, and in the store.
pub(crate) const fn class(class: ErrorClass) -> v1::ErrorClass {
    match class {
        ErrorClass::Retryable => v1::ErrorClass::Retryable,
        ErrorClass::NotRetryable => v1::ErrorClass::NonRetryable,
        ErrorClass::Throttled => v1::ErrorClass::Throttled,
        ErrorClass::Timeout => v1::ErrorClass::Timeout,
        ErrorClass::WorkerLost => v1::ErrorClass::WorkerLost,
    }
}

/// The class of a failure as it was stored.
pub(crate) fn class_from(number: u32) -> ErrorClass {
    match v1::ErrorClass::try_from(number.cast_signed()) {
        Ok(v1::ErrorClass::NonRetryable) => ErrorClass::NotRetryable,
        Ok(v1::ErrorClass::Throttled) => ErrorClass::Throttled,
        Ok(v1::ErrorClass::Timeout) => ErrorClass::Timeout,
        Ok(v1::ErrorClass::WorkerLost) => ErrorClass::WorkerLost,
        Ok(v1::ErrorClass::Retryable | v1::ErrorClass::Unspecified) | Err(_) => {
            ErrorClass::Retryable
        }
    }
}

/// What has a breaker of its own.
pub(crate) fn route(key: v1::BreakerKey) -> Route {
    let v1::BreakerKey { namespace, function, destination } = key;
    Route { namespace, function, destination }
}

/// What has a breaker of its own.
pub(crate) fn key(route: &Route) -> v1::BreakerKey {
    let Route { namespace, function, destination } = route.clone();
    v1::BreakerKey { namespace, function, destination }
}

/// What a breaker lets through.
pub(crate) fn gate(row: &BreakerRow) -> v1::Gate {
    let (phase, until_ms) = match &row.breaker {
        Breaker::Closed(_) => (v1::BreakerPhase::Closed, None),
        Breaker::Open(open) => (v1::BreakerPhase::Open, Some(open.until_ms)),
        Breaker::HalfOpen(_) => (v1::BreakerPhase::HalfOpen, None),
    };
    v1::Gate {
        key: Some(key(&row.route)),
        phase: phase.into(),
        until: until_ms.map(timestamp),
        revision: row.revision,
    }
}

/// A breaker, with its counts as of now.
pub(crate) fn breaker(row: &BreakerRow, window_ms: u64, now_ms: u64) -> v1::Breaker {
    let v1::Gate { key, phase, until, revision: _ } = gate(row);
    let since = Some(row.breaker.since_ms()).filter(|since_ms| *since_ms > 0).map(timestamp);
    let shown = v1::Breaker { key, phase, since, until, ..v1::Breaker::default() };
    match &row.breaker {
        Breaker::Closed(closed) => {
            let (calls, failures) = closed.window.sums(window_ms, now_ms);
            let failures_in_row = closed.failures_in_row;
            v1::Breaker { calls, failures, failures_in_row, ..shown }
        }
        Breaker::Open(open) => v1::Breaker { openings: open.times, ..shown },
        Breaker::HalfOpen(half_open) => v1::Breaker {
            openings: half_open.times,
            probes: half_open.taken,
            probes_passed: half_open.passed,
            probes_failed: half_open.failed,
            ..shown
        },
    }
}

/// Which dead letters.
pub(crate) fn filter(filter: Option<v1::DeadLetterFilter>) -> Filter {
    let filter = filter.unwrap_or_default();
    Filter {
        namespace: filter.namespace,
        definition: filter.definition,
        definition_version: filter.definition_version,
        function: filter.function,
        fingerprint: filter.fingerprint,
        workflow: filter.workflow_id,
        from_ms: milliseconds(filter.from),
        before_ms: filter.before.map(|before| milliseconds(Some(before))),
    }
}

/// What is the same about several dead letters.
pub(crate) fn group(group: Group) -> v1::DeadLetterGroup {
    let Group { count, first_ms, last_ms, definitions, newest } = group;
    v1::DeadLetterGroup {
        fingerprint: newest.fingerprint,
        count,
        first_at: Some(timestamp(first_ms)),
        last_at: Some(timestamp(last_ms)),
        newest_id: newest.id,
        error: Some(newest.error),
        cause: newest.cause.into(),
        function: newest.function,
        definitions,
    }
}
