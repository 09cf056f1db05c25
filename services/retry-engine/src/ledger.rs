//! The store, what is counted about it, and the news that a decision is due sooner than the
//! sleeper believes.

use std::sync::Arc;

use planaria_kernel::retry::RetryPolicy;
use planaria_proto::retry::v1::BreakerChange;
use tokio::sync::Notify;

use crate::error::Error;
use crate::gauges::Gauges;
use crate::records::{Change, Fault};
use crate::store::{RetryStore, Rules, Tenure, Told};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) store: Arc<dyn RetryStore>,
    /// Told when a decision may be due earlier than before.
    pub(crate) due_changed: Arc<Notify>,
    /// Told when there is a redrive to work on.
    pub(crate) redrive_started: Arc<Notify>,
    pub(crate) gauges: Gauges,
    pub(crate) default_policy: RetryPolicy,
    pub(crate) rules: Rules,
}

impl Ledger {
    pub(crate) async fn new(
        store: Arc<dyn RetryStore>,
        default_policy: RetryPolicy,
        rules: Rules,
        gauges: Gauges,
    ) -> Result<Self, Error> {
        let (due_changed, redrive_started) = (Arc::default(), Arc::default());
        let ledger = Self { store, due_changed, redrive_started, gauges, default_policy, rules };
        ledger.count().await?;
        Ok(ledger)
    }

    /// Records what was derived, with the place in the log behind it. Answers the breakers that
    /// changed their phase; `None`: another replica follows the log.
    pub(crate) async fn record(
        &self,
        tenure: Tenure<'_>,
        told: Told<'_>,
    ) -> Result<Option<Vec<BreakerChange>>, Error> {
        let Some(breakers) = self.store.record(tenure, told, &self.rules).await? else {
            return Ok(None);
        };
        if told.changes.is_empty() {
            return Ok(Some(breakers));
        }
        for change in told.changes {
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
                Change::Lost { .. } | Change::WentOn { .. } | Change::Over { .. } => {}
            }
        }
        self.due_changed.notify_one();
        self.count().await?;
        Ok(Some(breakers))
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
