//! Why somebody is not let in, with reasons that stay stable.

use std::time::Duration;

use planaria_runtime::identity::Refused;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Why a call stays outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("no API key was shown: send the metadata `authorization: Bearer planaria_...`")]
    KeyMissing,
    #[error("this is not a valid API key")]
    KeyInvalid,
    #[error("the API key {key_id} has expired")]
    KeyExpired { key_id: String },
    #[error("the API key {key_id} was revoked")]
    KeyRevoked { key_id: String },
    /// In the middle of a call.
    #[error("the API key {key_id} was revoked or has expired, and its calls end with it")]
    KeyEnded { key_id: String },
    /// The store could not be read for too long.
    #[error("whether the API key is valid cannot be told now; try again")]
    Unknown,
    /// The key is good, but not for this.
    #[error(transparent)]
    Rule(Refused),
    #[error("the API key is used faster than its limit")]
    TooFast { retry_after: Duration },
}

impl Denied {
    /// A stable word for metrics, logs and clients.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::KeyMissing => "API_KEY_MISSING",
            Self::KeyInvalid => "API_KEY_INVALID",
            Self::KeyExpired { .. } => "API_KEY_EXPIRED",
            Self::KeyRevoked { .. } => "API_KEY_REVOKED",
            Self::KeyEnded { .. } => "API_KEY_ENDED",
            Self::Unknown => "ACCESS_UNKNOWN",
            Self::Rule(refused) => refused.reason(),
            Self::TooFast { .. } => "RATE_LIMITED",
        }
    }

    /// Whose key it was, where it proved to be somebody's.
    pub(crate) fn key_id(&self) -> Option<&str> {
        match self {
            Self::KeyExpired { key_id }
            | Self::KeyRevoked { key_id }
            | Self::KeyEnded { key_id } => Some(key_id),
            _ => None,
        }
    }

    pub(crate) fn status(&self, domain: &str) -> Status {
        let code = match self {
            Self::KeyMissing | Self::KeyInvalid => Code::Unauthenticated,
            Self::KeyExpired { .. } | Self::KeyRevoked { .. } | Self::KeyEnded { .. } => {
                Code::Unauthenticated
            }
            Self::Unknown => Code::Unavailable,
            Self::Rule(refused) => return refused.status(),
            Self::TooFast { .. } => Code::ResourceExhausted,
        };
        let mut details = ErrorDetails::with_error_info(self.reason(), domain, []);
        if let Self::TooFast { retry_after } = self {
            details.set_retry_info(Some(*retry_after));
        }
        Status::with_error_details(code, self.to_string(), details)
    }
}
