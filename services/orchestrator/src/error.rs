//! What can go wrong, and how clients are told.

use std::time::Duration;

use planaria_dsl::Problem;
use planaria_kernel::workflow::Rejected;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

use crate::store::limits::LimitKey;
use crate::store::{DefinitionKey, StoreError};

/// When it makes sense to try again where too much waits already.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request is wrong.
    #[error("{field}: {message}")]
    Invalid {
        /// The stable reason.
        reason: &'static str,
        /// The field, as a path in the request.
        field: String,
        /// What is wrong and how to mend it.
        message: String,
    },
    /// A document is not a definition.
    #[error("the document is not a valid definition: {}", summary(.0))]
    DefinitionInvalid(Vec<Problem>),
    /// A document is too large.
    #[error("the document has {have} bytes; at most {most} are allowed")]
    DocumentTooLarge {
        /// Its size.
        have: usize,
        /// The limit.
        most: usize,
    },
    /// The version is published with another text.
    #[error("{} is published already with another text: raise document.version", name(.0))]
    DefinitionExists(DefinitionKey),
    /// There is no such definition.
    #[error("no definition {} is published; see `planaria definition list`", name(.0))]
    DefinitionNotFound(DefinitionKey),
    /// There is no such limit.
    #[error("no limit of {} is set; see `planaria limit list`", limit(.0))]
    LimitNotFound(LimitKey),
    /// There are too many limits.
    #[error("there are {most} limits already: remove some")]
    LimitsTooMany {
        /// So many may be.
        most: usize,
    },
    /// There is no such workflow.
    #[error("no workflow {0}")]
    WorkflowNotFound(String),
    /// The workflow has no such task to act on.
    #[error("the workflow has no such task to act on: {0}")]
    TaskNotFound(String),
    /// The workflow's phase does not allow it.
    #[error("the workflow is {0}")]
    PhaseInvalid(&'static str),
    /// The workflow's history is damaged: nothing is done with it.
    #[error("workflow {id} is frozen: {why}; it can be cancelled, or its history restored")]
    Frozen {
        /// The workflow.
        id: Uuid,
        /// What is wrong.
        why: String,
    },
    /// The key started another workflow.
    #[error("the idempotency key {key:?} started workflow {id} with another definition or input")]
    IdempotencyKeyReused {
        /// The key.
        key: String,
        /// The workflow that it started.
        id: Uuid,
    },
    /// A payload is too large.
    #[error("{field} has {have} bytes; at most {most} are allowed: pass a reference instead")]
    PayloadTooLarge {
        /// The field.
        field: &'static str,
        /// Its size.
        have: usize,
        /// The limit.
        most: usize,
    },
    /// The session is not open.
    #[error("the session is not open: open a new one")]
    SessionNotFound,
    /// A newer start of the worker has a session.
    #[error("a newer incarnation of worker {0} has a session")]
    IncarnationSuperseded(String),
    /// The result is not for the current attempt.
    #[error("{0}")]
    Stale(&'static str),
    /// Too much waits already.
    #[error("{0}")]
    Overloaded(&'static str),
    /// Entries behind a reader's position were removed.
    #[error("entries behind position {seq} of log {log} were removed")]
    LogTrimmed {
        /// The log, within its shard.
        log: u64,
        /// The number in it.
        seq: u64,
    },
    /// The store failed; whether the change was made is not known.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The shard's orchestrator died or leaves; another one takes it over.
    #[error("another orchestrator is taking this work over; try again in a moment")]
    Moving,
    /// The engine is stopping or was reset; whether the change was made is not known.
    #[error("the orchestrator reads its store again after a failure; try again in a moment")]
    Unavailable,
    /// A history or row cannot be read.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] planaria_store::Error),
    /// The settings of the bus are none.
    #[error(transparent)]
    Bus(#[from] planaria_bus::Error),
    /// A bug.
    #[error("an internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::PhaseInvalid { phase } => Self::PhaseInvalid(phase),
            Rejected::NotOpen => Self::TaskNotFound(rejected.to_string()),
            Rejected::NobodyListens => Self::TaskNotFound(rejected.to_string()),
            Rejected::KnownEvent => Self::Stale("the event was received before"),
            Rejected::InboxFull => Self::Overloaded("too many events wait for this workflow"),
        }
    }
}

impl Error {
    /// The reason of [`Error::Moving`].
    pub(crate) const MOVING: &str = "SHARD_MOVING";

    /// The gRPC code and the stable reason.
    const fn classify(&self) -> (Code, &'static str) {
        match self {
            Self::Invalid { reason, .. } => (Code::InvalidArgument, reason),
            Self::DefinitionInvalid(_) => (Code::InvalidArgument, "DEFINITION_INVALID"),
            Self::DocumentTooLarge { .. } => (Code::InvalidArgument, "DOCUMENT_TOO_LARGE"),
            Self::DefinitionExists(_) => (Code::AlreadyExists, "DEFINITION_EXISTS"),
            Self::DefinitionNotFound(_) => (Code::NotFound, "DEFINITION_NOT_FOUND"),
            Self::LimitNotFound(_) => (Code::NotFound, "LIMIT_NOT_FOUND"),
            Self::LimitsTooMany { .. } => (Code::FailedPrecondition, "LIMITS_TOO_MANY"),
            Self::WorkflowNotFound(_) => (Code::NotFound, "WORKFLOW_NOT_FOUND"),
            Self::TaskNotFound(_) => (Code::NotFound, "TASK_NOT_FOUND"),
            Self::PhaseInvalid(_) => (Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID"),
            Self::Frozen { .. } => (Code::FailedPrecondition, "WORKFLOW_FROZEN"),
            Self::IdempotencyKeyReused { .. } => (Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED"),
            Self::PayloadTooLarge { .. } => (Code::InvalidArgument, "PAYLOAD_TOO_LARGE"),
            Self::SessionNotFound => (Code::NotFound, "SESSION_NOT_FOUND"),
            Self::IncarnationSuperseded(_) => (Code::FailedPrecondition, "INCARNATION_SUPERSEDED"),
            Self::Stale(_) => (Code::FailedPrecondition, "STALE"),
            Self::Overloaded(_) => (Code::ResourceExhausted, "OVERLOADED"),
            Self::LogTrimmed { .. } => (Code::OutOfRange, "LOG_TRIMMED"),
            Self::Store(_) | Self::Open(_) => (Code::Unavailable, "STORE_FAILED"),
            Self::Moving => (Code::Unavailable, Self::MOVING),
            Self::Unavailable => (Code::Unavailable, "ENGINE_RESET"),
            Self::Corrupt(_) => (Code::Internal, "STORED_DATA_CORRUPT"),
            Self::Bus(_) | Self::Internal(_) => (Code::Internal, "INTERNAL"),
        }
    }

    /// The stable reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.classify().1
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = error.classify();
        // Why an engine starts over is said where it does.
        if matches!(code, Code::Internal | Code::Unavailable)
            && !matches!(error, Error::Unavailable)
        {
            planaria_store::tell(&format!("request failed: {reason}"), &error);
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, "planaria.dev", std::collections::HashMap::new());
        match &error {
            Error::Invalid { field, message, .. } => {
                details.add_bad_request_violation(field.clone(), message.clone());
            }
            // What fills up is worked off.
            Error::Overloaded(_) => {
                details.set_retry_info(Some(RETRY_AFTER));
            }
            Error::DefinitionInvalid(problems) => {
                for problem in problems {
                    let place = format!("source{}", problem.pointer);
                    details.add_bad_request_violation(place, describe(problem));
                }
            }
            _ => {}
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}

fn name(key: &DefinitionKey) -> String {
    let DefinitionKey { namespace, name, version } = key;
    match version.as_str() {
        // Whatever the version: none was asked for.
        "" => format!("{namespace}/{name}"),
        version => format!("{namespace}/{name}:{version}"),
    }
}

fn limit(key: &LimitKey) -> String {
    let LimitKey { namespace, function, per } = key;
    let per = if per.is_empty() { String::new() } else { format!(" per {per}") };
    format!("{namespace}/{function}{per}")
}

fn summary(problems: &[Problem]) -> String {
    match problems {
        [] => "nothing is known".to_owned(),
        [only] => describe(only),
        [first, rest @ ..] => format!("{} (and {} more)", describe(first), rest.len()),
    }
}

fn describe(problem: &Problem) -> String {
    let place = match (problem.line, problem.column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        _ => String::new(),
    };
    format!("{place}{}: {}", problem.reason, problem.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_says_when_to_try_again_and_what_does_not_says_nothing() {
        let too_large = Error::PayloadTooLarge { field: "input", have: 9, most: 8 };
        for (error, code, passes) in [
            (Error::Overloaded("too much"), Code::ResourceExhausted, true),
            (Error::from(Rejected::InboxFull), Code::ResourceExhausted, true),
            (too_large, Code::InvalidArgument, false),
            (Error::SessionNotFound, Code::NotFound, false),
            (Error::Moving, Code::Unavailable, false),
        ] {
            let status = Status::from(error);
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            assert_eq!((status.code(), said), (code, passes.then_some(RETRY_AFTER)), "{status}");
        }
    }

    #[test]
    fn what_is_not_published_is_named_as_it_was_asked_for() {
        let text = |version: &str| {
            let (namespace, name) = ("shop".to_owned(), "order".to_owned());
            let key = DefinitionKey { namespace, name, version: version.to_owned() };
            Error::DefinitionNotFound(key).to_string()
        };
        let end = "is published; see `planaria definition list`";
        assert_eq!(text("1.0.0"), format!("no definition shop/order:1.0.0 {end}"));
        assert_eq!(text(""), format!("no definition shop/order {end}"));
    }
}
