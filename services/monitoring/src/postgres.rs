//! The store in PostgreSQL: a schema that all replicas share.

use planaria_log_tail::LogCursor;
use planaria_proto::types::v1::Healing;
use planaria_store::postgres::retried;
use planaria_store::{
    Migration, PostgresPlan, PostgresSchema, PostgresSession, PostgresStore, postgres,
};
use sqlx::Row as _;
use tokio::sync::watch;

use crate::harvest::Harvest;
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};
use crate::store::{Filter, MonitoringStore, Recent, Retained, Step, Stretch};

#[path = "store/queries.rs"]
mod queries;
#[cfg(test)]
mod tests;

use sqlx::postgres::PgRow as Row;
type Session<'c> = PostgresSession<'c>;

/// Monitoring's part of the database.
pub const SCHEMA: PostgresSchema = PostgresSchema {
    name: "monitoring",
    migrations: &[Migration {
        name: "0001_monitoring",
        sql: include_str!("postgres/0001_monitoring.sql"),
    }],
};

/// The schema that monitoring's replicas share.
#[derive(Debug, Clone)]
pub(crate) struct PostgresMonitoringStore {
    store: PostgresStore,
}

impl PostgresMonitoringStore {
    pub(crate) async fn open(plan: &PostgresPlan) -> Result<Self, planaria_store::Error> {
        Ok(Self { store: postgres::open(plan, &SCHEMA).await? })
    }

    fn session(&self) -> PostgresSession<'_> {
        PostgresSession::Store(&self.store)
    }

    /// The server's clock: replicas may differ in theirs.
    async fn now_ms(&self) -> Result<u64, sqlx::Error> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";
        let row = self.store.row(sqlx::query(now)).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(row.try_get::<i64, _>("now_ms")?.cast_unsigned())
    }
}

#[tonic::async_trait]
impl MonitoringStore for PostgresMonitoringStore {
    fn is_shared(&self) -> bool {
        true
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn take(&self, holder: &str, lease_ms: u64) -> Result<Option<LogCursor>, sqlx::Error> {
        let now_ms = self.now_ms().await?;
        queries::take(&mut self.session(), holder, now_ms, lease_ms).await
    }

    async fn save(
        &self,
        step: Step<'_>,
        harvest: &Harvest,
    ) -> Result<Option<Vec<Healing>>, sqlx::Error> {
        let now_ms = self.now_ms().await?;
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            let healed = queries::save(&mut session, step, now_ms, harvest).await?;
            transaction.commit().await?;
            Ok(healed)
        })
        .await
    }

    async fn release(&self, holder: &str) -> Result<(), sqlx::Error> {
        queries::release(&mut self.session(), holder).await
    }

    async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Healing>, sqlx::Error> {
        queries::list(&mut self.session(), filter, limit).await
    }

    async fn recent(&self, since_ms: u64) -> Result<Recent, sqlx::Error> {
        queries::recent(&mut self.session(), since_ms).await
    }

    async fn last_change(&self) -> Result<u64, sqlx::Error> {
        queries::last_change(&mut self.session()).await
    }

    async fn changed_after(
        &self,
        change: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Healing)>, sqlx::Error> {
        queries::changed_after(&mut self.session(), change, limit).await
    }

    async fn values(
        &self,
        metric: Metric,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, u64)>, sqlx::Error> {
        queries::values(&mut self.session(), metric, stretch).await
    }

    async fn spreads(
        &self,
        spread: Spread,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, Histogram)>, sqlx::Error> {
        queries::spreads(&mut self.session(), spread, stretch).await
    }

    async fn clear(&self, retained: &Retained) -> Result<u64, sqlx::Error> {
        queries::clear(&mut self.session(), retained).await
    }
}
