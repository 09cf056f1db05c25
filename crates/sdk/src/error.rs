//! What can go wrong between a program and the engine.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// An error of the SDK. Failures of functions are [`TaskError`](crate::TaskError)s.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's address cannot be used.
    #[error("the address `{address}` cannot be used: {reason}")]
    Address {
        /// As it was given.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The API key cannot be one.
    #[error("the API key cannot be used: {0}")]
    ApiKey(&'static str),
    /// The worker was put together wrongly.
    #[error("the worker cannot be built: {0}")]
    Worker(String),
    /// A newer process runs under the same worker id; this one must not go on.
    #[error("another process took over the worker id `{worker_id}`")]
    Superseded {
        /// The id that both use.
        worker_id: String,
    },
    /// The engine, or the way to it, refused a call.
    #[error("{}", described(.0))]
    Call(Box<Status>),
    /// A value could not be turned into JSON or back.
    #[error("not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    /// The operating system refused something.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: std::io::Error,
    },
}

impl Error {
    /// The stable reason of a refused call, such as `WORKFLOW_NOT_FOUND`, if the engine gave one.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Call(status) => reason(status),
            _ => None,
        }
    }

    /// The gRPC code of a refused call.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Call(status) => Some(status.code()),
            _ => None,
        }
    }

    /// What was wrong with the request: pairs of a field and its trouble.
    #[must_use]
    pub fn violations(&self) -> Vec<(String, String)> {
        let Self::Call(status) = self else { return Vec::new() };
        let violations = status.get_details_bad_request().map(|details| details.field_violations);
        let pairs = violations.unwrap_or_default().into_iter();
        pairs.map(|violation| (violation.field, violation.description)).collect()
    }

    /// Whether the engine could not be reached, so that the same call may succeed later.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Call(status) if is_outage(status))
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// An output or input is over the limit.
pub(crate) const PAYLOAD_TOO_LARGE: &str = "PAYLOAD_TOO_LARGE";
/// The engine does not know the session.
pub(crate) const SESSION_NOT_FOUND: &str = "SESSION_NOT_FOUND";
/// A newer incarnation of the worker has a session.
pub(crate) const INCARNATION_SUPERSEDED: &str = "INCARNATION_SUPERSEDED";
/// The request for a session makes no sense.
pub(crate) const SESSION_INVALID: &str = "SESSION_INVALID";

/// The reason in the status' `google.rpc.ErrorInfo`.
pub(crate) fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason).filter(|reason| !reason.is_empty())
}

/// Whether the status says `wanted`.
pub(crate) fn has_reason(status: &Status, wanted: &str) -> bool {
    reason(status).is_some_and(|reason| reason == wanted)
}

/// Whether the way broke, as opposed to an answer: nothing that answers on purpose uses these
/// codes without saying its reason.
pub(crate) fn is_outage(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted => {
            reason(status).is_none()
        }
        _ => false,
    }
}

/// When to try again, where the status says so: something is full just now.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    let info = status.get_details_retry_info().filter(|_| status.code() == Code::ResourceExhausted);
    info.and_then(|info| info.retry_delay)
}

fn described(status: &Status) -> String {
    let message = status.message();
    match reason(status) {
        Some(reason) if message.is_empty() => reason,
        Some(reason) => format!("{message} ({reason})"),
        None if message.is_empty() => status.code().description().to_owned(),
        None => message.to_owned(),
    }
}
