//! Derives the records from the log: the replica that follows it, behind the log's own follower.

use planaria_log_tail::LogCursor;
use planaria_proto::orchestrator::v1::LogRecord;
use planaria_runtime::{Readiness, clock};

use crate::board::Board;
use crate::derive::Derived;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::store::{Tenure, Told};

/// What was read and not recorded yet.
pub(crate) struct Derivation {
    pub(crate) ledger: Ledger,
    pub(crate) board: Board,
    /// This replica, in this start of it.
    pub(crate) holder: String,
    /// Another replica follows that long after this one was heard of last.
    pub(crate) lease_ms: u64,
    /// Whether what is read can be stored.
    pub(crate) readiness: Readiness,
    pub(crate) derived: Derived,
}

impl Derivation {
    fn tenure(&self) -> Tenure<'_> {
        let now_ms = clock::now_ms();
        let until_ms = now_ms.saturating_add(self.lease_ms);
        Tenure { holder: &self.holder, now_ms, until_ms }
    }
}

#[tonic::async_trait]
impl planaria_log_tail::Ledger for Derivation {
    type Error = Error;

    async fn take(&mut self) -> Result<Option<LogCursor>, Error> {
        self.derived = Derived::default();
        let Some(cursor) = self.ledger.store.take(self.tenure()).await? else { return Ok(None) };
        let place = cursor.parse().unwrap_or_else(|_| {
            // What is read twice changes nothing but a few counts.
            tracing::error!(
                cursor,
                "the place in the log cannot be read; beginning with its oldest"
            );
            LogCursor::default()
        });
        Ok(Some(place))
    }

    async fn absorb(&mut self, records: Vec<LogRecord>) -> bool {
        let policy = self.ledger.default_policy;
        records.iter().for_each(|record| self.derived.add(record, &policy));
        self.derived.is_waited_for(self.board.holds_something())
    }

    async fn save(&mut self, cursor: &LogCursor) -> Result<bool, Error> {
        let cursor = cursor.to_string();
        let Derived { changes, ended } = &self.derived;
        let told = Told { changes, ended, cursor: &cursor };
        let recorded = self.ledger.record(self.tenure(), told).await?;
        self.derived = Derived::default();
        let Some(changes) = recorded else { return Ok(false) };
        if !changes.is_empty() {
            self.board.changed(&changes);
        }
        Ok(true)
    }

    fn missed(&mut self, detail: &str) {
        tracing::error!(
            detail,
            "the log was trimmed before it was read; going on with its oldest record"
        );
        self.ledger.gauges.log_gaps.inc();
    }

    fn works(&mut self, works: bool) {
        self.readiness.set(works);
    }

    async fn release(&mut self) {
        if let Err(error) = self.ledger.store.resign(&self.holder).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the lease runs out");
        }
    }
}
