//! Limits in the SQLite file: one shard, which is alone with them.

#[path = "../limits/statements.rs"]
mod statements;

use async_trait::async_trait;
use planaria_runtime::clock::now_ms;
use planaria_store::SqliteSession;
use sqlx::sqlite::{Sqlite as Db, SqliteRow as Row};

use super::SqliteShardRegistry;
use crate::store::limits::{Demand, LimitKey, LimitRow, LimitStore, Settled, UseRow};
use crate::store::{Shard, StoreError};

type Session<'c> = SqliteSession<'c>;

/// Who writes has the file for itself.
const FOR_UPDATE: &str = "";

#[async_trait]
impl LimitStore for SqliteShardRegistry {
    async fn limits(&self) -> Result<Vec<LimitRow>, StoreError> {
        let mut connection = self.file().readers().acquire().await?;
        statements::limits(&mut SqliteSession(&mut connection)).await
    }

    async fn put_limit(&self, limit: &LimitRow) -> Result<(LimitRow, bool), StoreError> {
        let mut transaction = self.file().writer().begin_with("BEGIN IMMEDIATE").await?;
        let put = statements::put(&mut SqliteSession(&mut transaction), limit).await?;
        transaction.commit().await?;
        Ok(put)
    }

    async fn delete_limit(&self, key: &LimitKey) -> Result<bool, StoreError> {
        let mut transaction = self.file().writer().begin_with("BEGIN IMMEDIATE").await?;
        let deleted = statements::delete(&mut SqliteSession(&mut transaction), key).await?;
        transaction.commit().await?;
        Ok(deleted)
    }

    async fn limit_uses(&self) -> Result<Vec<UseRow>, StoreError> {
        let mut connection = self.file().readers().acquire().await?;
        statements::uses(&mut SqliteSession(&mut connection)).await
    }

    async fn settle_limits(
        &self,
        shard: Shard,
        log: u64,
        demands: &[Demand],
    ) -> Result<Vec<Option<Settled>>, StoreError> {
        if !self.is_current(log) {
            return Err(StoreError::Fenced);
        }
        let mut transaction = self.file().writer().begin_with("BEGIN IMMEDIATE").await?;
        let mut session = SqliteSession(&mut transaction);
        let answers = statements::settle(&mut session, shard, demands, (now_ms(), false)).await?;
        transaction.commit().await?;
        Ok(answers)
    }
}
