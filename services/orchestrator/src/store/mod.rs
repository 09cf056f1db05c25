//! The port to the orchestrator's store, and its adapters.

#[cfg(test)]
mod conformance;
mod failure;
#[cfg(test)]
mod limit_conformance;
pub(crate) mod limits;
mod plan;
mod postgres;
#[cfg(test)]
mod retention_conformance;
mod rows;
#[cfg(test)]
mod shard_conformance;
mod shards;
mod sqlite;

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use planaria_proto::types::v1::Phase;
use uuid::Uuid;

pub(crate) use postgres::PostgresShardRegistry;
pub use postgres::SCHEMA;
pub(crate) use rows::{
    DefinitionKey, DefinitionRow, LOSSES_ACQUITTED, LogEntry, PhaseChange, Position, RecordWrite,
    SessionRow, StepWrite, Subject, TaskKey, TaskRow, TaskState, TimerKey, Trial, WorkflowRow,
    Write,
};
pub(crate) use shards::{Holder, Shard, ShardRegistry, ShardRow};
pub(crate) use sqlite::SqliteShardRegistry;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else committed first: a history number, session or key is taken.
    #[error("a conflicting change was committed before")]
    Conflict,
    /// Another engine works on the shard now: nothing more is committed by this one.
    #[error("another orchestrator has taken the shard over")]
    Fenced,
    /// The store will never take what was written: it is too large, or breaks a rule.
    #[error("the store refused the change")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store cannot be reached or cannot write.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row cannot be read.
    #[error("the store holds a row that cannot be read: {0}")]
    Corrupt(String),
}

/// What a workflow's row and history say.
#[derive(Clone, Debug)]
pub(crate) struct StoredWorkflow {
    /// The row.
    pub row: WorkflowRow,
    /// Encoded `HistoryRecord`s, in order.
    pub records: Vec<Bytes>,
    /// The open function tasks. Rows that cannot be read are left out.
    pub tasks: Vec<TaskRow>,
}

/// Which workflows a list shows. What is set must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkflowFilter {
    /// One of these phases; empty = any.
    pub phases: Vec<Phase>,
    /// The definition's namespace.
    pub namespace: Option<String>,
    /// The definition's name.
    pub name: Option<String>,
    /// The definition's version.
    pub version: Option<String>,
    /// Started at or after, in Unix milliseconds.
    pub started_after_ms: Option<u64>,
    /// Started before, in Unix milliseconds.
    pub started_before_ms: Option<u64>,
    /// Has a task that waits for a retry.
    pub retrying: bool,
    /// Is frozen.
    pub frozen: bool,
    /// Has a queued task of none of these functions.
    pub waiting_beyond: Option<BTreeSet<String>>,
    /// Older than this workflow.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u32,
}

/// Which workflows have ended long ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    /// Those that completed or were cancelled before, in Unix milliseconds.
    pub over_before_ms: u64,
    /// Those that faulted before.
    pub faulted_before_ms: u64,
}

/// What was found of workflows that ended long ago.
#[derive(Debug)]
pub(crate) struct Expired {
    /// The workflows.
    pub ids: Vec<Uuid>,
    /// Where to go on looking; `None` = there are no more.
    pub next: Option<Uuid>,
}

impl Expiry {
    /// Takes from rows (id, phase, start, end; in the order of ids) what has ended long ago. Ids
    /// are in the order of starts: behind one that began too late there is nothing more to look
    /// for.
    fn choose(self, rows: &[(Uuid, Phase, u64, Option<u64>)], limit: u32) -> Expired {
        let latest_ms = self.over_before_ms.max(self.faulted_before_ms);
        let is_over = |phase: Phase, ended_ms: u64| match phase {
            Phase::Completed | Phase::Cancelled => ended_ms < self.over_before_ms,
            Phase::Faulted => ended_ms < self.faulted_before_ms,
            _ => false,
        };
        let old = rows.iter().take_while(|(_, _, started_ms, _)| *started_ms < latest_ms);
        let ids =
            old.clone().filter(|(_, phase, _, ended)| ended.is_some_and(|at| is_over(*phase, at)));
        let is_whole_page = rows.len() as u64 >= u64::from(limit);
        let next = old.clone().last().filter(|_| is_whole_page && old.count() == rows.len());
        Expired { ids: ids.map(|row| row.0).collect(), next: next.map(|row| row.0) }
    }
}

/// Leaves out rows that cannot be read: one that is damaged is no reason to do without the others.
/// The audit finds what is missing then, and writes it anew from the history.
fn readable<T>(rows: Vec<Result<T, StoreError>>) -> Result<Vec<T>, StoreError> {
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Err(StoreError::Corrupt(what)) => {
                tracing::error!(what, "a row cannot be read; the others go on");
            }
            row => read.push(row?),
        }
    }
    Ok(read)
}

/// `None` instead of a row that cannot be read.
fn known<T>(row: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match row {
        Err(StoreError::Corrupt(_)) => Ok(None),
        row => row.map(Some),
    }
}

/// The orchestrator's store, as the engine of one shard sees it. Every method sees what was
/// committed before it was called.
///
/// What is open, sessions, healings under way and log entries are those of the shard; definitions,
/// and workflows by id, key or condition, are everybody's.
#[async_trait]
pub(crate) trait WorkflowStore: Send + Sync {
    /// The log that this engine writes; logs of a shard are numbered in the order they began.
    fn log(&self) -> u64;
    /// The last position that is committed in the log that this engine writes.
    async fn log_end(&self) -> Result<Position, StoreError>;
    /// Commits all of it in one transaction, or none. Answers the log entries it made, in order.
    /// Fails with [`StoreError::Fenced`] if the log is not the shard's any more.
    async fn commit(&self, writes: &[Write]) -> Result<Vec<LogEntry>, StoreError>;

