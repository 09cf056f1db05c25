//! The reconciler: looks for states that should not be, and mends them.
//!
//! It takes no input and trusts no hint: it scans the store and compares. Each repair is a step of
//! the workflow it concerns, fenced like any other, and leaves a healing.

use std::collections::{BTreeSet, HashSet};

use planaria_kernel::repair::repeats::Repeats;
use planaria_kernel::repair::{self, Repair};
use planaria_kernel::workflow::{Effect, FrameId, Input, Phase, Timer};
use planaria_proto::types::v1::HealingAction;
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::command::RetryVerdict;
use super::entry::{Entry, Evidence, Loss, Mail, MailKind, Settle, Slot, Work};
use super::session::Session;
use super::telling::About;
use super::{Engine, Internal};
use crate::store::{StoreError, TaskKey, TaskRow, TaskState, TimerKey, WorkflowStore};

/// What the store showed.
#[derive(Default)]
pub(crate) struct Observed {
    /// When it was asked, in Unix milliseconds.
    at_ms: u64,
    timers: Vec<TimerKey>,
    orphans: Vec<TaskRow>,
    queued: Vec<TaskRow>,
    quiet: Vec<Uuid>,
    leftovers: Vec<Uuid>,
}

/// What the reconciler remembers from one look to the next.
#[derive(Default)]
pub(crate) struct Reconciliation {
    /// A look is under way.
    looking: bool,
    /// Looks until the store is scanned again.
    until_scan: u32,
    quiet: HashSet<Uuid>,
    /// What was repaired lately: the workflow, the task, and how.
    pub(super) repeats: Repeats<(Uuid, String, HealingAction)>,
}

/// Rows looked at in one scan.
const SCANNED_MAX: u32 = 1_000;
/// The store is scanned with every so many looks; memory is looked at with each.
const LOOKS_PER_SCAN: u32 = 2;
/// What is younger than this may be on its way.
const YOUNG_MS: u64 = 2_000;

impl Engine {
    /// Looks at memory, and now and then has the store scanned.
    pub(super) fn observe_for_repairs(&mut self) {
        let retries = self.retrying.iter().map(|(key, latest)| (*key, *latest)).collect();
        self.carry_out(&repair::Observed {
            retries,
            timers: Vec::new(),
            orphans: Vec::new(),
            stranded: Vec::new(),
            quiet: Vec::new(),
            leftovers: Vec::new(),
        });
        self.reconciliation.until_scan = self.reconciliation.until_scan.saturating_sub(1);
        if self.reconciliation.looking || self.reconciliation.until_scan > 0 {
            return;
        }
        self.reconciliation.looking = true;
        self.reconciliation.until_scan = LOOKS_PER_SCAN;
        self.settle_repeats();
        let (store, inner) = (self.parts.store.clone(), self.inner.clone());
        tokio::spawn(async move {
            let observed = scan(store.as_ref()).await.unwrap_or_else(|error| {
                planaria_store::tell("the reconciler cannot look", &error);
                Observed::default()
            });
            let _ = inner.send(Internal::Observed(Box::new(observed)));
        });
    }

    /// Compares what the store showed with memory, plans, and carries the plan out.
    pub(super) fn repair(&mut self, seen: Observed) {
        self.reconciliation.looking = false;
        let frozen = |id: Uuid| self.is_frozen(id);
        let Observed { at_ms, mut timers, mut orphans, mut queued, quiet, leftovers } = seen;
        timers.retain(|key| !frozen(key.task.workflow));
        for rows in [&mut orphans, &mut queued] {
            rows.retain(|row| !frozen(row.key.workflow));
        }
        let seen = Observed { at_ms, timers, orphans, queued, quiet, leftovers };
        let before = std::mem::take(&mut self.reconciliation.quiet);
        // What was committed since the store was asked may have changed what it showed.
        let is_settled = |id: &Uuid| match self.slots.get(id) {
            Some(Slot::Live(entry)) => {
                entry.evaluating.is_none()
                    && entry.uncommitted == 0
                    && entry.committed_at_ms < seen.at_ms
            }
            Some(Slot::Loading(_) | Slot::Frozen(_)) => false,
            None => true,
        };
        // Where memory and store differ about a task and nothing is on its way, the store is right.
        let differs = |row: &&TaskRow| match self.slots.get(&row.key.workflow) {
            Some(Slot::Live(entry)) => entry.tasks.get(&row.key.frame).is_none_or(|now| {
                (now.state, now.session, now.attempt) != (row.state, row.session, row.attempt)
            }),
            _ => false,
        };
        let rows = seen.orphans.iter().chain(&seen.queued).filter(differs);
        let settled = rows.map(|row| row.key.workflow).filter(|id| is_settled(id));
        let distrusted: BTreeSet<Uuid> = settled.collect();
        let quiet: Vec<Uuid> = seen.quiet.into_iter().filter(|id| is_settled(id)).collect();
        let observed = repair::Observed {
            retries: Vec::new(),
            timers: seen.timers.into_iter().filter(|key| !self.will_fire(key)).collect(),
            orphans: seen.orphans.iter().filter(|row| self.is_orphan(row)).map(|r| r.key).collect(),
            stranded: seen.queued.iter().filter(|r| !self.is_reachable(r)).map(|r| r.key).collect(),
            quiet: quiet.iter().map(|id| (*id, before.contains(id))).collect(),
            leftovers: seen.leftovers.into_iter().filter(|id| is_settled(id)).collect(),
        };
        self.reconciliation.quiet = quiet.into_iter().collect();
        for id in distrusted {
            if let Some(Slot::Live(mut entry)) = self.slots.remove(&id) {
                self.read_again(&mut entry, id, None);
            }
        }
        self.carry_out(&observed);
    }

