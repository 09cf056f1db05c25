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
    /// There is no such breaker: nothing was ever called there.
    #[error("there is no breaker of `{0}`")]
    BreakerNotFound(String),
    /// There is no such redrive, or it ended long ago.
    #[error("there is no redrive `{0}`")]
    RedriveNotFound(String),
    /// The id names a redrive that is another one.
    #[error("the redrive `{0}` was started with another filter, rate or input")]
    RedriveDiffers(String),
    /// The filter names nothing, and so everything.
    #[error("the filter is empty: say at least a namespace")]
    FilterEmpty,
    /// The new input is no JSON.
    #[error("the input is not JSON: {0}")]
    InputInvalid(String),
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
            Error::BreakerNotFound(_) => (Code::NotFound, "BREAKER_NOT_FOUND"),
            Error::RedriveNotFound(_) => (Code::NotFound, "REDRIVE_NOT_FOUND"),
            Error::RedriveDiffers(_) => (Code::AlreadyExists, "REDRIVE_DIFFERS"),
            Error::FilterEmpty => (Code::InvalidArgument, "FILTER_EMPTY"),
            Error::InputInvalid(_) => (Code::InvalidArgument, "INPUT_INVALID"),
            Error::OrchestratorUnavailable(_) => (Code::Unavailable, "ORCHESTRATOR_UNAVAILABLE"),
            Error::Open(_) | Error::Store(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
        };
        let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        if let Error::Open(_) | Error::Store(_) = &error {
            // What the database said stays here: callers can only try again.
            planaria_store::tell("store failed", &error);
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}
