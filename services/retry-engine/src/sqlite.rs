//! The store in SQLite: the retry engine's own file.

#[path = "store/changes.rs"]
mod changes;
#[path = "store/dead_letters.rs"]
mod dead_letters;
#[path = "store/retries.rs"]
mod retries;
#[path = "store/rows.rs"]
mod rows;

use std::path::Path;

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::retry::v1::DeadLetterState;
use planaria_store::{Migration, SqliteSession, SqliteSettings, SqliteStore, sqlite};
use sqlx::sqlite::SqliteRow as Row;

use crate::records::{Change, DeadLetter, Fault, Retry, RetryKey};
use crate::store::RetryStore;

type Session<'c> = SqliteSession<'c>;

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
        let mut connection = self.store.readers().acquire().await?;
        changes::position(&mut SqliteSession(&mut connection)).await
    }

    async fn record(&self, changes: &[Change], position: LogPosition) -> Result<(), sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        changes::record(&mut SqliteSession(&mut transaction), changes, position).await?;
        transaction.commit().await
    }

    async fn next_due_ms(&self) -> Result<Option<u64>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        retries::next_due_ms(&mut SqliteSession(&mut connection)).await
    }

    async fn due(&self, now_ms: u64, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        retries::due(&mut SqliteSession(&mut connection), now_ms, limit).await
    }

    async fn remove(&self, keys: &[RetryKey]) -> Result<(), sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        retries::remove(&mut SqliteSession(&mut transaction), keys).await?;
        transaction.commit().await
    }

    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool, sqlx::Error> {
        let mut connection = self.store.writer().acquire().await?;
        retries::reschedule(&mut SqliteSession(&mut connection), key, due_at_ms).await
    }

    async fn retries(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        retries::waiting(&mut SqliteSession(&mut connection), workflow, limit).await
    }

    async fn counts(&self) -> Result<(u64, u64), sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        dead_letters::counts(&mut SqliteSession(&mut connection)).await
    }

    async fn write_dead_letter(&self, fault: &Fault) -> Result<(), sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        dead_letters::write(&mut SqliteSession(&mut transaction), fault).await?;
        transaction.commit().await
    }

    async fn dead_letters(
        &self,
        state: DeadLetterState,
        workflow: &str,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        dead_letters::list(&mut SqliteSession(&mut connection), state, workflow, before, limit).await
    }

    async fn dead_letter_count(&self, state: DeadLetterState) -> Result<u64, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        dead_letters::count(&mut SqliteSession(&mut connection), state).await
    }

    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        dead_letters::get(&mut SqliteSession(&mut connection), id).await
    }

    async fn settle(
        &self,
        id: &str,
        state: DeadLetterState,
        at_ms: u64,
    ) -> Result<(), sqlx::Error> {
        let mut connection = self.store.writer().acquire().await?;
        dead_letters::settle(&mut SqliteSession(&mut connection), id, state, at_ms).await
    }

    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<(), sqlx::Error> {
        let mut connection = self.store.writer().acquire().await?;
        dead_letters::clear(&mut SqliteSession(&mut connection), settled_max, before_ms).await
    }

    async fn clear_give_ups(&self, before_ms: u64) -> Result<(), sqlx::Error> {
        let mut connection = self.store.writer().acquire().await?;
        retries::clear_give_ups(&mut SqliteSession(&mut connection), before_ms).await
    }

    async fn open_after(
        &self,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        dead_letters::open_after(&mut SqliteSession(&mut connection), workflow, limit).await
    }

    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        retries::after(&mut SqliteSession(&mut connection), workflow, limit).await
    }
}

#[cfg(test)]
mod tests;
