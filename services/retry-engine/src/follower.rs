//! Follows the log: from each batch of records to the changes they mean, recorded together with
//! the place in the log.

use std::time::Duration;

use planaria_log_tail::{Batch, LogTail, Start};
use planaria_proto::orchestrator::v1::LogPosition;
use planaria_runtime::Readiness;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;

/// After a failed write: the disk may be full for a moment.
const STORE_PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Follower {
    pub(crate) ledger: Ledger,
    pub(crate) tail: LogTail,
    pub(crate) save_after: Duration,
    /// Whether what is read can be stored.
    pub(crate) readiness: Readiness,
}

impl Follower {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        // The place that was seen and not saved, and when it must be.
        let mut unsaved: Option<(LogPosition, Instant)> = None;
        loop {
            let read = match unsaved {
                Some((position, deadline)) => {
                    let Ok(read) = timeout_at(deadline, self.tail.next()).await else {
                        self.record(&[], position).await;
                        unsaved = None;
                        continue;
                    };
                    read
                }
                None => self.tail.next().await,
            };
            match read {
                Ok(batch) => unsaved = self.take(&batch, unsaved).await,
                Err(trimmed) => {
                    tracing::error!(
                        detail = trimmed.detail,
                        "the log was trimmed before it was read; going on with its oldest record"
                    );
                    self.ledger.gauges.log_gaps.inc();
                    self.tail.restart(Start::Oldest);
                }
            }
        }
    }

    /// Records a batch. A place alone is not worth a commit of its own, for a while: to read the
    /// same records again changes nothing.
    async fn take(
        &mut self,
        batch: &Batch,
        unsaved: Option<(LogPosition, Instant)>,
    ) -> Option<(LogPosition, Instant)> {
        let changes = self.ledger.changes(&batch.records);
        let deadline = unsaved.map_or_else(|| Instant::now() + self.save_after, |(_, at)| at);
        if changes.is_empty() && Instant::now() < deadline {
            return Some((batch.position, deadline));
        }
        self.record(&changes, batch.position).await;
        None
    }

    /// Until it is stored: nothing that was read may be passed over.
    async fn record(&self, changes: &[crate::records::Change], position: LogPosition) {
        while let Err(error) = self.ledger.record(changes, position).await {
            self.readiness.set(false);
            tracing::error!(error = &error as &dyn std::error::Error, "cannot record");
            sleep(STORE_PAUSE).await;
        }
        self.readiness.set(true);
    }
}
