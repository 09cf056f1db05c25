//! What can go wrong, by what the caller can do about it.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
const DOMAIN: &str = "planaria.dev";
/// When it makes sense to try again where too much is under way.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
    /// Nothing can be posted to such a URL.
    #[error("the URL cannot be posted to: {0}")]
    UrlInvalid(String),
    /// The operator does not allow to post there.
    #[error("{0}; the operator can allow it: [notification.webhooks] egress_allow")]
    UrlNotAllowed(String),
    /// The secret is none.
    #[error("{0}")]
    SecretInvalid(String),
    /// The description is too long.
    #[error("a description has at most {0} characters")]
    DescriptionTooLong(usize),
    /// No further webhook is possible.
    #[error("there are {0} webhooks, which is the limit")]
    TooManyWebhooks(u32),
    /// More deliveries than one call may name.
    #[error("{given} deliveries are more than one call may name ({max})")]
    TooManyIds {
        /// How many were given.
        given: usize,
        /// How many may be.
        max: usize,
    },
    /// There is no such webhook.
    #[error("there is no webhook `{0}`")]
    WebhookNotFound(String),
    /// There is no such delivery.
    #[error("there is no delivery `{0}`")]
    DeliveryNotFound(String),
    /// The token is not one of a former page.
    #[error("the page token is not one that a former page gave")]
    PageTokenInvalid,
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] planaria_store::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] sqlx::Error),
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
            Error::UrlInvalid(_) => (Code::InvalidArgument, "URL_INVALID"),
            Error::UrlNotAllowed(_) => (Code::InvalidArgument, "URL_NOT_ALLOWED"),
            Error::SecretInvalid(_) => (Code::InvalidArgument, "SECRET_INVALID"),
            Error::DescriptionTooLong(_) => (Code::InvalidArgument, "TOO_MANY"),
            Error::TooManyIds { .. } => (Code::InvalidArgument, "TOO_MANY"),
            Error::TooManyWebhooks(_) => (Code::ResourceExhausted, "TOO_MANY_WEBHOOKS"),
            Error::WebhookNotFound(_) => (Code::NotFound, "WEBHOOK_NOT_FOUND"),
            Error::DeliveryNotFound(_) => (Code::NotFound, "DELIVERY_NOT_FOUND"),
            Error::PageTokenInvalid => (Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Error::Open(_) | Error::Store(_) => (Code::Unavailable, "STORE_UNAVAILABLE"),
            Error::TooManySubscribers(_) => (Code::ResourceExhausted, "TOO_MANY_SUBSCRIBERS"),
            Error::OrchestratorUnavailable(_) => (Code::Unavailable, "ORCHESTRATOR_UNAVAILABLE"),
        };
        if let Error::Open(_) | Error::Store(_) = &error {
            // What the database said stays here: callers can only try again.
            planaria_store::tell("store failed", &error);
        }
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
        if let Error::TooManySubscribers(_) = &error {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_says_when_to_try_again_and_what_does_not_says_nothing() {
        for (error, code, passes) in [
            (Error::TooManySubscribers(9), Code::ResourceExhausted, true),
            // Somebody must delete one first.
            (Error::TooManyWebhooks(9), Code::ResourceExhausted, false),
            (Error::CursorTooOld, Code::OutOfRange, false),
        ] {
            let status = Status::from(error);
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            assert_eq!((status.code(), said), (code, passes.then_some(RETRY_AFTER)), "{status}");
        }
    }
}
