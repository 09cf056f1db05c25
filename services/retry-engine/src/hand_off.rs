//! Hands decisions to the orchestrator when they are due, until it has them.
//!
//! What is handed over is claimed first, so that no two replicas hand over the same; a claim that
//! its replica did not finish is over after a while. A retry that finds its budget empty is put
//! off, and the orchestrator is told so, lest it miss the decision. Sleeps until the next one is
//! due; one call is under way at a time: what becomes due meanwhile goes with the next.

use std::time::Duration;

use planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision;
use planaria_runtime::clock;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::config::HandOffConfig;
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::{Orchestrator, is_transient};
use crate::records::Retry;
use crate::store::Claimed;

/// The wall clock may be set while this sleeps: it is looked at again at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Where other replicas may follow the log, what they recorded is looked for this often.
const SLEEP_MAX_SHARED: Duration = Duration::from_secs(1);

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
                    planaria_store::tell(&format!("decisions wait for {next:?}"), &error);
                    sleep(next).await;
                    pause = Some(next);
                }
            }
        }
    }

    /// Hands over what is due, or waits until something is.
    async fn round(&self) -> Result<(), Error> {
        let now_ms = clock::now_ms();
        let until_ms = now_ms.saturating_add(self.config.claim_ms);
        let (store, batch_max) = (&self.ledger.store, self.config.batch_max);
        let claimed = store.claim(now_ms, until_ms, batch_max, &self.ledger.rules).await?;
        let Claimed { decided, deferred } = &claimed;
        if decided.is_empty() && deferred.is_empty() {
            return self.wait(now_ms).await;
        }
        self.ledger.gauges.deferrals.inc_by(deferred.len() as u64);
        let decisions = decided.iter().map(decision).chain(deferred.iter().map(deferral));
        match self.orchestrator.apply(decisions.collect()).await {
            Ok(_applied) => self.handed_over(decided).await,
            Err(status) if is_transient(&status) => {
                let keys: Vec<_> = decided.iter().map(|retry| retry.key.clone()).collect();
                store.release(&keys, clock::now_ms()).await?;
                Err(unavailable(&status))
            }
            Err(_) => self.one_by_one(&claimed).await,
        }
    }

    async fn wait(&self, now_ms: u64) -> Result<(), Error> {
        let shared = self.ledger.store.is_shared();
        let longest = if shared { SLEEP_MAX_SHARED } else { SLEEP_MAX };
        let next_due_ms = self.ledger.store.next_due_ms().await?;
        let wait = next_due_ms.map_or(longest, |due_ms| {
            // The timer is whole milliseconds too; one more saves a round too early.
            Duration::from_millis(due_ms.saturating_sub(now_ms).saturating_add(1)).min(longest)
        });
        let _elapsed = timeout(wait, self.ledger.due_changed.notified()).await;
        Ok(())
    }

    /// The orchestrator refuses a batch, so one decision in it is to blame: that one waits, the
    /// others do not.
    async fn one_by_one(&self, claimed: &Claimed) -> Result<(), Error> {
        for retry in &claimed.deferred {
            // Who is not told misses the decision, and lets the task go on by itself.
            if let Err(status) = self.orchestrator.apply(vec![deferral(retry)]).await {
                tracing::debug!(retry = %retry.key, %status, "deferral refused");
            }
        }
        for retry in &claimed.decided {
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
        if !keys.is_empty() {
            self.ledger.store.remove(&keys).await?;
        }
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
        deferred_until: None,
    }
}

/// Nobody is to miss the decision before it is due.
fn deferral(retry: &Retry) -> Decision {
    Decision { deferred_until: Some(convert::timestamp(retry.due_at_ms)), ..decision(retry) }
}

fn unavailable(status: &Status) -> Error {
    Error::OrchestratorUnavailable(status.message().to_owned())
}