    /// Publishes a definition. `false` if the key is taken (perhaps by the same document).
    async fn put_definition(&self, definition: &DefinitionRow) -> Result<bool, StoreError>;
    /// One version of a definition.
    async fn definition(&self, key: &DefinitionKey) -> Result<Option<DefinitionRow>, StoreError>;
    /// The keys of all definitions, or those of a namespace or name, in no order that counts.
    async fn definition_keys(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<DefinitionKey>, StoreError>;

    /// A workflow with its whole history.
    async fn workflow(&self, id: Uuid) -> Result<Option<StoredWorkflow>, StoreError>;
    /// A workflow's row.
    async fn workflow_row(&self, id: Uuid) -> Result<Option<WorkflowRow>, StoreError>;
    /// The workflow that an idempotency key started, in whichever shard.
    async fn workflow_by_key(&self, key: &str) -> Result<Option<WorkflowRow>, StoreError>;
    /// Workflows, newest first.
    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<WorkflowRow>, StoreError>;
    /// A workflow's records that hold events behind a number.
    async fn records(&self, id: Uuid, after: u64, limit: u32) -> Result<Vec<Bytes>, StoreError>;
    /// How many workflows are in each phase that is not completed or cancelled.
    async fn phase_counts(&self) -> Result<Vec<(Phase, u64)>, StoreError>;
    /// Faulted workflows of all shards in the order of their ids, behind one.
    async fn faulted(&self, after: Uuid, limit: u32) -> Result<Vec<WorkflowRow>, StoreError>;
    /// Running or waiting workflows with neither task, timer nor listener: nothing moves them.
    async fn quiet_workflows(&self, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError>;
    /// Running tasks whose session is over.
    async fn orphans(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError>;
    /// Tasks that are queued since before a time, in workflows that run.
    async fn queued_before(&self, before_ms: u64, limit: u32) -> Result<Vec<TaskRow>, StoreError>;
    /// Timers of running workflows that were due before a time.
    async fn overdue_timers(&self, before_ms: u64, limit: u32)
    -> Result<Vec<TimerKey>, StoreError>;
    /// Workflows that are over and still have tasks, timers or listeners.
    async fn leftovers(&self, limit: u32) -> Result<Vec<Uuid>, StoreError>;
    /// Workflows that are not over as their rows have it, behind an id in the order of ids.
    async fn open_workflows(&self, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError>;
    /// The timers of a workflow; `None` = one of a kind that does not exist.
    async fn timers_of(&self, id: Uuid) -> Result<Vec<Option<(TimerKey, u64)>>, StoreError>;
    /// The listen tasks of a workflow that are open, with the type they listen to.
    async fn listeners_of(&self, id: Uuid) -> Result<Vec<(TaskKey, String)>, StoreError>;
    /// Workflows that are frozen, and why.
    async fn frozen(&self) -> Result<Vec<(Uuid, String)>, StoreError>;
    /// Which of these workflows, of whatever shard, are frozen, and why.
    async fn frozen_of(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError>;
    /// All listen tasks that are open, with the type they listen to (empty = any).
    async fn listeners(&self) -> Result<Vec<(TaskKey, String)>, StoreError>;

    /// Open function tasks of some workflows.
    async fn tasks_of(&self, ids: &[Uuid]) -> Result<Vec<TaskRow>, StoreError>;
    /// All open function tasks, behind a key, in key order.
    async fn tasks(&self, after: Option<TaskKey>, limit: u32) -> Result<Vec<TaskRow>, StoreError>;
    /// Timers due before a time, the earliest first.
    async fn timers_before(
        &self,
        before_ms: u64,
        limit: u32,
    ) -> Result<Vec<(TimerKey, u64)>, StoreError>;
    /// All sessions of the shard.
    async fn sessions(&self) -> Result<Vec<SessionRow>, StoreError>;
    /// The session of a worker that is not lent, in whichever shard.
    async fn session_of(&self, worker_id: &str) -> Result<Option<Uuid>, StoreError>;
    /// Healings that are under way.
    async fn open_healings(&self) -> Result<Vec<Bytes>, StoreError>;

    /// Log entries behind a position with one of the topics, and the last position looked at.
    async fn log_entries(
        &self,
        after: Position,
        topics: u32,
        limit: u32,
    ) -> Result<(Vec<LogEntry>, Position), StoreError>;
    /// Workflows of the shard that ended long ago, among those behind an id in the order of ids.
    async fn expired(&self, after: Uuid, ended: Expiry, limit: u32) -> Result<Expired, StoreError>;
    /// Removes workflows and their histories. Those that are not over stay.
    async fn forget(&self, ids: &[Uuid]) -> Result<(), StoreError>;
    /// Removes log entries that are of no workflow and older than a time; answers how many.
    async fn trim(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError>;
    /// Behind this position nothing was removed: who has read so far has missed nothing.
    async fn trimmed(&self) -> Result<Position, StoreError>;

    /// The secret that signs task tokens, made on first use.
    async fn token_secret(&self) -> Result<Vec<u8>, StoreError>;
}
