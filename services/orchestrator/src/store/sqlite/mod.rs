//! The SQLite adapter: one file, one writer, one orchestrator.

mod commit;
mod frozen;
mod limits;
mod query;
mod read;
mod registry;
mod retention;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use planaria_proto::types::v1::Phase;
use planaria_store::{Migration, SqliteStore};
use uuid::Uuid;

use super::{
    DefinitionKey, DefinitionRow, Expired, Expiry, LogEntry, Position, SessionRow, StoreError,
    StoredWorkflow, TaskKey, TaskRow, TimerKey, WorkflowFilter, WorkflowRow, WorkflowStore, Write,
};

const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_orchestrator", sql: include_str!("0001_orchestrator.sql") },
    Migration { name: "0002_retention", sql: include_str!("0002_retention.sql") },
    Migration { name: "0003_limits", sql: include_str!("0003_limits.sql") },
    Migration { name: "0004_frozen", sql: include_str!("0004_frozen.sql") },
];

pub(crate) use registry::SqliteShardRegistry;

/// The orchestrator's store in a SQLite file.
pub(crate) struct SqliteWorkflowStore {
    store: SqliteStore,
    log: u64,
    /// Number of the last log entry committed. Only the writer moves it.
    last_seq: AtomicU64,
    /// Whether that number is known: after a failure it may or may not have moved.
    is_known: AtomicBool,
    /// The log that may be written; 0 = none.
    current: Arc<AtomicU64>,
}

impl SqliteWorkflowStore {
    /// The store as the writer of a log sees it. The log has just begun.
    #[must_use]
    const fn new(store: SqliteStore, log: u64, current: Arc<AtomicU64>) -> Self {
        let (last_seq, is_known) = (AtomicU64::new(0), AtomicBool::new(true));
        Self { store, log, last_seq, is_known, current }
    }

    /// What the file has said of itself is told once, and to health.
    fn note(&self, error: &StoreError) {
        if let StoreError::Failed(source) = error
            && let Some(source) = source.downcast_ref()
        {
            self.store.met(source);
        }
    }
}

/// The number of a position in the store.
pub(super) const fn position_number(position: Position) -> i64 {
    ((position.log << 40) | position.seq) as i64
}

/// The position of a number in the store.
pub(super) const fn position_of(number: i64) -> Position {
    let number = number as u64;
    Position { log: number >> 40, seq: number & ((1 << 40) - 1) }
}

#[async_trait]
impl WorkflowStore for SqliteWorkflowStore {
    fn log(&self) -> u64 {
        self.log
    }

