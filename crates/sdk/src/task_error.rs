//! How a function says that it failed.

use std::fmt;
use std::time::Duration;

use planaria_proto::task::v1::Failure;
use planaria_proto::types::v1::WorkflowError;

use crate::clock;

/// The type of errors that say nothing better about themselves.
pub const RUNTIME: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/runtime";
/// The type of errors in talking to somebody else.
pub const COMMUNICATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/communication";
/// The type of errors about arguments that make no sense.
pub const VALIDATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/validation";
/// The type of errors about something that is not set up.
pub const CONFIGURATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/configuration";
/// The type of errors about something that took too long.
pub const TIMEOUT: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout";

/// Longest detail that is reported.
const DETAIL_BYTES_MAX: usize = 4 * 1024;

/// A failed attempt: an error as workflows catch it, and whether trying again can help.
///
/// Any error converts into a retryable one, so `?` works in functions. (That is also why this type
/// is not a [`std::error::Error`] itself.)
#[derive(Debug, Clone, PartialEq)]
pub struct TaskError {
    kind: String,
    status: i32,
    title: String,
    detail: String,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl TaskError {
    /// Trying again can help: the retry policies decide.
    #[must_use]
    pub fn retryable(detail: impl Into<String>) -> Self {
        Self {
            kind: RUNTIME.to_owned(),
            status: 500,
            title: "The function failed".to_owned(),
            detail: shortened(detail.into(), DETAIL_BYTES_MAX),
            retryable: true,
            retry_after: None,
        }
    }

    /// Trying again cannot help: the error is raised in the workflow at once.
    #[must_use]
    pub fn permanent(detail: impl Into<String>) -> Self {
        Self { retryable: false, ..Self::retryable(detail) }
    }

    /// The URI of the kind of error, which workflows catch it by.
    #[must_use]
    pub fn with_type(mut self, uri: impl Into<String>) -> Self {
        self.kind = uri.into();
        self
    }

    /// A status code in the sense of HTTP.
    #[must_use]
    pub fn with_status(mut self, status: i32) -> Self {
        self.status = status;
        self
    }

    /// A short text that is the same for every error of the kind.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// A retry makes sense, but not before this long.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The URI of the kind of error.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The status code in the sense of HTTP.
    #[must_use]
    pub fn status(&self) -> i32 {
        self.status
    }

    /// What happened, for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The delay that the failed side asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn into_failure(self) -> Failure {
        Failure {
            error: Some(WorkflowError {
                r#type: self.kind,
                status: self.status,
                title: self.title,
                detail: self.detail,
                instance: String::new(),
            }),
            retryable: self.retryable,
            retry_after: self.retry_after.map(clock::to_proto),
            checkpoint: None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.title, self.detail)
    }
}

impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            detail.push_str(": ");
            detail.push_str(&error.to_string());
            cause = error.source();
        }
        Self::retryable(detail)
    }
}

/// At most so many bytes of the text, cut between characters.
pub(crate) fn shortened(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_retryable_failure_with_its_causes() {
        let error = std::io::Error::other("the disk is full");
        let failure = TaskError::from(error).into_failure();
        assert!(failure.retryable);
        assert_eq!(failure.error.expect("an error").detail, "the disk is full");
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let error = TaskError::permanent("é".repeat(DETAIL_BYTES_MAX));
        assert_eq!(error.detail().len(), DETAIL_BYTES_MAX);
        assert_eq!(shortened("aé".to_owned(), 2), "a");
    }
}
