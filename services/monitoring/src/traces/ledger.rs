//! Follows the log for traces beside what else it is followed for.

use planaria_log_tail::{Ledger, LogCursor};
use planaria_proto::orchestrator::v1::LogRecord;

use super::Traces;

/// A ledger whose records also become spans. They are told before the place behind them is saved.
pub(crate) struct TracingLedger<L> {
    ledger: L,
    traces: Option<Traces>,
}

impl<L> TracingLedger<L> {
    /// Without traces it is the ledger itself.
    pub(crate) const fn new(ledger: L, traces: Option<Traces>) -> Self {
        Self { ledger, traces }
    }
}

#[tonic::async_trait]
impl<L: Ledger> Ledger for TracingLedger<L> {
    type Error = L::Error;

    async fn take(&mut self) -> Result<Option<LogCursor>, L::Error> {
        if let Some(traces) = &mut self.traces {
            traces.forget();
        }
        self.ledger.take().await
    }

    async fn absorb(&mut self, records: Vec<LogRecord>) -> bool {
        if let Some(traces) = &mut self.traces {
            traces.absorb(&records).await;
        }
        self.ledger.absorb(records).await
    }

    async fn save(&mut self, cursor: &LogCursor) -> Result<bool, L::Error> {
        if let Some(traces) = &mut self.traces {
            traces.flush().await;
        }
        self.ledger.save(cursor).await
    }

    fn missed(&mut self, detail: &str) {
        self.ledger.missed(detail);
    }

    fn works(&mut self, works: bool) {
        self.ledger.works(works);
    }

    async fn release(&mut self) {
        self.ledger.release().await;
    }
}
