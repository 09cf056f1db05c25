//! What can go wrong, by what the caller can do about it.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const DOMAIN: &str = "planaria.dev";
/// When it makes sense to try again where there are too many.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
        if code == Code::ResourceExhausted {
            // Workers and watchers come and go.
            details.set_retry_info(Some(RETRY_AFTER));
        }
        if let Error::HeartbeatInvalid(violations) = &error {
            for (field, description) in violations {
                details.add_bad_request_violation(field, description);
            }
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
            (Error::TooManyWorkers, Code::ResourceExhausted, true),
            (Error::TooManyWatchers, Code::ResourceExhausted, true),
            (Error::WorkerNotFound("w".into()), Code::NotFound, false),
            (Error::Stopping, Code::Unavailable, false),
        ] {
            let status = Status::from(error);
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            assert_eq!((status.code(), said), (code, passes.then_some(RETRY_AFTER)), "{status}");
        }
    }
}
