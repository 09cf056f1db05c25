//! What can go wrong, by what the caller can do about it.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
const DOMAIN: &str = "planaria.dev";

/// An error of the retry engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The retry was started, or never was.
    #[error("no retry `{0}` is waiting")]
    RetryNotFound(String),
    /// There is no such dead letter, or it was cleared away after it was settled.
    #[error("there is no dead letter `{0}`")]
    DeadLetterNotFound(String),
    /// The token is not one of a former page.
    #[error("the page token is not one that a former page gave")]
    PageTokenInvalid,
    /// More dead letters than one call may redrive.
    #[error("{given} dead letters are more than one call may redrive ({max})")]
    TooMany {
        /// How many were given.
        given: usize,
        /// How many may be.
        max: usize,
    },
    /// The orchestrator does not answer.
    #[error("the orchestrator does not answer: {0}")]
    OrchestratorUnavailable(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] planaria_store::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] sqlx::Error),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = match &error {
            Error::RetryNotFound(_) => (Code::NotFound, "RETRY_NOT_FOUND"),
            Error::DeadLetterNotFound(_) => (Code::NotFound, "DEAD_LETTER_NOT_FOUND"),
            Error::PageTokenInvalid => (Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Error::TooMany { .. } => (Code::InvalidArgument, "TOO_MANY"),
            Error::OrchestratorUnavailable(_) => (Code::Unavailable, "ORCHESTRATOR_UNAVAILABLE"),
            Error::Open(_) | Error::Store(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
        };
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        if let Error::Open(_) | Error::Store(_) = &error {
            // What the database said stays here: callers can only try again.
            tracing::error!(error = &error as &dyn std::error::Error, "store failed");
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}
