//! The closed sets of retries and dead letters in words.

use planaria_proto::retry::v1::{BreakerPhase, DeadLetterCause, DeadLetterState, ErrorClass};
use planaria_proto::types::v1::WorkflowError;

/// Why the system gave up.
#[must_use]
pub fn cause(cause: DeadLetterCause) -> &'static str {
    match cause {
        DeadLetterCause::Unspecified => "unknown",
        DeadLetterCause::Exhausted => "retries used up",
        DeadLetterCause::NotRetryable => "not worth a retry",
        DeadLetterCause::Quarantined => "quarantined: it killed its workers",
        DeadLetterCause::Uncaught => "nothing caught it",
    }
}

/// What became of a dead letter.
#[must_use]
pub fn state(state: DeadLetterState) -> &'static str {
    match state {
        DeadLetterState::Unspecified => "unknown",
        DeadLetterState::Open => "open",
        DeadLetterState::Redriven => "redriven",
        DeadLetterState::Resolved => "resolved",
    }
}

/// What kind of failure it was.
#[must_use]
pub fn class(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Unspecified => "unknown",
        ErrorClass::Retryable => "retryable",
        ErrorClass::NonRetryable => "not retryable",
        ErrorClass::Throttled => "asked to slow down",
        ErrorClass::Timeout => "no answer in time",
        ErrorClass::WorkerLost => "worker lost",
    }
}

/// How a breaker is.
#[must_use]
pub fn breaker(phase: BreakerPhase) -> &'static str {
    match phase {
        BreakerPhase::Unspecified => "unknown",
        BreakerPhase::Closed => "closed",
        BreakerPhase::Open => "open",
        BreakerPhase::HalfOpen => "half-open",
    }
}

/// The kind of an error: the last part of its type.
#[must_use]
pub fn kind(error: &WorkflowError) -> &str {
    error.r#type.rsplit('/').find(|part| !part.is_empty()).unwrap_or("error")
}

/// An error in one line: what kind, and what is known.
#[must_use]
pub fn error(error: Option<&WorkflowError>) -> String {
    let Some(error) = error else { return "unknown error".into() };
    let parts = [error.title.as_str(), error.detail.as_str()];
    let text: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match text.as_slice() {
        [] => format!("{} ({})", kind(error), error.status),
        text => format!("{} ({}): {}", kind(error), error.status, text.join(": ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_one_line() {
        let mut it = WorkflowError {
            r#type: "https://serverlessworkflow.io/spec/1.0.0/errors/runtime".into(),
            status: 503,
            ..WorkflowError::default()
        };
        assert_eq!(error(Some(&it)), "runtime (503)");
        it.title = "Away".into();
        it.detail = "the bank".into();
        assert_eq!(error(Some(&it)), "runtime (503): Away: the bank");
        assert_eq!(error(None), "unknown error");
    }
}
