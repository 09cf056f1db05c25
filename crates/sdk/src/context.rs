//! What a function knows about its attempt, and what it can tell.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use planaria_proto::types::v1::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::task_error::shortened;
use crate::{TaskError, clock};

const PROGRESS_BYTES_MAX: usize = 256;
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// Handed to every function; cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    attempt: Arc<Attempt>,
    /// Has the next heartbeat sent early.
    beat_soon: Arc<Notify>,
}

impl Context {
    pub(crate) fn new(attempt: Arc<Attempt>, beat_soon: Arc<Notify>) -> Self {
        Self { attempt, beat_soon }
    }

    /// The workflow that the task belongs to.
    #[must_use]
    pub fn workflow_id(&self) -> &str {
        &self.attempt.assignment.workflow_id
    }

    /// The task's JSON pointer within its definition.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.attempt.assignment.task
    }

    /// The task's name.
    #[must_use]
    pub fn task_name(&self) -> &str {
        &self.attempt.assignment.name
    }

    /// The number of this attempt: 1 for the first, rising over losses, retries and redrives.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt.assignment.attempt
    }

    /// Names this attempt in heartbeats and logs.
    #[must_use]
    pub fn attempt_id(&self) -> &str {
        self.attempt.id()
    }

    /// The same for every attempt of this task: give it to side effects, so that doing them twice
    /// is doing them once.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.attempt.assignment.idempotency_key
    }

    /// The attempt's span, as the W3C header `traceparent`, if the workflow's trace is recorded:
    /// for what is traced by other means than [`tracing`] and the layer of [`crate::telemetry`].
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        Some(self.attempt.assignment.trace_parent.as_str()).filter(|text| !text.is_empty())
    }

    /// Says that the work goes on, and how far it is, in a few words for people (at most 256
    /// bytes, the rest is cut). Travels with the next heartbeat.
    pub fn progress(&self, progress: impl Into<String>) {
        self.attempt.progressed(shortened(progress.into(), PROGRESS_BYTES_MAX));
    }

    /// Leaves a note for the next attempt, in case this one does not end well. Counts as progress.
    ///
    /// # Errors
    /// The value does not become JSON, or more than 64 KiB of it.
    pub fn checkpoint<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), TaskError> {
        let data = serde_json::to_vec(value)?;
        if data.len() > CHECKPOINT_BYTES_MAX {
            let text = format!("a checkpoint of {} bytes is over 64 KiB", data.len());
            return Err(TaskError::permanent(text));
        }
        let checkpoint = Payload { content_type: String::new(), data: Bytes::from(data) };
        self.attempt.set_checkpoint(checkpoint);
        self.beat_soon.notify_one();
        Ok(())
    }

    /// The newest checkpoint: of this attempt, or else the one an earlier attempt left.
    ///
    /// # Errors
    /// It is there but is not a `T`.
    pub fn last_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, TaskError> {
        let Some(checkpoint) = self.attempt.checkpoint() else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&checkpoint.data)?))
    }

    /// Cancelled when the attempt should stop. An asynchronous function is dropped shortly after;
    /// a blocking one has to look here by itself.
    #[must_use]
    pub fn cancellation(&self) -> &CancellationToken {
        &self.attempt.cancel
    }

    /// Whether the attempt should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.attempt.cancel.is_cancelled()
    }

    /// How long until the task's timeout strikes; none = the task has no timeout.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.attempt.assignment.deadline?;
        let seconds = u64::try_from(deadline.seconds).unwrap_or(0);
        let nanos = u32::try_from(deadline.nanos).unwrap_or(0).min(999_999_999);
        Some(Duration::new(seconds, nanos).saturating_sub(clock::since_epoch()))
    }

    /// When the task's timeout strikes; none = the task has no timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<tokio::time::Instant> {
        tokio::time::Instant::now().checked_add(self.time_left()?)
    }
}
