//! The one shard of a SQLite file: the lock on the file says who has it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use planaria_store::SqliteStore;
use tokio::sync::{Mutex, watch};

use super::{MIGRATIONS, SqliteWorkflowStore};
use crate::store::limits::LimitStore;
use crate::store::{Holder, Shard, ShardRegistry, ShardRow, StoreError, WorkflowStore};

/// The registry of a SQLite file.
pub(crate) struct SqliteShardRegistry {
    store: SqliteStore,
    row: Mutex<Option<ShardRow>>,
    /// The log that may be written; 0 = none.
    current: Arc<AtomicU64>,
}

/// The only shard there is.
const ONLY: Shard = Shard(0);

impl SqliteShardRegistry {
    /// Opens the file.
    ///
    /// # Errors
    /// If the file cannot be opened or written, or another process has it.
    pub(crate) async fn open(path: &Path) -> Result<Self, planaria_store::Error> {
        let store = planaria_store::sqlite::open(path, MIGRATIONS).await?;
        Ok(Self { store, row: Mutex::default(), current: Arc::default() })
    }

    /// The file.
    pub(super) const fn file(&self) -> &SqliteStore {
        &self.store
    }

    /// Whether a log is the one that may be written.
    pub(super) fn is_current(&self, log: u64) -> bool {
        self.current.load(Ordering::Acquire) == log
    }

    async fn begin(&self, holder: &Holder) -> Result<ShardRow, StoreError> {
        let log: i64 = sqlx::query_scalar("INSERT INTO logs DEFAULT VALUES RETURNING log")
            .fetch_one(self.store.writer())
            .await?;
        let log = u64::try_from(log).unwrap_or_default();
        self.current.store(log, Ordering::Release);
        Ok(ShardRow {
            shard: ONLY,
            log,
            holder: holder.id.clone(),
            address: holder.address.clone(),
            beat: 0,
            wanted_by: String::new(),
        })
    }
}

#[async_trait]
impl ShardRegistry for SqliteShardRegistry {
    fn is_shared(&self) -> bool {
        false
    }

    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError> {
        Ok(self.row.lock().await.iter().cloned().collect())
    }

    async fn create(&self, holder: &Holder) -> Result<Option<ShardRow>, StoreError> {
        let mut row = self.row.lock().await;
        if row.is_some() {
            return Ok(None);
        }
        *row = Some(self.begin(holder).await?);
        Ok(row.clone())
    }

    async fn take(&self, seen: &ShardRow, holder: &Holder) -> Result<Option<ShardRow>, StoreError> {
        let mut row = self.row.lock().await;
        if row.as_ref() != Some(seen) {
            return Ok(None);
        }
        *row = Some(self.begin(holder).await?);
        Ok(row.clone())
    }

    async fn beat(&self, shard: Shard, log: u64) -> Result<Option<ShardRow>, StoreError> {
        let mut row = self.row.lock().await;
        let held = row.as_mut().filter(|row| row.shard == shard && row.log == log);
        Ok(held.map(|row| {
            row.beat += 1;
            row.clone()
        }))
    }

    async fn want(&self, shard: Shard, log: u64, by: &str) -> Result<(), StoreError> {
        let mut row = self.row.lock().await;
        if let Some(row) = row.as_mut().filter(|row| row.shard == shard && row.log == log) {
            by.clone_into(&mut row.wanted_by);
        }
        Ok(())
    }

    async fn give_back(&self, shard: Shard, log: u64) -> Result<(), StoreError> {
        let mut row = self.row.lock().await;
        if let Some(row) = row.as_mut().filter(|row| row.shard == shard && row.log == log) {
            row.holder.clear();
            row.address.clear();
            self.current.store(0, Ordering::Release);
        }
        Ok(())
    }

    fn limits(self: Arc<Self>) -> Arc<dyn LimitStore> {
        self
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    fn store(&self, _shard: Shard, log: u64) -> Arc<dyn WorkflowStore> {
        Arc::new(SqliteWorkflowStore::new(self.store.clone(), log, self.current.clone()))
    }
}
