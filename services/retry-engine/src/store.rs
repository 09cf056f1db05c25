//! The port to the store. What both databases are asked in the same words lies below it.

#[cfg(test)]
pub(crate) mod conformance;

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::retry::v1::DeadLetterState;

use crate::records::{Change, DeadLetter, Fault, Retry, RetryKey};

/// What the retry engine keeps, and the place in the log that it was derived from.
#[tonic::async_trait]
pub(crate) trait RetryStore: Send + Sync + 'static {
    /// The place in the log up to which everything was recorded.
    async fn position(&self) -> Result<Option<LogPosition>, sqlx::Error>;
    /// Does the changes in order and moves the place, in one transaction.
    async fn record(&self, changes: &[Change], position: LogPosition) -> Result<(), sqlx::Error>;

    /// The earliest time at which a decision is due.
    async fn next_due_ms(&self) -> Result<Option<u64>, sqlx::Error>;
    /// Decisions that are due, the earliest first.
    async fn due(&self, now_ms: u64, limit: u32) -> Result<Vec<Retry>, sqlx::Error>;
    /// Removes decisions that the orchestrator has.
    async fn remove(&self, keys: &[RetryKey]) -> Result<(), sqlx::Error>;
    /// Makes a decision due at another time. Tells whether it was there.
    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool, sqlx::Error>;
    /// Retries that wait, the next due first.
    async fn retries(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error>;
    /// All decisions not handed over yet, and all open dead letters.
    async fn counts(&self) -> Result<(u64, u64), sqlx::Error>;

    /// Writes a dead letter that the log did not tell of.
    async fn write_dead_letter(&self, fault: &Fault) -> Result<(), sqlx::Error>;
    /// The newest first, behind `before` (creation time and id).
    async fn dead_letters(
        &self,
        state: DeadLetterState,
        workflow: &str,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, sqlx::Error>;
    /// How many there are in a state.
    async fn dead_letter_count(&self, state: DeadLetterState) -> Result<u64, sqlx::Error>;
    /// One dead letter.
    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, sqlx::Error>;
    /// Settles a dead letter; one that the log resolved may still become redriven.
    async fn settle(&self, id: &str, state: DeadLetterState, at_ms: u64)
    -> Result<(), sqlx::Error>;
    /// Clears away settled dead letters: all but the newest `settled_max`, and those from before.
    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<(), sqlx::Error>;
    /// Forgets why tasks were given up before a time, where that was handed over.
    async fn clear_give_ups(&self, before_ms: u64) -> Result<(), sqlx::Error>;

    /// Open dead letters (workflow, id) behind a workflow, in the order of workflows.
    async fn open_after(
        &self,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, sqlx::Error>;
    /// Decisions behind a workflow, in the order of workflows.
    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error>;
}
