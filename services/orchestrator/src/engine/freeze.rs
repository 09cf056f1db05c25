//! Freezing: nothing is done with a workflow whose history cannot be trusted.
//!
//! Its rows and its history stay as they are, for people to look at; nothing of it runs, nothing
//! that is sent to it is taken, and it is shown as frozen, over all restarts. A healing tells of it
//! that stays open until people have cancelled the workflow, or restored its history: then it goes
//! on.

use planaria_kernel::workflow::Input;
use planaria_proto::types::v1::{Healing, HealingAction, Phase, Signal};
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::command::Ended;
use super::entry::{Entry, Frozen, Mail, MailKind, Slot};
use super::telling::{About, tell, trace_of};
use crate::convert::{duration, history, timestamp};
use crate::error::Error;
use crate::store::{
    PhaseChange, StepWrite, StoreError, StoredWorkflow, TaskKey, TaskRow, WorkflowStore, Write,
};

/// A workflow whose history cannot be trusted.
pub(crate) struct Damage {
    pub(super) why: String,
    pub(super) namespace: String,
    pub(super) tasks: Vec<TaskRow>,
    pub(super) over: Option<Phase>,
    pub(super) trace: String,
}

/// What is wrong with a workflow that cannot be read, if it is not the store that failed.
pub(super) fn damage(error: &Error, stored: Option<StoredWorkflow>) -> Option<Damage> {
    let why = match error {
        Error::Corrupt(why) => why.clone(),
        Error::DefinitionNotFound(_) | Error::DefinitionInvalid(_) => error.to_string(),
        _ => return None,
    };
    let stored = stored?;
    let first = history::events(stored.records.get(..1).unwrap_or_default()).unwrap_or_default();
    let trace = first.first().and_then(history::trace_parent);
    Some(Damage {
        why,
        namespace: stored.row.definition.namespace,
        tasks: stored.tasks,
        over: over(stored.row.phase),
        trace: trace_of(trace),
    })
}

pub(super) fn over(phase: Phase) -> Option<Phase> {
    matches!(phase, Phase::Cancelled | Phase::Completed | Phase::Faulted).then_some(phase)
}

impl Engine {
    /// What was frozen before stays so.
    pub(super) async fn recover_frozen(
        &mut self,
        store: &dyn WorkflowStore,
    ) -> Result<(), StoreError> {
        for (id, why) in store.frozen().await? {
            let Some(row) = store.workflow_row(id).await? else { continue };
            let over = over(row.phase);
            self.slots.insert(id, Slot::Frozen(Frozen { why, over }));
        }
        Ok(())
    }

    pub(super) fn is_frozen(&self, id: Uuid) -> bool {
        matches!(self.slots.get(&id), Some(Slot::Frozen(_)))
    }

    /// Freezes a workflow; whoever waits for something of it is refused.
    pub(super) fn freeze(&mut self, id: Uuid, damage: Damage) {
        match self.slots.remove(&id) {
            Some(Slot::Live(mut entry)) => self.refuse_waiting(&mut entry, id, &damage.why),
            Some(Slot::Loading(waiting)) => {
                for mail in waiting {
                    self.refuse_frozen(id, mail, &damage.why);
                }
            }
            Some(frozen @ Slot::Frozen(_)) => {
                self.slots.insert(id, frozen);
                return;
            }
            None => {}
        }
        let Damage { why, namespace, tasks, over, trace } = damage;
        let about = About { trace, ..About::workflow(id) };
        tell!(error, about, why, "the workflow is frozen: people must look at it");
        for row in &tasks {
            self.routes.remove(row);
            self.release(row.session, row.key);
        }
        self.let_go(id);
        self.open_incident(&about, &namespace, HealingAction::Frozen, format!(
            "{why}: nothing is done with the workflow until it is cancelled or its history restored"
        ));
        let mark = Write::Frozen { id, why: Some(why.clone()), at_ms: now_ms() };
        self.gathering.writes.push(mark);
        self.slots.insert(id, Slot::Frozen(Frozen { why, over }));
    }

    /// Freezes a workflow that is being worked on.
    pub(super) fn freeze_entry(&mut self, entry: &mut Entry, id: Uuid, why: String) {
        self.refuse_waiting(entry, id, &why);
        let damage = Damage {
            why,
            namespace: entry.definition.key.namespace.clone(),
            tasks: entry.tasks.values().cloned().collect(),
            over: over(entry.phase()),
            trace: trace_of(entry.workflow.trace_parent.as_deref()),
        };
        self.freeze(id, damage);
    }

    /// Nothing in memory has the workflow any more.
    fn let_go(&mut self, id: Uuid) {
        let of = |key: &TaskKey| key.workflow == id;
        let held = self.sessions.iter().flat_map(|(session, held)| {
            held.running.keys().filter(|key| of(key)).map(|key| (*session, *key))
        });
        for (session, key) in held.collect::<Vec<_>>() {
            self.release(Some(session), key);
        }
        self.retrying.retain(|key, _| !of(key));
        self.timers.forget(id);
        self.listeners.retain(|key, _| !of(key));
        self.watchers.remove(&id);
    }

