//! The store, what is counted about it, and the news that a decision is due sooner than the
//! sleeper believes.

use std::sync::Arc;

use planaria_kernel::retry::RetryPolicy;
use planaria_proto::orchestrator::v1::{LogPosition, LogRecord};
use tokio::sync::Notify;

use crate::derive;
use crate::error::Error;
use crate::gauges::Gauges;
use crate::records::{Change, Fault};
use crate::store::RetryStore;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) store: Arc<dyn RetryStore>,
    /// Told when a decision may be due earlier than before.
    pub(crate) due_changed: Arc<Notify>,
    pub(crate) gauges: Gauges,
    default_policy: RetryPolicy,
}

impl Ledger {
    pub(crate) async fn new(
        store: Arc<dyn RetryStore>,
        default_policy: RetryPolicy,
        gauges: Gauges,
    ) -> Result<Self, Error> {
        let ledger = Self { store, due_changed: Arc::default(), gauges, default_policy };
        ledger.count().await?;
        Ok(ledger)
    }

    /// What the records change here.
    pub(crate) fn changes(&self, records: &[LogRecord]) -> Vec<Change> {
        records.iter().flat_map(|record| derive::changes(record, &self.default_policy)).collect()
    }

    /// Records changes with the place in the log that they come from.
    pub(crate) async fn record(
        &self,
        changes: &[Change],
        position: LogPosition,
    ) -> Result<(), Error> {
        self.store.record(changes, position).await?;
        if changes.is_empty() {
            return Ok(());
        }
        for change in changes {
            match change {
                Change::Decided(retry) => self.gauges.decided(&retry.give_up_reason),
                Change::Faulted(fault) => {
                    self.gauges.dead_letters.inc();
                    tracing::info!(
                        workflow = fault.workflow,
                        task = fault.task,
                        error = fault.error.r#type,
                        "dead letter written"
                    );
                }
                Change::WentOn { .. } | Change::Over { .. } => {}
            }
        }
        self.due_changed.notify_one();
        self.count().await
    }

    /// Writes a dead letter that the log did not tell of.
    pub(crate) async fn write_dead_letter(&self, fault: &Fault) -> Result<(), Error> {
        self.store.write_dead_letter(fault).await?;
        self.gauges.dead_letters.inc();
        Ok(())
    }

    /// Brings the gauges up to date.
    pub(crate) async fn count(&self) -> Result<(), Error> {
        let (retries, open) = self.store.counts().await?;
        self.gauges.retries_waiting.set(retries.cast_signed());
        self.gauges.dead_letters_open.set(open.cast_signed());
        Ok(())
    }
}