    fn carry_out(&mut self, observed: &repair::Observed<TaskKey, TimerKey, Uuid>) {
        let grace_ms = self.parts.config.retry_grace_ms;
        for repair in repair::plan(observed, grace_ms, now_ms()) {
            let (workflow, kind) = match repair {
                Repair::DecideRetry(key) => {
                    let Some(attempt) = self.failed_attempt(key) else {
                        (self.mail).push_back((key.workflow, Mail::quiet(MailKind::Check)));
                        continue;
                    };
                    let frame = key.frame;
                    let verdict = RetryVerdict::Overdue;
                    let kind = MailKind::Decision { frame, attempt, verdict };
                    (key.workflow, kind)
                }
                Repair::FireTimer(key) => {
                    (key.task.workflow, MailKind::Overdue(key.task.frame, key.timer))
                }
                Repair::RunAgain(key) => (key.workflow, MailKind::Orphaned(key.frame)),
                Repair::Queue(key) => (key.workflow, MailKind::Stranded(key.frame)),
                Repair::Advance(id) => (id, MailKind::Quiet),
                Repair::Remove(id) => (id, MailKind::Leftover),
            };
            self.mail.push_back((workflow, Mail::quiet(kind)));
        }
    }

    /// The attempt that failed, if the workflow is in memory; else it is read first.
    fn failed_attempt(&self, key: TaskKey) -> Option<u32> {
        match self.slots.get(&key.workflow) {
            Some(Slot::Live(entry)) => entry.tasks.get(&key.frame).map(|row| row.attempt),
            _ => None,
        }
    }

    fn will_fire(&self, key: &TimerKey) -> bool {
        match self.slots.get(&key.task.workflow) {
            // A step on its way to the store may be what disarms it.
            Some(Slot::Live(entry)) => entry.uncommitted > 0 || self.timers.is_armed(key),
            _ => self.timers.is_armed(key),
        }
    }

    /// Whether no session has the attempt: there is none, or it knows nothing of it.
    pub(super) fn is_orphan(&self, row: &TaskRow) -> bool {
        let session = row.session.and_then(|session| self.sessions.get(&session));
        let running = session.and_then(|session| session.running.get(&row.key));
        running.is_none_or(|running| running.attempt != row.attempt)
    }

    /// Whether a queue has the task, a session has a slot reserved for it, or memory knows better.
    pub(super) fn is_reachable(&self, row: &TaskRow) -> bool {
        if let Some(Slot::Live(entry)) = self.slots.get(&row.key.workflow)
            && entry.tasks.get(&row.key.frame).is_none_or(|now| now.state != TaskState::Queued)
            && (entry.uncommitted > 0 || entry.evaluating.is_some())
        {
            return true;
        }
        let reserved = |session: &Session| {
            session.running.get(&row.key).is_some_and(|running| running.attempt == 0)
        };
        self.routes.has(row) || self.sessions.values().any(reserved)
    }

    /// Goes on if it can.
    pub(super) fn check(&mut self, entry: &mut Entry, id: Uuid) {
        if entry.workflow.can_continue() {
            self.apply(entry, id, Input::Continue, Work::default());
        }
    }

    /// Opens again whatever should be open and is not in the store, and goes on if it can.
    pub(super) fn quiet(&mut self, entry: &mut Entry, id: Uuid) {
        if entry.workflow.phase != Phase::Running || entry.uncommitted > 0 {
            return;
        }
        if super::audit::is_stuck(&entry.workflow) {
            let why = "it runs, and by its history nothing can bring it on".to_owned();
            self.freeze_entry(entry, id, why);
            return;
        }
        let told = (now_ms(), "a workflow stood still and goes on".to_owned());
        let about = About::entry(id, entry);
        let namespace = &entry.definition.key.namespace;
        self.record_repair(&about, namespace, HealingAction::WorkflowAdvanced, told);
        // The store is right about its rows: what memory has is of the same steps, or older.
        let mut effects = vec![Effect::End];
        effects.extend(entry.workflow.standing_effects());
        let work = Work { effects, clears: true, ..Work::default() };
        self.apply(entry, id, Input::Continue, work);
    }

