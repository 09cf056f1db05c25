//! What `AccessService` cannot do.

use planaria_runtime::identity::Refused;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "planaria.dev";

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is none, or it is none of the caller's business.
    #[error("there is no API key `{0}`")]
    NotFound(String),
    /// A field of the new key.
    #[error("{field}: {why}")]
    Unfit { field: &'static str, why: String },
    #[error("there are {max} API keys already, which is the limit")]
    TooMany { max: u32 },
    #[error("the page token is not one that a former page gave")]
    PageTokenInvalid,
    #[error(transparent)]
    Refused(Refused),
    #[error("the store of the keys failed")]
    Store(#[from] sqlx::Error),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = match &error {
            Error::NotFound(_) => (Code::NotFound, "API_KEY_NOT_FOUND"),
            Error::Unfit { .. } => (Code::InvalidArgument, "API_KEY_UNFIT"),
            Error::TooMany { .. } => (Code::ResourceExhausted, "API_KEYS_TOO_MANY"),
            Error::PageTokenInvalid => (Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Error::Refused(refused) => return refused.status(),
            Error::Store(source) => {
                // What the database said stays here: callers can only try again.
                planaria_store::tell("store failed", source);
                (Code::Unavailable, "STORE_UNAVAILABLE")
            }
        };
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        if let Error::Unfit { field, why } = &error {
            details.add_bad_request_violation(*field, why.clone());
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}
