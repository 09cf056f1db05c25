//! Limits in PostgreSQL: whoever settles one holds its row, so that one settles after the other.

#[path = "../limits/statements.rs"]
mod statements;

use async_trait::async_trait;
use planaria_store::PostgresSession;
use planaria_store::postgres::PostgresTransaction;
use sqlx::postgres::{PgRow as Row, Postgres as Db};
use sqlx::{Row as _, query};

use super::PostgresShardRegistry;
use super::query::number;
use crate::store::limits::{Demand, LimitKey, LimitRow, LimitStore, Settled, UseRow};
use crate::store::{Shard, StoreError};

type Session<'c> = PostgresSession<'c>;

/// Held until the transaction is over.
const FOR_UPDATE: &str = " FOR UPDATE";

#[async_trait]
impl LimitStore for PostgresShardRegistry {
    async fn limits(&self) -> Result<Vec<LimitRow>, StoreError> {
        statements::limits(&mut PostgresSession::Store(self.readers())).await
    }

    async fn put_limit(&self, limit: &LimitRow) -> Result<(LimitRow, bool), StoreError> {
        let mut transaction = self.writer().begin().await?;
        let mut session = PostgresSession::Transaction(&mut transaction);
        let put = statements::put(&mut session, limit).await?;
        transaction.commit().await?;
        Ok(put)
    }

    async fn delete_limit(&self, key: &LimitKey) -> Result<bool, StoreError> {
        let mut transaction = self.writer().begin().await?;
        let mut session = PostgresSession::Transaction(&mut transaction);
        let deleted = statements::delete(&mut session, key).await?;
        transaction.commit().await?;
        Ok(deleted)
    }

    async fn limit_uses(&self) -> Result<Vec<UseRow>, StoreError> {
        statements::uses(&mut PostgresSession::Store(self.readers())).await
    }

    async fn settle_limits(
        &self,
        shard: Shard,
        log: u64,
        demands: &[Demand],
    ) -> Result<Vec<Option<Settled>>, StoreError> {
        let mut transaction = self.writer().begin().await?;
        let now_ms = hold(&mut transaction, shard, log).await?.ok_or(StoreError::Fenced)?;
        let mut session = PostgresSession::Transaction(&mut transaction);
        let answers = statements::settle(&mut session, shard, demands, (now_ms, true)).await?;
        transaction.commit().await?;
        Ok(answers)
    }
}

/// Holds the shard's row, and answers the time of the database: everybody's, if it is the log's.
async fn hold(
    transaction: &mut PostgresTransaction,
    shard: Shard,
    log: u64,
) -> Result<Option<u64>, StoreError> {
    let hold = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
        FROM shards WHERE shard = $1 AND log = $2 AND holder <> '' FOR SHARE";
    let hold = query(hold).bind(number(shard)).bind(log.cast_signed());
    let rows = transaction.rows(hold).await?;
    let now_ms = rows.first().map(|row| row.try_get::<i64, _>("now_ms")).transpose()?;
    Ok(now_ms.map(i64::cast_unsigned))
}
