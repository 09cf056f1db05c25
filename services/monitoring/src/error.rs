//! What can go wrong, by what the caller can do about it.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
const DOMAIN: &str = "planaria.dev";

/// An error of monitoring.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is not one of a former page.
    #[error("the page token is not one that a former page gave")]
    PageTokenInvalid,
    /// Window and step of a series do not fit.
    #[error("{0}")]
    WindowInvalid(String),
    /// There is no such series.
    #[error("{0}")]
    MetricInvalid(String),
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
            Error::PageTokenInvalid => (Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Error::WindowInvalid(_) => (Code::InvalidArgument, "WINDOW_INVALID"),
            Error::MetricInvalid(_) => (Code::InvalidArgument, "METRIC_INVALID"),
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