    async fn log_end(&self) -> Result<Position, StoreError> {
        if !self.is_known.load(Ordering::Acquire) {
            let seq = query::last_seq(&self.store, self.log).await?;
            self.last_seq.store(seq, Ordering::Release);
            self.is_known.store(true, Ordering::Release);
        }
        Ok(Position { log: self.log, seq: self.last_seq.load(Ordering::Acquire) })
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<LogEntry>, StoreError> {
        if self.current.load(Ordering::Acquire) != self.log {
            return Err(StoreError::Fenced);
        }
        let last = self.log_end().await?.seq;
        // A failed commit may have been made nevertheless; the next one must ask.
        self.is_known.store(false, Ordering::Release);
        let entries = commit::commit(&self.store, writes, self.log, last).await;
        let entries = entries.inspect_err(|error| self.note(error))?;
        self.last_seq.store(last + entries.len() as u64, Ordering::Release);
        self.is_known.store(true, Ordering::Release);
        Ok(entries)
    }

    async fn put_definition(&self, definition: &DefinitionRow) -> Result<bool, StoreError> {
        read::put_definition(&self.store, definition).await
    }

    async fn definition(&self, key: &DefinitionKey) -> Result<Option<DefinitionRow>, StoreError> {
        read::definition(&self.store, key).await
    }

    async fn definition_keys(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<DefinitionKey>, StoreError> {
        read::definition_keys(&self.store, namespace, name).await
    }

    async fn workflow(&self, id: Uuid) -> Result<Option<StoredWorkflow>, StoreError> {
        let Some(row) = read::workflow_row(&self.store, id).await? else { return Ok(None) };
        let records = read::records(&self.store, id, 0, u32::MAX).await?;
        let tasks = read::tasks_of(&self.store, &[id]).await?;
        Ok(Some(StoredWorkflow { row, records, tasks }))
    }

    async fn workflow_row(&self, id: Uuid) -> Result<Option<WorkflowRow>, StoreError> {
        read::workflow_row(&self.store, id).await
    }

    async fn workflow_by_key(&self, key: &str) -> Result<Option<WorkflowRow>, StoreError> {
        read::workflow_by_key(&self.store, key).await
    }

    async fn workflows(&self, filter: &WorkflowFilter) -> Result<Vec<WorkflowRow>, StoreError> {
        query::workflows(&self.store, filter).await
    }

    async fn records(&self, id: Uuid, after: u64, limit: u32) -> Result<Vec<Bytes>, StoreError> {
        read::records(&self.store, id, after, limit).await
    }

    async fn phase_counts(&self) -> Result<Vec<(Phase, u64)>, StoreError> {
        query::phase_counts(&self.store).await
    }

    async fn faulted(&self, after: Uuid, limit: u32) -> Result<Vec<WorkflowRow>, StoreError> {
        query::in_phase(&self.store, Phase::Faulted, after, limit).await
    }

    async fn quiet_workflows(&self, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        query::quiet_workflows(&self.store, after, limit).await
    }

    async fn orphans(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        query::orphans(&self.store, limit).await
    }

    async fn queued_before(&self, before_ms: u64, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        query::queued_before(&self.store, before_ms, limit).await
    }

    async fn overdue_timers(
        &self,
        before_ms: u64,
        limit: u32,
    ) -> Result<Vec<TimerKey>, StoreError> {
        query::overdue_timers(&self.store, before_ms, limit).await
    }

    async fn leftovers(&self, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        query::leftovers(&self.store, limit).await
    }

    async fn open_workflows(&self, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        query::open_workflows(&self.store, after, limit).await
    }

    async fn timers_of(&self, id: Uuid) -> Result<Vec<Option<(TimerKey, u64)>>, StoreError> {
        read::timers_of(&self.store, id).await
    }

    async fn listeners_of(&self, id: Uuid) -> Result<Vec<(TaskKey, String)>, StoreError> {
        read::listeners_of(&self.store, id).await
    }

    async fn frozen(&self) -> Result<Vec<(Uuid, String)>, StoreError> {
        frozen::all(&self.store).await
    }

    async fn frozen_of(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError> {
        frozen::of(&self.store, ids).await
    }

    async fn listeners(&self) -> Result<Vec<(TaskKey, String)>, StoreError> {
        read::listeners(&self.store).await
    }

    async fn tasks_of(&self, ids: &[Uuid]) -> Result<Vec<TaskRow>, StoreError> {
        read::tasks_of(&self.store, ids).await
    }

    async fn tasks(&self, after: Option<TaskKey>, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        read::tasks(&self.store, after, limit).await
    }

    async fn timers_before(
        &self,
        before_ms: u64,
        limit: u32,
    ) -> Result<Vec<(TimerKey, u64)>, StoreError> {
        read::timers_before(&self.store, before_ms, limit).await
    }

    async fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        read::sessions(&self.store).await
    }

    async fn session_of(&self, worker_id: &str) -> Result<Option<Uuid>, StoreError> {
        read::session_of(&self.store, worker_id).await
    }

    async fn open_healings(&self) -> Result<Vec<Bytes>, StoreError> {
        read::open_healings(&self.store).await
    }

    async fn log_entries(
        &self,
        after: Position,
        topics: u32,
        limit: u32,
    ) -> Result<(Vec<LogEntry>, Position), StoreError> {
        query::log_entries(&self.store, after, topics, limit).await
    }

    async fn expired(&self, after: Uuid, ended: Expiry, limit: u32) -> Result<Expired, StoreError> {
        retention::expired(&self.store, after, ended, limit).await
    }

    async fn forget(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        if self.current.load(Ordering::Acquire) != self.log {
            return Err(StoreError::Fenced);
        }
        retention::forget(&self.store, ids).await
    }

    async fn trim(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        retention::trim(&self.store, before_ms, limit).await
    }

    async fn trimmed(&self) -> Result<Position, StoreError> {
        retention::trimmed(&self.store).await
    }

    async fn token_secret(&self) -> Result<Vec<u8>, StoreError> {
        let fresh: [u8; 32] = rand::random();
        sqlx::query("INSERT INTO secrets VALUES ('task-token', ?) ON CONFLICT DO NOTHING")
            .bind(&fresh[..])
            .execute(self.store.writer())
            .await?;
        let secret = sqlx::query_scalar("SELECT value FROM secrets WHERE name = 'task-token'");
        Ok(secret.fetch_one(self.store.writer()).await?)
    }
}
