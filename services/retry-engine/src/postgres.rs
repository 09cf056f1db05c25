//! The store in PostgreSQL: a schema that all replicas share.

#[path = "store/changes.rs"]
mod changes;
#[path = "store/dead_letters.rs"]
mod dead_letters;
#[path = "store/retries.rs"]
mod retries;
#[path = "store/rows.rs"]
mod rows;

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::retry::v1::DeadLetterState;
use planaria_store::{
    Migration, PostgresPlan, PostgresSchema, PostgresSession, PostgresStore, postgres, retried,
};
use sqlx::postgres::PgRow as Row;

use crate::records::{Change, DeadLetter, Fault, Retry, RetryKey};
use crate::store::RetryStore;

type Session<'c> = PostgresSession<'c>;

/// The retry engine's part of the database.
pub const SCHEMA: PostgresSchema = PostgresSchema {
    name: "retry_engine",
    migrations: &[Migration {
        name: "0001_retries",
        sql: include_str!("postgres/0001_retries.sql"),
    }],
};

/// The schema that the retry engine's replicas share.
#[derive(Debug, Clone)]
pub(crate) struct PostgresRetryStore {
    store: PostgresStore,
}

impl PostgresRetryStore {
    pub(crate) async fn open(plan: &PostgresPlan) -> Result<Self, planaria_store::Error> {
        Ok(Self { store: postgres::open(plan, &SCHEMA).await? })
    }

    /// Each statement by itself.
    fn session(&self) -> Session<'_> {
        PostgresSession::Store(&self.store)
    }
}

#[tonic::async_trait]
impl RetryStore for PostgresRetryStore {
    async fn position(&self) -> Result<Option<LogPosition>, sqlx::Error> {
        changes::position(&mut self.session()).await
    }

    async fn record(&self, changes: &[Change], position: LogPosition) -> Result<(), sqlx::Error> {
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            changes::record(&mut session, changes, position).await?;
            transaction.commit().await
        })
        .await
    }

    async fn next_due_ms(&self) -> Result<Option<u64>, sqlx::Error> {
        retries::next_due_ms(&mut self.session()).await
    }

    async fn due(&self, now_ms: u64, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        retries::due(&mut self.session(), now_ms, limit).await
    }

    async fn remove(&self, keys: &[RetryKey]) -> Result<(), sqlx::Error> {
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            retries::remove(&mut session, keys).await?;
            transaction.commit().await
        })
        .await
    }

    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool, sqlx::Error> {
        retries::reschedule(&mut self.session(), key, due_at_ms).await
    }

    async fn retries(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        retries::waiting(&mut self.session(), workflow, limit).await
    }

    async fn counts(&self) -> Result<(u64, u64), sqlx::Error> {
        dead_letters::counts(&mut self.session()).await
    }

    async fn write_dead_letter(&self, fault: &Fault) -> Result<(), sqlx::Error> {
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            dead_letters::write(&mut session, fault).await?;
            transaction.commit().await
        })
        .await
    }

    async fn dead_letters(
        &self,
        state: DeadLetterState,
        workflow: &str,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, sqlx::Error> {
        dead_letters::list(&mut self.session(), state, workflow, before, limit).await
    }

    async fn dead_letter_count(&self, state: DeadLetterState) -> Result<u64, sqlx::Error> {
        dead_letters::count(&mut self.session(), state).await
    }

    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, sqlx::Error> {
        dead_letters::get(&mut self.session(), id).await
    }

    async fn settle(
        &self,
        id: &str,
        state: DeadLetterState,
        at_ms: u64,
    ) -> Result<(), sqlx::Error> {
        dead_letters::settle(&mut self.session(), id, state, at_ms).await
    }

    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<(), sqlx::Error> {
        dead_letters::clear(&mut self.session(), settled_max, before_ms).await
    }

    async fn clear_give_ups(&self, before_ms: u64) -> Result<(), sqlx::Error> {
        retries::clear_give_ups(&mut self.session(), before_ms).await
    }

    async fn open_after(
        &self,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, sqlx::Error> {
        dead_letters::open_after(&mut self.session(), workflow, limit).await
    }

    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error> {
        retries::after(&mut self.session(), workflow, limit).await
    }
}

#[cfg(test)]
mod tests;
