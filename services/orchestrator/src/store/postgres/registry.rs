//! Who works on which shard: a row each.

use std::sync::Arc;

use async_trait::async_trait;
use planaria_store::{PostgresPlan, PostgresStore, postgres};
use sqlx::Row;
use sqlx::postgres::PgRow;
use tokio::sync::watch;

use super::{PostgresWorkflowStore, SCHEMA};
use crate::store::limits::LimitStore;
use crate::store::{Holder, Shard, ShardRegistry, ShardRow, StoreError, WorkflowStore};

/// Connections for commits and beats: neither waits until readers are done.
const WRITERS_MAX: u32 = 4;

/// The registry of a database that all orchestrators share.
pub(crate) struct PostgresShardRegistry {
    store: PostgresStore,
    writer: PostgresStore,
}

impl PostgresShardRegistry {
    /// Opens the schema.
    ///
    /// # Errors
    /// As [`postgres::open`].
    pub(crate) async fn open(plan: &PostgresPlan) -> Result<Self, planaria_store::Error> {
        let store = postgres::open(plan, &SCHEMA).await?;
        let writer = store.apart(WRITERS_MAX);
        Ok(Self { store, writer })
    }

    /// What readers use.
    pub(super) const fn readers(&self) -> &PostgresStore {
        &self.store
    }

    /// What writers use.
    pub(super) const fn writer(&self) -> &PostgresStore {
        &self.writer
    }
}

#[async_trait]
impl ShardRegistry for PostgresShardRegistry {
    fn is_shared(&self) -> bool {
        true
    }

    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError> {
        let found = self.store.rows(sqlx::query("SELECT * FROM shards ORDER BY shard")).await?;
        found.iter().map(shard_row).collect()
    }

    async fn create(&self, holder: &Holder) -> Result<Option<ShardRow>, StoreError> {
        // A number that somebody else took in this moment is a conflict, and that is the answer.
        let create = sqlx::query(
            "WITH begun AS (INSERT INTO logs DEFAULT VALUES RETURNING log)
             INSERT INTO shards (shard, log, holder, address, beat, wanted_by, epoch)
             SELECT (SELECT coalesce(max(shard) + 1, 0) FROM shards), log, $1, $2, 0, '', 0
             FROM begun ON CONFLICT (shard) DO NOTHING RETURNING *",
        );
        let made = self.writer.row(create.bind(&holder.id).bind(&holder.address)).await?;
        made.as_ref().map(shard_row).transpose()
    }

    async fn take(&self, seen: &ShardRow, holder: &Holder) -> Result<Option<ShardRow>, StoreError> {
        // Waits for a commit that is under way: it is there before the new log begins.
        let take = sqlx::query(
            "WITH begun AS (INSERT INTO logs DEFAULT VALUES RETURNING log)
             UPDATE shards SET log = begun.log, holder = $1, address = $2, beat = 0,
                 wanted_by = '', epoch = 0
             FROM begun
             WHERE shards.shard = $3 AND shards.log = $4 AND shards.holder = $5
                 AND shards.beat = $6
             RETURNING shards.*",
        )
        .bind(&holder.id)
        .bind(&holder.address)
        .bind(i32::from(seen.shard.0))
        .bind(seen.log as i64)
        .bind(&seen.holder)
        .bind(seen.beat as i64);
        self.writer.row(take).await?.as_ref().map(shard_row).transpose()
    }

    async fn beat(&self, shard: Shard, log: u64) -> Result<Option<ShardRow>, StoreError> {
        let beat = sqlx::query(
            "UPDATE shards SET beat = beat + 1 WHERE shard = $1 AND log = $2 RETURNING *",
        );
        let beat = beat.bind(i32::from(shard.0)).bind(log as i64);
        self.writer.row(beat).await?.as_ref().map(shard_row).transpose()
    }

    async fn want(&self, shard: Shard, log: u64, by: &str) -> Result<(), StoreError> {
        let want = sqlx::query("UPDATE shards SET wanted_by = $3 WHERE shard = $1 AND log = $2");
        let want = want.bind(i32::from(shard.0)).bind(log as i64).bind(by);
        Ok(self.writer.execute(want).await.map(drop)?)
    }

    async fn give_back(&self, shard: Shard, log: u64) -> Result<(), StoreError> {
        let give_back = sqlx::query(
            "UPDATE shards SET holder = '', address = '' WHERE shard = $1 AND log = $2",
        );
        let give_back = give_back.bind(i32::from(shard.0)).bind(log as i64);
        Ok(self.writer.execute(give_back).await.map(drop)?)
    }

    fn limits(self: Arc<Self>) -> Arc<dyn LimitStore> {
        self
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    fn store(&self, shard: Shard, log: u64) -> Arc<dyn WorkflowStore> {
        Arc::new(PostgresWorkflowStore::new(self.store.clone(), self.writer.clone(), shard, log))
    }
}

fn shard_row(row: &PgRow) -> Result<ShardRow, StoreError> {
    let shard: i32 = row.try_get("shard")?;
    let number = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    Ok(ShardRow {
        shard: u16::try_from(shard)
            .map(Shard)
            .map_err(|_| StoreError::Corrupt(format!("shard {shard}")))?,
        log: number("log")?,
        holder: row.try_get("holder")?,
        address: row.try_get("address")?,
        beat: number("beat")?,
        wanted_by: row.try_get("wanted_by")?,
    })
}
