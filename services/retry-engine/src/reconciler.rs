//! Compares the retry engine's records with what is, on start and periodically, and mends them.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use planaria_kernel::retry::reconcile::{Observed, Repair, plan};
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::retry::v1::DeadLetterState;
use planaria_runtime::clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{ReconcileConfig, RetentionConfig};
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::Orchestrator;
use crate::records::{Fault, Retry, RetryKey};

pub(crate) struct Reconciler {
    pub(crate) ledger: Ledger,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) config: ReconcileConfig,
    pub(crate) retention: RetentionConfig,
}

/// One stretch of the order of workflow ids, and where the next begins.
struct Stretch {
    observed: Observed,
    faulted: HashMap<String, Faulted>,
    end: Option<String>,
}

impl Reconciler {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let clear = async {
            loop {
                self.clear().await;
                sleep(Duration::from_millis(self.retention.interval_ms.max(1))).await;
            }
        };
        let reconcile = async {
            loop {
                if let Err(error) = self.reconcile().await {
                    // The orchestrator is away, or the store said so louder already.
                    tracing::debug!(error = &error as &dyn std::error::Error, "not reconciled");
                }
                sleep(Duration::from_millis(self.config.interval_ms.max(1))).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = clear => {}
            () = reconcile => {}
        }
    }

    async fn reconcile(&self) -> Result<(), Error> {
        let mut after = String::new();
        let mut lookups = self.config.lookups_max;
        loop {
            let stretch = self.observe(&after, &mut lookups).await?;
            let repairs = plan(&stretch.observed, clock::now_ms(), self.config.grace_ms);
            for repair in repairs {
                self.execute(&repair, &stretch.faulted).await?;
            }
            let Some(end) = stretch.end else { return Ok(()) };
            after = end;
        }
    }

    /// The own records first, then the orchestrator's, which are then at least as new.
    async fn observe(&self, after: &str, lookups: &mut usize) -> Result<Stretch, Error> {
        let page = self.config.page_max.max(1);
        let mut dead_letters = self.ledger.store.open_after(after, page).await?;
        let mut retries = self.ledger.store.retries_after(after, page).await?;
        let answer = self
            .orchestrator
            .faulted(after, page)
            .await
            .map_err(|status| Error::OrchestratorUnavailable(status.message().to_owned()))?;
        // A page of the orchestrator's may be shorter than what was asked for.
        let more_faulted = answer.more;
        let mut faulted = answer.workflows;

        // The stretch ends with the shortest full page.
        let full = |length: usize| length >= page as usize;
        let last_retry = || match retries.last() {
            // The last workflow's retries may go on behind the page: leave it to the next one,
            // unless the page has nothing else.
            Some(last) => retries
                .iter()
                .rev()
                .find(|retry| retry.key.workflow != last.key.workflow)
                .or(Some(last))
                .map(|retry| retry.key.workflow.clone()),
            None => None,
        };
        let ends = [
            full(dead_letters.len()).then(|| dead_letters.last().map(|(id, _)| id.clone())),
            full(retries.len()).then(last_retry),
            (more_faulted || full(faulted.len()))
                .then(|| faulted.last().map(|last| last.workflow_id.clone())),
        ];
        let end = ends.into_iter().flatten().flatten().min();
        if let Some(end) = &end {
            dead_letters.retain(|(id, _)| id <= end);
            retries.retain(|retry| retry.key.workflow <= *end);
            faulted.retain(|faulted| faulted.workflow_id <= *end);
        }
        let over = self.over(&retries, lookups).await;
        Ok(Stretch {
            observed: Observed {
                faulted: faulted
                    .iter()
                    .map(|one| (one.workflow_id.clone(), convert::milliseconds(one.at)))
                    .collect(),
                dead_letters,
                retries: retries
                    .iter()
                    .map(|retry| &retry.key)
                    .map(|key| (key.workflow.clone(), key.frame, key.attempt))
                    .collect(),
                over,
            },
            faulted: faulted.into_iter().map(|one| (one.workflow_id.clone(), one)).collect(),
            end,
        })
    }

    /// Looks up the workflows of retries that wait for long; a few each time.
    async fn over(&self, retries: &[Retry], lookups: &mut usize) -> BTreeSet<String> {
        let now_ms = clock::now_ms();
        let mut over = BTreeSet::new();
        let old = |retry: &&Retry| {
            retry.created_at_ms.saturating_add(self.config.lookup_after_ms) <= now_ms
        };
        let workflows: BTreeSet<&str> =
            retries.iter().filter(old).map(|retry| retry.key.workflow.as_str()).collect();
        for workflow in workflows.into_iter().take(*lookups) {
            *lookups -= 1;
            match self.orchestrator.is_over(workflow).await {
                Ok(true) => drop(over.insert(workflow.to_owned())),
                Ok(false) => {}
                Err(status) => tracing::debug!(workflow, %status, "not looked up"),
            }
        }
        over
    }

    async fn execute(
        &self,
        repair: &Repair,
        faulted: &HashMap<String, Faulted>,
    ) -> Result<(), Error> {
        let store = &self.ledger.store;
        let kind = match repair {
            Repair::WriteDeadLetter { workflow } => {
                let Some(faulted) = faulted.get(workflow) else { return Ok(()) };
                self.ledger.write_dead_letter(&fault(faulted)).await?;
                "DEAD_LETTER_WRITTEN"
            }
            Repair::ResolveDeadLetter { dead_letter } => {
                let state = DeadLetterState::Resolved;
                store.settle(dead_letter, state, clock::now_ms()).await?;
                "DEAD_LETTER_RESOLVED"
            }
            Repair::DropRetry { workflow, frame, attempt } => {
                let (workflow, frame, attempt) = (workflow.clone(), *frame, *attempt);
                store.remove(&[RetryKey { workflow, frame, attempt }]).await?;
                "RETRY_DROPPED"
            }
        };
        tracing::warn!(kind, ?repair, "record mended");
        self.ledger.gauges.repaired(kind);
        self.ledger.count().await
    }

    async fn clear(&self) {
        let before_ms =
            |hours: u64| clock::now_ms().saturating_sub(hours.saturating_mul(3_600_000));
        let RetentionConfig { settled_max, settled_age_hours_max, .. } = self.retention;
        let store = &self.ledger.store;
        let settled = store.clear_settled(settled_max, before_ms(settled_age_hours_max)).await;
        let give_ups = store.clear_give_ups(before_ms(self.retention.give_up_age_hours_max)).await;
        let old = store.clear_old(before_ms(self.retention.idle_age_hours_max)).await;
        let cleared = settled.and(give_ups).and(old);
        if let Err(error) = cleared {
            planaria_store::tell("cannot clear", &error);
        }
    }
}

fn fault(faulted: &Faulted) -> Fault {
    Fault {
        workflow: faulted.workflow_id.clone(),
        definition: faulted.definition.clone().unwrap_or_default(),
        frame: None,
        task: faulted.task.clone(),
        error: faulted.error.clone().unwrap_or_default(),
        at_ms: convert::milliseconds(faulted.at),
    }
}
