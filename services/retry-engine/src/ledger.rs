//! The store, and what must be known at once about it: whose records matter, and that a decision
//! is due sooner than the sleeper believes.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Hashes of the workflows that have any record. Most workflows never fail: of those, nothing
    /// is looked up. A collision costs a look-up.
    tracked: Arc<Mutex<HashSet<u64>>>,
}

impl Ledger {
    pub(crate) async fn new(
        store: Arc<dyn RetryStore>,
        default_policy: RetryPolicy,
        gauges: Gauges,
    ) -> Result<Self, Error> {
        let tracked = store.tracked().await?.iter().map(|id| hash(id)).collect();
        let ledger = Self {
            store,
            due_changed: Arc::default(),
            gauges,
            default_policy,
            tracked: Arc::new(Mutex::new(tracked)),
        };
        ledger.count().await?;
        Ok(ledger)
    }

    /// What the records change here.
    pub(crate) fn changes(&self, records: &[LogRecord]) -> Vec<Change> {
        let mut tracked = self.tracked();
        let mut changes = Vec::new();
        for record in records {
            for change in derive::changes(record, &self.default_policy) {
                let id = hash(change.workflow());
                let relevant = match &change {
                    Change::Decided(_) | Change::Faulted(_) => {
                        tracked.insert(id);
                        true
                    }
                    Change::WentOn { .. } => tracked.contains(&id),
                    // Forgotten once it is recorded; see `record`.
                    Change::Over { .. } => tracked.contains(&id),
                };
                if relevant {
                    changes.push(change);
                }
            }
        }
        changes
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
                Change::WentOn { .. } => {}
                Change::Over { workflow, .. } => {
                    self.tracked().remove(&hash(workflow));
                }
            }
        }
        self.due_changed.notify_one();
        self.count().await
    }

    /// Writes a dead letter that the log did not tell of.
    pub(crate) async fn write_dead_letter(&self, fault: &Fault) -> Result<(), Error> {
        self.store.write_dead_letter(fault).await?;
        self.tracked().insert(hash(&fault.workflow));
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

    fn tracked(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(workflow: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    workflow.hash(&mut hasher);
    hasher.finish()
}
