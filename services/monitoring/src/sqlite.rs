//! The store in SQLite: monitoring's own file.

use std::path::Path;

use planaria_log_tail::LogCursor;
use planaria_proto::types::v1::Healing;
use planaria_runtime::clock;
use planaria_store::{Migration, SqliteSession, SqliteSettings, SqliteStore, sqlite};
use tokio::sync::watch;

use crate::harvest::Harvest;
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};
use crate::store::{Filter, MonitoringStore, Recent, Retained, Step, Stretch};

#[path = "store/queries.rs"]
mod queries;
#[cfg(test)]
mod tests;

use sqlx::sqlite::SqliteRow as Row;
type Session<'c> = SqliteSession<'c>;

const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_healings", sql: include_str!("sqlite/0001_healings.sql") },
    Migration { name: "0002_series", sql: include_str!("sqlite/0002_series.sql") },
];

/// Monitoring's own file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteMonitoringStore {
    store: SqliteStore,
}

impl SqliteMonitoringStore {
    pub(crate) async fn open(
        path: &Path,
        settings: &SqliteSettings,
    ) -> Result<Self, planaria_store::Error> {
        let store = sqlite::open_with(path, MIGRATIONS, settings).await?;
        Ok(Self { store })
    }
}

/// Runs a statement on a connection that reads, or that writes.
macro_rules! on {
    ($self:ident.$pool:ident, $query:ident $(, $argument:expr)*) => {{
        let asked = async {
            let mut connection = $self.store.$pool().acquire().await?;
            queries::$query(&mut SqliteSession(&mut connection) $(, $argument)*).await
        };
        $self.store.heard(asked.await)
    }};
}

#[tonic::async_trait]
impl MonitoringStore for SqliteMonitoringStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn take(&self, holder: &str, lease_ms: u64) -> Result<Option<LogCursor>, sqlx::Error> {
        on!(self.writer, take, holder, clock::now_ms(), lease_ms)
    }

    async fn save(
        &self,
        step: Step<'_>,
        harvest: &Harvest,
    ) -> Result<Option<Vec<Healing>>, sqlx::Error> {
        let saved = async {
            let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
            let mut session = SqliteSession(&mut transaction);
            let healed = queries::save(&mut session, step, clock::now_ms(), harvest).await?;
            transaction.commit().await?;
            Ok(healed)
        };
        self.store.heard(saved.await)
    }

    async fn release(&self, holder: &str) -> Result<(), sqlx::Error> {
        on!(self.writer, release, holder)
    }

    async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Healing>, sqlx::Error> {
        on!(self.readers, list, filter, limit)
    }

    async fn recent(&self, since_ms: u64) -> Result<Recent, sqlx::Error> {
        on!(self.readers, recent, since_ms)
    }

    async fn last_change(&self) -> Result<u64, sqlx::Error> {
        on!(self.readers, last_change)
    }

    async fn changed_after(
        &self,
        change: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Healing)>, sqlx::Error> {
        on!(self.readers, changed_after, change, limit)
    }

    async fn values(
        &self,
        metric: Metric,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, u64)>, sqlx::Error> {
        on!(self.readers, values, metric, stretch)
    }

    async fn spreads(
        &self,
        spread: Spread,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, Histogram)>, sqlx::Error> {
        on!(self.readers, spreads, spread, stretch)
    }

    async fn clear(&self, retained: &Retained) -> Result<u64, sqlx::Error> {
        on!(self.writer, clear, retained)
    }
}