    /// Drops what a finished workflow left behind.
    pub(super) fn leftover(&mut self, entry: &mut Entry, id: Uuid) {
        if !entry.workflow.phase.is_over() {
            // Its row says so, its history does not.
            self.audit.doubt(id);
            return;
        }
        if entry.uncommitted > 0 {
            return;
        }
        let told = (now_ms(), "a finished workflow had something open".to_owned());
        let about = About::entry(id, entry);
        let namespace = &entry.definition.key.namespace;
        self.record_repair(&about, namespace, HealingAction::Removed, told);
        let work = Work { effects: vec![Effect::End], clears: true, ..Work::default() };
        self.finish(entry, id, work);
    }

    /// A timer that nothing would have fired.
    pub(super) fn overdue(&mut self, entry: &mut Entry, id: Uuid, key: (FrameId, Timer)) {
        let Some(&due_ms) = entry.timers.get(&key) else {
            let told = (now_ms(), "a timer was due of nothing that waits for it".to_owned());
            let about = About::task(id, entry, key.0);
            let namespace = &entry.definition.key.namespace;
            self.record_repair(&about, namespace, HealingAction::Removed, told);
            let work = Work { settle: Settle::Fired(key.0, key.1), ..Work::default() };
            self.finish(entry, id, work);
            return;
        };
        if entry.workflow.phase != Phase::Running {
            return;
        }
        let told = (due_ms, "a timer was overdue".to_owned());
        let about = About::task(id, entry, key.0);
        let namespace = &entry.definition.key.namespace;
        self.record_repair(&about, namespace, HealingAction::TimerFired, told);
        let work = Work { settle: Settle::Fired(key.0, key.1), ..Work::default() };
        let input = Input::TimerFired { frame: key.0, timer: key.1 };
        self.apply(entry, id, input, work);
    }

    /// A queued task that no queue has.
    pub(super) fn stranded(&mut self, entry: &mut Entry, frame: FrameId) {
        let Some(row) = entry.tasks.get(&frame) else { return };
        if row.state != TaskState::Queued || self.is_reachable(row) {
            return;
        }
        let told = (row.since_ms, "a task waited where no worker would look".to_owned());
        let key = row.key;
        let about = About::task(key.workflow, entry, frame);
        let namespace = &entry.definition.key.namespace;
        self.record_repair(&about, namespace, HealingAction::Rerun, told);
        self.release_everywhere(key);
        self.place(entry, frame, None);
        self.write_task(entry, frame);
    }

    /// A task whose session is over, and nobody told it.
    pub(super) fn orphaned(&mut self, entry: &mut Entry, id: Uuid, frame: FrameId) {
        let Some(row) = entry.tasks.get(&frame) else { return };
        let over = entry.workflow.phase.is_over();
        if over || row.state != TaskState::Running || !self.is_orphan(row) {
            return;
        }
        // Whoever had it before its row said otherwise has it no more.
        let key = row.key;
        let holders: Vec<Uuid> = self.sessions.keys().copied().collect();
        for session in holders {
            self.release(Some(session), key);
        }
        let loss = Loss {
            frame,
            attempt: row.attempt,
            session: row.session.unwrap_or_default(),
            worker: String::new(),
            cause: planaria_kernel::workflow::LossCause::LostDelivery,
            signal_at_ms: row.since_ms,
            detail: "the session that had it is over".to_owned(),
            progress: String::new(),
            checkpoint: None,
            reply_released: false,
            evidence: Evidence::Company,
        };
        self.lost(entry, id, loss, None);
    }
}

async fn scan(store: &dyn WorkflowStore) -> Result<Observed, StoreError> {
    let at_ms = now_ms();
    let before_ms = at_ms.saturating_sub(YOUNG_MS);
    let quiet: BTreeSet<Uuid> =
        store.quiet_workflows(Uuid::nil(), SCANNED_MAX).await?.into_iter().collect();
    Ok(Observed {
        at_ms,
        timers: store.overdue_timers(before_ms, SCANNED_MAX).await?,
        orphans: store.orphans(SCANNED_MAX).await?,
        queued: store.queued_before(before_ms, SCANNED_MAX).await?,
        quiet: quiet.into_iter().collect(),
        leftovers: store.leftovers(SCANNED_MAX).await?,
    })
}
