//! Hands decisions to the orchestrator when they are due, until it has them.
//!
//! Sleeps until the next one is due; nothing ticks. One call is under way at a time: what becomes
//! due meanwhile goes with the next.

use std::time::Duration;

use planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision;
use planaria_runtime::clock;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config::HandOffConfig;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::{Orchestrator, is_transient};
use crate::records::Retry;

/// The wall clock may be set while this sleeps: it is looked at again at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(60);

pub(crate) struct HandOff {
    pub(crate) ledger: Ledger,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) config: HandOffConfig,
}

impl HandOff {
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.hand_off() => {}
        }
    }

    async fn hand_off(&self) {
        let mut pause = None;
        loop {
            match self.round().await {
                Ok(()) => pause = None,
                Err(error) => {
                    self.ledger.gauges.hand_off_failures.inc();
                    let next = self.next_pause(pause);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        pause_ms = next.as_millis(),
                        "decisions wait"
                    );
                    sleep(next).await;
                    pause = Some(next);
                }
            }
        }
    }

    /// Hands over what is due, or waits until something is.
    async fn round(&self) -> Result<(), Error> {
        let now_ms = clock::now_ms();
        let due = self.ledger.store.due(now_ms, self.config.batch_max).await?;
        if due.is_empty() {
            self.wait(now_ms).await?;
            return Ok(());
        }
        match self.orchestrator.apply(due.iter().map(decision).collect()).await {
            Ok(_applied) => self.handed_over(&due).await,
            Err(status) if is_transient(&status) => Err(unavailable(&status)),
            Err(_) => self.one_by_one(&due).await,
        }
    }

    async fn wait(&self, now_ms: u64) -> Result<(), Error> {
        let next_due_ms = self.ledger.store.next_due_ms().await?;
        let wait = next_due_ms.map_or(SLEEP_MAX, |due_ms| {
            // The timer is whole milliseconds too; one more saves a round too early.
            Duration::from_millis(due_ms.saturating_sub(now_ms).saturating_add(1)).min(SLEEP_MAX)
        });
        let changed = self.ledger.due_changed.notified();
        if next_due_ms.is_some() {
            let _elapsed = timeout(wait, changed).await;
        } else {
            changed.await;
        }
        Ok(())
    }

    /// The orchestrator refuses a batch, so one decision in it is to blame: that one waits, the
    /// others do not.
    async fn one_by_one(&self, due: &[Retry]) -> Result<(), Error> {
        for retry in due {
            match self.orchestrator.apply(vec![decision(retry)]).await {
                Ok(_applied) => self.handed_over(std::slice::from_ref(retry)).await?,
                Err(status) if is_transient(&status) => return Err(unavailable(&status)),
                Err(status) => {
                    self.ledger.gauges.hand_off_failures.inc();
                    tracing::error!(retry = %retry.key, %status, "decision refused; it waits");
                    let later_ms = clock::now_ms().saturating_add(self.config.refused_ms);
                    self.ledger.store.reschedule(&retry.key, later_ms).await?;
                }
            }
        }
        Ok(())
    }

    async fn handed_over(&self, retries: &[Retry]) -> Result<(), Error> {
        let now_ms = clock::now_ms();
        for retry in retries {
            let late = Duration::from_millis(now_ms.saturating_sub(retry.due_at_ms));
            self.ledger.gauges.lateness.observe(late.as_secs_f64());
        }
        let keys: Vec<_> = retries.iter().map(|retry| retry.key.clone()).collect();
        self.ledger.store.remove(&keys).await?;
        self.ledger.count().await
    }

    fn next_pause(&self, pause: Option<Duration>) -> Duration {
        let min = Duration::from_millis(self.config.pause_ms_min.max(1));
        let max = Duration::from_millis(self.config.pause_ms_max).max(min);
        pause.map_or(min, |pause| (pause * 2).min(max))
    }
}

fn decision(retry: &Retry) -> Decision {
    Decision {
        workflow_id: retry.key.workflow.clone(),
        frame: retry.key.frame,
        attempt: retry.key.attempt,
        give_up_reason: retry.give_up_reason.clone(),
    }
}

fn unavailable(status: &Status) -> Error {
    Error::OrchestratorUnavailable(status.message().to_owned())
}
