//! Healings: what was wrong, how that was known, what was done, how long it took.

use planaria_kernel::repair::repeats::REPAIRS_MAX;
use planaria_kernel::workflow::LossCause;
use planaria_proto::types::v1::{Healing, HealingAction, Signal};
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::entry::{Entry, Loss};
use super::telling::{About, tell};
use crate::convert::{attempt, duration, milliseconds, timestamp};
use crate::store::{TaskRow, Write};

impl Engine {
    /// Records that an attempt was lost. Answers the healing's id, which the next attempt's start
    /// completes; a quarantine is complete at once.
    pub(super) fn open_healing(
        &mut self,
        row: &TaskRow,
        task: &str,
        loss: &Loss,
        action: HealingAction,
    ) -> String {
        let now_ms = now_ms();
        let id = Uuid::now_v7().to_string();
        let quarantined = action == HealingAction::Quarantined;
        let healed_at_ms = quarantined.then_some(now_ms);
        let healing = Healing {
            id: id.clone(),
            incident: loss.session.to_string(),
            signal: attempt::signal(loss.cause).into(),
            action: action.into(),
            summary: summary(row, loss, quarantined),
            workflow_id: row.key.workflow.to_string(),
            namespace: row.namespace.clone(),
            task: task.to_owned(),
            lost_attempt: loss.attempt,
            lost_worker: loss.worker.clone(),
            signal_at: Some(timestamp(loss.signal_at_ms)),
            detected_at: Some(timestamp(now_ms)),
            healed_at: healed_at_ms.map(timestamp),
            detected_after: Some(duration(now_ms.saturating_sub(loss.signal_at_ms))),
            healed_after: healed_at_ms
                .map(|healed| duration(healed.saturating_sub(loss.signal_at_ms))),
            ..Healing::default()
        };
        self.gathering.writes.push(Write::Healing(Box::new(healing.clone())));
        if !quarantined {
            self.healings.insert(id.clone(), healing);
        }
        id
    }

    /// The work runs again.
    pub(super) fn complete_healing(&mut self, id: &str, about: &About, worker: &str, now_ms: u64) {
        let Some(mut healing) = self.healings.remove(id) else { return };
        let signal_at_ms = milliseconds(healing.signal_at.as_ref());
        healing.new_attempt = about.attempt;
        worker.clone_into(&mut healing.new_worker);
        healing.healed_at = Some(timestamp(now_ms));
        healing.healed_after = Some(duration(now_ms.saturating_sub(signal_at_ms)));
        tell!(
            info,
            about,
            healing = id,
            worker,
            healed_after_ms = now_ms.saturating_sub(signal_at_ms),
            "healed"
        );
        self.gathering.writes.push(Write::Healing(Box::new(healing)));
    }

    /// The work is not wanted any more: the healing is over without a new attempt.
    pub(super) fn abandon_healing(&mut self, row: &TaskRow) {
        let Some(id) = &row.healing else { return };
        let Some(mut healing) = self.healings.remove(id) else { return };
        healing.action = HealingAction::Removed.into();
        healing.healed_at = Some(timestamp(now_ms()));
        self.gathering.writes.push(Write::Healing(Box::new(healing)));
    }

    /// A repair of the reconciler, done as soon as it is decided, and the namespace that it is in.
    pub(super) fn record_repair(
        &mut self,
        about: &About,
        namespace: &str,
        action: HealingAction,
        (signal_at_ms, summary): (u64, String),
    ) {
        let now_ms = now_ms();
        tell!(warn, about, ?action, summary, "reconciler repaired");
        self.note_repeat(about, namespace, action);
        let workflow = about.workflow;
        let healing = Healing {
            id: Uuid::now_v7().to_string(),
            incident: workflow.to_string(),
            signal: Signal::Reconciler.into(),
            action: action.into(),
            summary,
            workflow_id: workflow.to_string(),
            namespace: namespace.to_owned(),
            task: about.task.clone(),
            signal_at: Some(timestamp(signal_at_ms)),
            detected_at: Some(timestamp(now_ms)),
            healed_at: Some(timestamp(now_ms)),
            detected_after: Some(duration(now_ms.saturating_sub(signal_at_ms))),
            healed_after: Some(duration(now_ms.saturating_sub(signal_at_ms))),
            ..Healing::default()
        };
        self.gathering.writes.push(Write::Healing(Box::new(healing)));
    }

    /// Healing must never hide a bug: what is repaired again and again is an incident.
    fn note_repeat(&mut self, about: &About, namespace: &str, action: HealingAction) {
        let key = (about.workflow, about.task.clone(), action);
        if !self.reconciliation.repeats.note(&key, now_ms()) {
            return;
        }
        let done = action.as_str_name().trim_start_matches("HEALING_ACTION_").to_lowercase();
        tell!(error, about, ?action, "the same is repaired again and again");
        let summary = format!(
            "the same was repaired ({done}) more than {REPAIRS_MAX} times within an hour: look for \
             what breaks it"
        );
        self.open_incident(about, namespace, HealingAction::Repeated, summary);
    }

    /// Completes incidents of what was not repaired for long.
    pub(super) fn settle_repeats(&mut self) {
        for (workflow, _, _) in self.reconciliation.repeats.settled(now_ms()) {
            self.close_healings(workflow, |action| action == HealingAction::Repeated);
        }
    }

    pub(super) fn record_overdue_retry(&mut self, entry: &Entry, row: &TaskRow) {
        let summary = format!(
            "nobody decided whether {} is tried again: it was decided by the default policy",
            row.function
        );
        let told = (row.latest_start_ms, summary);
        let about = About::task(row.key.workflow, entry, row.key.frame);
        self.record_repair(&about, &row.namespace, HealingAction::RetryQueued, told);
    }
}

fn summary(row: &TaskRow, loss: &Loss, quarantined: bool) -> String {
    let (worker, function) = (&loss.worker, &row.function);
    let known = match loss.cause {
        _ if worker.is_empty() => loss.detail.clone(),
        LossCause::StreamLost => format!("worker {worker} was gone from one moment to the next"),
        LossCause::HeartbeatsStopped => format!("worker {worker} stopped beating"),
        LossCause::LeaseExpired => format!("nobody renewed the lease of worker {worker}"),
        LossCause::NewIncarnation => format!("worker {worker} started again"),
        LossCause::LostDelivery => format!("worker {worker} never got the attempt"),
        LossCause::Stalled => format!("worker {worker} made no progress"),
        LossCause::Drained => format!("worker {worker} handed it back"),
    };
    let done = if quarantined { "is quarantined" } else { "runs again" };
    format!("{known}; {function} (attempt {}) {done}", loss.attempt)
}