    fn refuse_waiting(&mut self, entry: &mut Entry, id: Uuid, why: &str) {
        for waiter in std::mem::take(&mut entry.waiters) {
            let _ = waiter.send(Err(Error::Frozen { id, why: why.to_owned() }));
        }
        for mail in std::mem::take(&mut entry.mailbox) {
            self.refuse_frozen(id, mail, why);
        }
    }

    fn refuse_frozen(&mut self, id: Uuid, mail: Mail, why: &str) {
        if let MailKind::Claim { frame, session } = &mail.kind {
            self.release(Some(*session), TaskKey { workflow: id, frame: *frame });
        }
        if matches!(mail.kind, MailKind::Count { .. }) {
            self.permits.end_count();
        }
        mail.refuse(Error::Frozen { id, why: why.to_owned() });
    }

    /// Mail for a frozen workflow: it can be cancelled, no more.
    pub(super) fn deliver_frozen(&mut self, id: Uuid, frozen: &mut Frozen, mail: Mail) {
        match (mail.kind, frozen.over) {
            (MailKind::Input(Input::Cancel { reason }), None | Some(Phase::Faulted)) => {
                self.cancel_frozen(id, frozen, &reason);
                self.gathering.answer(mail.reply, Ok(()));
            }
            (MailKind::Input(Input::Cancel { .. }), Some(phase)) => {
                let name = if phase == Phase::Cancelled { "cancelled" } else { "completed" };
                self.gathering.answer(mail.reply, Err(Error::PhaseInvalid(name)));
            }
            (MailKind::Wait(waiter), Some(phase @ Phase::Cancelled)) => {
                let ended = Ended { id, phase, output: None, error: None };
                self.gathering.then(move || drop(waiter.send(Ok(ended))));
            }
            (kind, _) => {
                self.refuse_frozen(id, Mail { kind, reply: mail.reply }, &frozen.why);
            }
        }
    }

    /// Ends it in the rows; its history stays as it is.
    fn cancel_frozen(&mut self, id: Uuid, frozen: &mut Frozen, reason: &str) {
        tell!(warn, About::workflow(id), reason, "a frozen workflow was cancelled");
        frozen.over = Some(Phase::Cancelled);
        let step = StepWrite {
            workflow: id,
            created: None,
            phase: Some(PhaseChange {
                phase: Phase::Cancelled,
                ended_at_ms: Some(now_ms()),
                fault: None,
                started_at_ms: None,
            }),
            record: None,
            cleared: true,
            tasks: Vec::new(),
            timers: Vec::new(),
            listeners: Vec::new(),
            healings: Vec::new(),
        };
        self.gathering.writes.push(Write::Step(Box::new(step)));
        self.counters.cancelled += 1;
        self.close_healings(id, |_| true);
    }

    /// Its history is right again: it goes on.
    pub(super) fn thaw(&mut self, id: Uuid) {
        if !self.is_frozen(id) {
            return;
        }
        tell!(warn, About::workflow(id), "a frozen workflow is right again, and goes on");
        self.slots.remove(&id);
        self.gathering.writes.push(Write::Frozen { id, why: None, at_ms: now_ms() });
        self.close_healings(id, |action| action == HealingAction::Frozen);
        self.audit.doubt(id);
    }

    /// Opens a healing that only people, or time, can complete.
    pub(super) fn open_incident(
        &mut self,
        about: &About,
        namespace: &str,
        action: HealingAction,
        summary: String,
    ) {
        let now = timestamp(now_ms());
        let healing = Healing {
            id: Uuid::now_v7().to_string(),
            incident: about.workflow.to_string(),
            signal: Signal::Reconciler.into(),
            action: action.into(),
            summary,
            workflow_id: about.workflow.to_string(),
            namespace: namespace.to_owned(),
            task: about.task.clone(),
            signal_at: Some(now),
            detected_at: Some(now),
            detected_after: Some(duration(0)),
            ..Healing::default()
        };
        self.healings.insert(healing.id.clone(), healing.clone());
        self.gathering.writes.push(Write::Healing(Box::new(healing)));
    }

    /// Completes open healings of a workflow: of what is not wanted any more, or is settled.
    pub(super) fn close_healings(&mut self, id: Uuid, which: impl Fn(HealingAction) -> bool) {
        let of = id.to_string();
        let open = self.healings.values().filter(|healing| healing.workflow_id == of);
        let open = open.filter(|healing| which(healing.action())).map(|healing| healing.id.clone());
        let now_ms = now_ms();
        for id in open.collect::<Vec<_>>() {
            let Some(mut healing) = self.healings.remove(&id) else { continue };
            let signal_at_ms = crate::convert::milliseconds(healing.signal_at.as_ref());
            healing.healed_at = Some(timestamp(now_ms));
            healing.healed_after = Some(duration(now_ms.saturating_sub(signal_at_ms)));
            self.gathering.writes.push(Write::Healing(Box::new(healing)));
        }
    }
}
