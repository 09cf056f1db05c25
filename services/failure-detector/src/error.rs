//! What can go wrong, by what the caller can do about it.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "planaria.dev";

/// An error of the failure detector.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of range.
    #[error("[failure-detector]: {0}")]
    Settings(String),
    /// A heartbeat is malformed: each field and what is wrong with it.
    #[error("the heartbeat is not valid")]
    HeartbeatInvalid(Vec<(String, String)>),
    /// No worker with this id is connected.
    #[error("worker `{0}` is not connected")]
    WorkerNotFound(String),
    /// As many workers are watched as may be.
    #[error("too many workers: no more are watched")]
    TooManyWorkers,
    /// As many streams follow the workers as may.
    #[error("too many watchers")]
    TooManyWatchers,
    /// The service ends.
    #[error("the failure detector is stopping")]
    Stopping,
}

impl Error {
    fn code_and_reason(&self) -> (Code, &'static str) {
        match self {
            Self::Settings(_) => (Code::Internal, "SETTINGS_INVALID"),
            Self::HeartbeatInvalid(_) => (Code::InvalidArgument, "HEARTBEAT_INVALID"),
            Self::WorkerNotFound(_) => (Code::NotFound, "WORKER_NOT_FOUND"),
            Self::TooManyWorkers => (Code::ResourceExhausted, "TOO_MANY_WORKERS"),
            Self::TooManyWatchers => (Code::ResourceExhausted, "TOO_MANY_WATCHERS"),
            Self::Stopping => (Code::Unavailable, "STOPPING"),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason) = error.code_and_reason();
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, std::collections::HashMap::new());
        if let Error::HeartbeatInvalid(violations) = &error {
            for (field, description) in violations {
                details.add_bad_request_violation(field, description);
            }
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}
