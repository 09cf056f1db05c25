//! The PostgreSQL adapter: one database, many orchestrators, a writer for each shard.

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

use async_trait::async_trait;
use bytes::Bytes;
use planaria_proto::types::v1::Phase;
use planaria_store::{Migration, PostgresSchema, PostgresStore, retried};
use sqlx::Row;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::plan::Plan;
use super::{
    DefinitionKey, DefinitionRow, Expired, Expiry, LogEntry, Position, SessionRow, Shard,
    StoreError, StoredWorkflow, TaskKey, TaskRow, TimerKey, WorkflowFilter, WorkflowRow,
    WorkflowStore, Write, failure,
};
use commit::Writer;

pub(crate) use registry::PostgresShardRegistry;

/// The orchestrator's part of the database.
pub const SCHEMA: PostgresSchema = PostgresSchema {
    name: "orchestrator",
    migrations: &[
        Migration { name: "0001_orchestrator", sql: include_str!("0001_orchestrator.sql") },
        Migration { name: "0002_retention", sql: include_str!("0002_retention.sql") },
        Migration { name: "0003_limits", sql: include_str!("0003_limits.sql") },
        Migration { name: "0004_frozen", sql: include_str!("0004_frozen.sql") },
    ],
};

/// The orchestrator's store as the writer of a log sees it.
pub(crate) struct PostgresWorkflowStore {
    store: PostgresStore,
    /// The same for commits, which wait for no reader's connection.
    writer: PostgresStore,
    shard: Shard,
    log: u64,
    state: Mutex<WriterState>,
}

/// What the writer knows of its log.
struct WriterState {
    /// The epoch that its commits name.
    epoch: i64,
    /// Number of the last log entry committed; not known after a failure.
    last_seq: Option<u64>,
}

impl PostgresWorkflowStore {
    /// The store as the writer of a log sees it. The log has just begun.
    #[must_use]
    fn new(store: PostgresStore, writer: PostgresStore, shard: Shard, log: u64) -> Self {
        let state = WriterState { epoch: 0, last_seq: Some(0) };
        Self { store, writer, shard, log, state: Mutex::new(state) }
    }

    /// The last entry of the log. If it is not known, a commit may still be under way somewhere:
    /// this waits for it, or makes it come too late, by a new epoch in the row that commits hold.
    async fn known(&self, state: &mut WriterState) -> Result<u64, StoreError> {
        if let Some(seq) = state.last_seq {
            return Ok(seq);
        }
        let raise = sqlx::query(
            "UPDATE shards SET epoch = epoch + 1
             WHERE shard = $1 AND log = $2 AND holder <> '' RETURNING epoch",
        );
        let raise = raise.bind(i32::from(self.shard.0)).bind(self.log as i64);
        let row = self.writer.row(raise).await?.ok_or(StoreError::Fenced)?;
        state.epoch = row.try_get("epoch")?;
        let seq = query::last_seq(&self.writer, self.shard, self.log).await?;
        state.last_seq = Some(seq);
        Ok(seq)
    }
}

/// The number of a position in the store.
const fn position_number(position: Position) -> i64 {
    ((position.log << 40) | position.seq) as i64
}

/// The position of a number in the store.
const fn position_of(number: i64) -> Position {
    let number = number as u64;
    Position { log: number >> 40, seq: number & ((1 << 40) - 1) }
}

#[async_trait]
impl WorkflowStore for PostgresWorkflowStore {
    fn log(&self) -> u64 {
        self.log
    }

