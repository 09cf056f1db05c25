//! The store in SQLite.

mod dead_letters;
mod retries;
mod rows;

use std::path::Path;

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::retry::v1::DeadLetterState;
use planaria_store::{Migration, SqliteSettings, SqliteStore, sqlite};
use sqlx::{Row, SqliteConnection};

use crate::records::{Change, DeadLetter, Fault, Retry, RetryKey};
use crate::store::RetryStore;

const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_retries", sql: include_str!("sqlite/0001_retries.sql") }];

/// The retry engine's own file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteRetryStore {
    store: SqliteStore,
}

impl SqliteRetryStore {
    pub(crate) async fn open(
        path: &Path,
        settings: &SqliteSettings,
    ) -> Result<Self, planaria_store::Error> {
        let store = sqlite::open_with(path, MIGRATIONS, settings).await?;
        Ok(Self { store })
    }
}

#[tonic::async_trait]
impl RetryStore for SqliteRetryStore {
    async fn position(&self) -> Result<Option<LogPosition>, sqlx::Error> {
        let row = sqlx::query("SELECT log, seq FROM position")
            .fetch_optional(self.store.readers())
            .await?;
        row.map(|row| {
            Ok(LogPosition { log: rows::unsigned(&row, "log")?, seq: rows::unsigned(&row, "seq")? })
        })
        .transpose()
    }

    async fn record(&self, changes: &[Change], position: LogPosition) -> Result<(), sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        for change in changes {
            apply(&mut transaction, change).await?;
        }
        sqlx::query("INSERT OR REPLACE INTO position (id, log, seq) VALUES (1, ?, ?)")
            .bind(position.log.cast_signed())
            .bind(position.seq.cast_signed())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    async fn next_due_ms(&self) -> Result<Option<u64>, sqlx::Error> {
        let due: Option<i64> = sqlx::query_scalar("SELECT min(due_at_ms) FROM retries")
            .fetch_one(self.store.readers())
            .await?;
        Ok(due.map(i64::cast_unsigned))
    }

    async fn due(&self, now_ms: u64, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        retries::due(self.store.readers(), now_ms, limit).await
    }

    async fn remove(&self, keys: &[RetryKey]) -> Result<(), sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        for key in keys {
            retries::remove(&mut transaction, key).await?;
        }
        transaction.commit().await
    }

    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool, sqlx::Error> {
        retries::reschedule(self.store.writer(), key, due_at_ms).await
    }

    async fn retries(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        retries::waiting(self.store.readers(), workflow, limit).await
    }

    async fn counts(&self) -> Result<(u64, u64), sqlx::Error> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM retries) AS retries,
                    (SELECT count(*) FROM dead_letters WHERE state = 1) AS open",
        )
        .fetch_one(self.store.readers())
        .await?;
        Ok((rows::unsigned(&row, "retries")?, rows::unsigned(&row, "open")?))
    }

    async fn write_dead_letter(&self, fault: &Fault) -> Result<(), sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        dead_letters::write(&mut transaction, fault).await?;
        transaction.commit().await
    }

    async fn dead_letters(
        &self,
        state: DeadLetterState,
        workflow: &str,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, sqlx::Error> {
        dead_letters::list(self.store.readers(), state, workflow, before, limit).await
    }

    async fn dead_letter_count(&self, state: DeadLetterState) -> Result<u64, sqlx::Error> {
        dead_letters::count(self.store.readers(), state).await
    }

    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, sqlx::Error> {
        dead_letters::get(self.store.readers(), id).await
    }

    async fn settle(
        &self,
        id: &str,
        state: DeadLetterState,
        at_ms: u64,
    ) -> Result<(), sqlx::Error> {
        dead_letters::settle(self.store.writer(), id, state, at_ms).await
    }

    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<(), sqlx::Error> {
        dead_letters::clear(self.store.writer(), settled_max, before_ms).await
    }

    async fn clear_give_ups(&self, before_ms: u64) -> Result<(), sqlx::Error> {
        retries::clear_give_ups(self.store.writer(), before_ms).await
    }

    async fn open_after(
        &self,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, sqlx::Error> {
        let open = sqlx::query(
            "SELECT workflow_id, id FROM dead_letters WHERE state = 1 AND workflow_id > ?
             ORDER BY workflow_id LIMIT ?",
        );
        let found = open.bind(workflow).bind(limit).fetch_all(self.store.readers()).await?;
        found.iter().map(|row| Ok((row.try_get("workflow_id")?, row.try_get("id")?))).collect()
    }

    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        retries::after(self.store.readers(), workflow, limit).await
    }
}

async fn apply(connection: &mut SqliteConnection, change: &Change) -> Result<(), sqlx::Error> {
    match change {
        Change::Decided(retry) => retries::put(connection, retry).await,
        Change::Faulted(fault) => {
            dead_letters::write(connection, fault).await?;
            retries::forget(connection, &fault.workflow).await
        }
        Change::WentOn { workflow, redriven, at_ms } => {
            let state =
                if *redriven { DeadLetterState::Redriven } else { DeadLetterState::Resolved };
            dead_letters::settle_of(connection, workflow, state, *at_ms).await?;
            retries::forget(connection, workflow).await
        }
        Change::Over { workflow, at_ms } => {
            let state = DeadLetterState::Resolved;
            dead_letters::settle_of(connection, workflow, state, *at_ms).await?;
            retries::forget(connection, workflow).await
        }
    }
}

#[cfg(test)]
mod tests;
