//! What can go wrong, by what the caller can do about it.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
const DOMAIN: &str = "planaria.dev";

/// An error of notification.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cursor is not one that a delivery had.
    #[error("`{0}` is not a cursor that a delivery had")]
    CursorInvalid(String),
    /// Events behind the cursor are not kept any more.
    #[error("events behind the cursor are not kept any more; go on with `start`")]
    CursorTooOld,
    /// More types than one subscription may name.
    #[error("{given} types are more than one subscription may name ({max})")]
    TooManyTypes {
        /// How many were given.
        given: usize,
        /// How many may be.
        max: usize,
    },
    /// No further subscription is possible.
    #[error("{0} subscriptions are open, which is the limit")]
    TooManySubscribers(usize),
    /// The orchestrator does not answer.
    #[error("the orchestrator does not answer: {0}")]
    OrchestratorUnavailable(String),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = match &error {
            Error::CursorInvalid(_) => (Code::InvalidArgument, "CURSOR_INVALID"),
            Error::CursorTooOld => (Code::OutOfRange, "CURSOR_TOO_OLD"),
            Error::TooManyTypes { .. } => (Code::InvalidArgument, "TOO_MANY"),
            Error::TooManySubscribers(_) => (Code::ResourceExhausted, "TOO_MANY_SUBSCRIBERS"),
            Error::OrchestratorUnavailable(_) => (Code::Unavailable, "ORCHESTRATOR_UNAVAILABLE"),
        };
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        Self::with_error_details(code, error.to_string(), details)
    }
}
