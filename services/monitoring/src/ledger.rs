//! From the log into the store, and what the orchestrators count besides.

use std::sync::Arc;

use planaria_log_tail::{Ledger, LogCursor};
use planaria_proto::orchestrator::v1::LogRecord;
use planaria_runtime::Readiness;

use crate::gauges::Gauges;
use crate::harvest::Harvest;
use crate::healings::Healings;
use crate::statistics::Statistics;
use crate::store::{MonitoringStore, Step};

/// What one replica, the holder, gathers and saves.
pub(crate) struct MonitoringLedger {
    store: Arc<dyn MonitoringStore>,
    /// This start of this replica.
    holder: String,
    lease_ms: u64,
    statistics: Statistics,
    /// What the orchestrators counted was noted then (Unix milliseconds).
    levels_of_ms: u64,
    gathered: Harvest,
    /// The place that was saved last.
    saved: LogCursor,
    healings: Healings,
    gauges: Gauges,
    readiness: Readiness,
}

impl MonitoringLedger {
    pub(crate) fn new(
        store: Arc<dyn MonitoringStore>,
        lease_ms: u64,
        statistics: Statistics,
        healings: Healings,
        (gauges, readiness): (Gauges, Readiness),
    ) -> Self {
        Self {
            store,
            holder: uuid::Uuid::new_v4().to_string(),
            lease_ms,
            statistics,
            levels_of_ms: 0,
            gathered: Harvest::default(),
            saved: LogCursor::default(),
            healings,
            gauges,
            readiness,
        }
    }

    fn note_levels(&mut self) {
        let Some((statistics, told_at_ms)) = self.statistics.known().statistics else { return };
        if told_at_ms > self.levels_of_ms {
            self.levels_of_ms = told_at_ms;
            self.gathered.levels(&statistics, told_at_ms);
        }
    }
}

#[tonic::async_trait]
impl Ledger for MonitoringLedger {
    type Error = sqlx::Error;

    async fn take(&mut self) -> Result<Option<LogCursor>, sqlx::Error> {
        self.gathered = Harvest::default();
        let taken = self.store.take(&self.holder, self.lease_ms).await?;
        self.gauges.holder.set(i64::from(taken.is_some()));
        self.saved = taken.clone().unwrap_or_default();
        Ok(taken)
    }

    async fn absorb(&mut self, records: Vec<LogRecord>) -> bool {
        let known = self.gathered.healings.len();
        for record in records {
            self.gathered.record(record);
        }
        // Somebody may be watching.
        self.gathered.healings.len() > known
    }

    async fn save(&mut self, cursor: &LogCursor) -> Result<bool, sqlx::Error> {
        self.note_levels();
        let nothing = self.gathered.is_empty() && *cursor == self.saved;
        if nothing && !self.store.is_shared() {
            return Ok(true);
        }
        let Self { holder, lease_ms, saved, .. } = self;
        let step = Step { holder, lease_ms: *lease_ms, from: saved, to: cursor };
        let Some(healed) = self.store.save(step, &self.gathered).await? else { return Ok(false) };
        self.saved = cursor.clone();
        let told = !self.gathered.healings.is_empty();
        self.gathered = Harvest::default();
        self.gauges.saved.inc();
        healed.iter().for_each(|healing| self.gauges.healed(healing));
        if told {
            self.healings.changed();
        }
        Ok(true)
    }

    fn missed(&mut self, detail: &str) {
        tracing::warn!(detail, "records were missed: the log was trimmed");
        self.gauges.log_gaps.inc();
    }

    fn works(&mut self, works: bool) {
        self.readiness.set(works);
    }

    async fn release(&mut self) {
        if let Err(error) = self.store.release(&self.holder).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot release");
        }
    }
}