    async fn log_end(&self) -> Result<Position, StoreError> {
        let mut state = self.state.lock().await;
        let seq = self.known(&mut state).await?;
        Ok(Position { log: self.log, seq })
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<LogEntry>, StoreError> {
        let mut state = self.state.lock().await;
        let last = self.known(&mut state).await?;
        let plan = Plan::of(writes, self.log, last);
        let writer = Writer { shard: self.shard, log: self.log, epoch: state.epoch };
        // Forgotten if this future is dropped in the middle: the next one asks.
        state.last_seq = None;
        let outcome = retried(|| commit::commit(&self.writer, writer, &plan)).await;
        match outcome {
            Ok(true) => {
                state.last_seq = Some(last + plan.log.len() as u64);
                Ok(plan.log)
            }
            // Either the shard is somebody else's, or the epoch is another: this asks which.
            Ok(false) => self.known(&mut state).await.and(Err(StoreError::Conflict)),
            Err(error) => {
                if !failure::is_open(&error) {
                    state.last_seq = Some(last);
                }
                Err(error.into())
            }
        }
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
        query::phase_counts(&self.store, self.shard).await
    }

    async fn faulted(&self, after: Uuid, limit: u32) -> Result<Vec<WorkflowRow>, StoreError> {
        query::in_phase(&self.store, Phase::Faulted, after, limit).await
    }

    async fn quiet_workflows(&self, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        query::quiet_workflows(&self.store, self.shard, after, limit).await
    }

    async fn orphans(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        query::orphans(&self.store, self.shard, limit).await
    }

    async fn queued_before(&self, before_ms: u64, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        query::queued_before(&self.store, self.shard, before_ms, limit).await
    }

    async fn overdue_timers(
        &self,
        before_ms: u64,
        limit: u32,
    ) -> Result<Vec<TimerKey>, StoreError> {
        query::overdue_timers(&self.store, self.shard, before_ms, limit).await
    }

    async fn leftovers(&self, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        query::leftovers(&self.store, self.shard, limit).await
    }

    async fn open_workflows(&self, after: Uuid, limit: u32) -> Result<Vec<Uuid>, StoreError> {
        query::open_workflows(&self.store, self.shard, after, limit).await
    }

    async fn timers_of(&self, id: Uuid) -> Result<Vec<Option<(TimerKey, u64)>>, StoreError> {
        read::timers_of(&self.store, id).await
    }

    async fn listeners_of(&self, id: Uuid) -> Result<Vec<(TaskKey, String)>, StoreError> {
        read::listeners_of(&self.store, id).await
    }

    async fn frozen(&self) -> Result<Vec<(Uuid, String)>, StoreError> {
        frozen::all(&self.store, self.shard).await
    }

    async fn frozen_of(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, StoreError> {
        frozen::of(&self.store, ids).await
    }

    async fn listeners(&self) -> Result<Vec<(TaskKey, String)>, StoreError> {
        read::listeners(&self.store, self.shard).await
    }

    async fn tasks_of(&self, ids: &[Uuid]) -> Result<Vec<TaskRow>, StoreError> {
        read::tasks_of(&self.store, ids).await
    }

    async fn tasks(&self, after: Option<TaskKey>, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        read::tasks(&self.store, self.shard, after, limit).await
    }

    async fn timers_before(
        &self,
        before_ms: u64,
        limit: u32,
    ) -> Result<Vec<(TimerKey, u64)>, StoreError> {
        read::timers_before(&self.store, self.shard, before_ms, limit).await
    }

    async fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        read::sessions(&self.store, self.shard).await
    }

    async fn session_of(&self, worker_id: &str) -> Result<Option<Uuid>, StoreError> {
        read::session_of(&self.store, worker_id).await
    }

    async fn open_healings(&self) -> Result<Vec<Bytes>, StoreError> {
        read::open_healings(&self.store, self.shard).await
    }

    async fn log_entries(
        &self,
        after: Position,
        topics: u32,
        limit: u32,
    ) -> Result<(Vec<LogEntry>, Position), StoreError> {
        query::log_entries(&self.store, self.shard, after, topics, limit).await
    }

    async fn expired(&self, after: Uuid, ended: Expiry, limit: u32) -> Result<Expired, StoreError> {
        retention::expired(&self.store, self.shard, after, ended, limit).await
    }

    async fn forget(&self, ids: &[Uuid]) -> Result<(), StoreError> {
        retention::forget(&self.store, (self.shard, self.log), ids).await
    }

    async fn trim(&self, before_ms: u64, limit: u32) -> Result<u64, StoreError> {
        retention::trim(&self.store, (self.shard, self.log), before_ms, limit).await
    }

    async fn trimmed(&self) -> Result<Position, StoreError> {
        retention::trimmed(&self.store, self.shard).await
    }

    async fn token_secret(&self) -> Result<Vec<u8>, StoreError> {
        let fresh: [u8; 32] = rand::random();
        let make = "INSERT INTO secrets VALUES ('task-token', $1) ON CONFLICT DO NOTHING";
        self.store.execute(sqlx::query(make).bind(&fresh[..])).await?;
        let read = sqlx::query("SELECT value FROM secrets WHERE name = 'task-token'");
        let row = self.store.row(read).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(row.try_get("value")?)
    }
}
