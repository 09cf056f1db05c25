//! What kind of end an attempt had, and what that says about retrying and about the far side.

use crate::retry::breaker::Outcome;

/// Status of an answer that asks to slow down.
const TOO_MANY_REQUESTS: u16 = 429;
/// Status of an answer that did not come in time.
const REQUEST_TIMEOUT: u16 = 408;

/// The class of an attempt's end without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Trying again can help.
    Retryable,
    /// Trying again cannot help: the failed side said so.
    NotRetryable,
    /// The far side asks to slow down, or says when to come back.
    Throttled,
    /// There was no answer in time.
    Timeout,
    /// The worker was lost. That is no failure of the function, and no policy limits it.
    WorkerLost,
}

impl ErrorClass {
    /// The class of a failure: its error's type and status, what the failed side said about
    /// trying again, and whether it said when.
    #[must_use]
    pub fn of_failure(kind: &str, status: u16, retryable: bool, says_when: bool) -> Self {
        if !retryable {
            Self::NotRetryable
        } else if status == TOO_MANY_REQUESTS || says_when {
            Self::Throttled
        } else if status == REQUEST_TIMEOUT || kind.ends_with("/timeout") {
            Self::Timeout
        } else {
            Self::Retryable
        }
    }

    /// What it says about the far side: an answer that refuses the request is an answer, one that
    /// asks to slow down says nothing, and neither does a lost worker.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Retryable | Self::Timeout => Outcome::Failed,
            Self::NotRetryable => Outcome::Answered,
            Self::Throttled | Self::WorkerLost => Outcome::Neutral,
        }
    }

    /// The class as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "RETRYABLE",
            Self::NotRetryable => "NON_RETRYABLE",
            Self::Throttled => "THROTTLED",
            Self::Timeout => "TIMEOUT",
            Self::WorkerLost => "WORKER_LOST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_their_class() {
        let timeout = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout";
        let communication = "https://serverlessworkflow.io/spec/1.0.0/errors/communication";
        for (kind, status, retryable, says_when, expected) in [
            (communication, 503, true, false, ErrorClass::Retryable),
            (communication, 503, true, true, ErrorClass::Throttled),
            (communication, 429, true, false, ErrorClass::Throttled),
            (communication, 429, false, true, ErrorClass::NotRetryable),
            (communication, 408, true, false, ErrorClass::Timeout),
            (timeout, 0, true, false, ErrorClass::Timeout),
            (timeout, 408, false, false, ErrorClass::NotRetryable),
        ] {
            let class = ErrorClass::of_failure(kind, status, retryable, says_when);
            assert_eq!(class, expected, "{kind} {status} {retryable} {says_when}");
        }
    }
}
