//! What the orchestrator counts, served at `/metrics`.

use planaria_runtime::Metrics;
use planaria_runtime::metrics::Counter;

use crate::store::Write;

/// The counters; cheap to clone.
#[derive(Clone)]
pub(crate) struct Meters {
    commits: Counter,
    rows: Counter,
    assignments: Counter,
    losses: Counter,
}

impl Meters {
    /// Registers the counters.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            commits: metrics.counter("commits", "transactions committed"),
            rows: metrics.counter("rows_written", "rows inserted, changed or deleted"),
            assignments: metrics.counter("assignments", "attempts handed to workers"),
            losses: metrics.counter("attempts_lost", "attempts lost with their worker"),
        }
    }

    /// A batch goes to the store.
    pub(crate) fn committing(&self, writes: &[Write]) {
        self.commits.inc();
        self.rows.inc_by(writes.iter().map(rows).sum());
    }

    /// Attempts are handed out.
    pub(crate) fn handed_out(&self, attempts: usize) {
        self.assignments.inc_by(attempts as u64);
    }

    /// An attempt was lost.
    pub(crate) fn lost(&self) {
        self.losses.inc();
    }
}

/// Rows of one write. A row that several writes of a batch change counts for each.
fn rows(write: &Write) -> u64 {
    match write {
        Write::Step(step) => {
            let own = [step.created.is_some(), step.record.is_some()];
            let phase = step.phase.is_some() && step.created.is_none();
            let one = own.into_iter().chain([phase]).filter(|is| *is).count();
            (one + step.tasks.len() + step.timers.len() + step.listeners.len()) as u64
        }
        Write::Renewed { ids, .. } => ids.len() as u64,
        Write::Task(_) | Write::Frozen { .. } => 1,
        // The row and the log entry that tells it.
        Write::SessionOpened(_) | Write::SessionEnded { .. } | Write::Healing(_) => 2,
    }
}
