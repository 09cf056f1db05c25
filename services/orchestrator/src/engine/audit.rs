//! The audit: open workflows are held against their histories, some with every look, again and
//! again.
//!
//! The history is right. What is found is a doubt at first: a commit may have been on its way. What
//! is found again, by the same history, is mended ([`mend`](super::mend)); where the history itself
//! cannot be trusted, the workflow is frozen ([`freeze`](super::freeze)).

use std::collections::BTreeMap;
use std::time::Duration;

use planaria_kernel::repair::books::{Books, Difference, TaskBook, compare};
use planaria_kernel::workflow::Workflow;
use planaria_proto::types::v1::{HealingAction, Phase};
use planaria_runtime::clock::now_ms;
use tokio::time::Instant;
use uuid::Uuid;

use super::dispatch::call_of;
use super::entry::{Entry, Mail, MailKind, Mending, Slot, phase_of};
use super::finish::labels_of;
use super::freeze::{Damage, damage};
use super::load::{self, Loaded};
use super::telling::{About, tell};
use super::{Engine, Internal};
use crate::definitions::Definitions;
use crate::error::Error;
use crate::store::{StoreError, TaskKey, TaskRow, TaskState, TimerKey, WorkflowStore};

/// What is younger may be on its way; most workflows are over before.
const YOUNG_MS: u64 = 1_000;
/// Histories read in one look: with long ones, fewer are looked at.
const LOOK_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Doubts kept: what is doubted beyond that comes to its turn like the others.
const DOUBTS_MAX: usize = 1_000;

/// Where the audit stands.
pub(super) struct Audit {
    pub(super) next: Instant,
    is_looking: bool,
    /// The workflow behind which to go on.
    after: Uuid,
    /// What was found, if it was this audit that did.
    doubts: BTreeMap<Uuid, Option<(u64, Finding)>>,
}

/// What one look showed.
pub(crate) struct Looked {
    found: Vec<Found>,
    /// Workflows that are no more.
    gone: Vec<Uuid>,
    after: Uuid,
}

/// A workflow, when the store was asked (Unix milliseconds), and what it showed.
type Found = (Uuid, u64, Result<Box<Seen>, Box<Damage>>);

/// A workflow as the store has it.
pub(crate) struct Seen {
    loaded: Loaded,
    books: Books,
    mending: Mending,
    /// A timer's row is of a kind that does not exist.
    has_nonsense: bool,
    /// The workflow's own row is wrong.
    is_wrong: bool,
    listeners: Vec<(TaskKey, String)>,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// The rows, from the history.
    Rows(Vec<Difference>),
    /// Memory, from the history, which is so long there.
    Memory(u64),
    /// Memory, from rows that are right.
    MemoryOfRows,
}

impl Audit {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, is_looking: false, after: Uuid::nil(), doubts: BTreeMap::new() }
    }

    /// Somebody else doubts a workflow: it is looked at next.
    pub(super) fn doubt(&mut self, id: Uuid) {
        if self.doubts.len() < DOUBTS_MAX {
            self.doubts.entry(id).or_insert(None);
        }
    }

    /// Whether that was found before, or somebody else doubts too.
    fn is_confirmed(&mut self, id: Uuid, found: (u64, Finding)) -> bool {
        let before = self.doubts.remove(&id);
        if before.is_some_and(|before| before.is_none_or(|before| before == found)) {
            return true;
        }
        if self.doubts.len() < DOUBTS_MAX {
            self.doubts.insert(id, Some(found));
        }
        false
    }
}

impl Engine {
    /// Has the store asked for some workflows.
    pub(super) fn look_into_books(&mut self) {
        let settings = &self.parts.config;
        // Doubts are settled soon.
        let pause_ms = settings.audit_ms / if self.audit.doubts.is_empty() { 1 } else { 4 };
        self.audit.next = Instant::now() + Duration::from_millis(pause_ms.max(1));
        if self.audit.is_looking || settings.audited_max == 0 {
            return;
        }
        self.audit.is_looking = true;
        let most = settings.audited_max as usize;
        let doubted = self.audit.doubts.keys().take(most).copied().collect();
        let (store, definitions) = (self.parts.store.clone(), self.parts.definitions.clone());
        let (inner, after) = (self.inner.clone(), self.audit.after);
        tokio::spawn(async move {
            let looked = look(store.as_ref(), &definitions, doubted, (after, most)).await;
            let looked = looked.unwrap_or_else(|error| {
                planaria_store::tell("the audit cannot look", &error);
                Looked { found: Vec::new(), gone: Vec::new(), after }
            });
            let _ = inner.send(Internal::Audited(Box::new(looked)));
        });
    }

    /// Compares what the store showed with memory.
    pub(super) fn audited(&mut self, looked: Looked) {
        self.audit.is_looking = false;
        self.audit.after = looked.after;
        for id in looked.gone {
            self.audit.doubts.remove(&id);
        }
        for (id, at_ms, seen) in looked.found {
            let is_settled = match self.slots.get(&id) {
                Some(Slot::Live(entry)) => is_settled(entry, at_ms),
                Some(Slot::Loading(_)) => false,
                Some(Slot::Frozen(_)) | None => true,
            };
            if !is_settled {
                continue;
            }
            match (seen, self.slots.get(&id)) {
                (Ok(seen), Some(Slot::Frozen(_))) => self.thaw_if_right(id, &seen),
                (Ok(seen), _) => self.judge(id, *seen),
                (Err(_), Some(Slot::Frozen(_))) => drop(self.audit.doubts.remove(&id)),
                (Err(damage), _) => {
                    self.audit.doubts.remove(&id);
                    self.freeze(id, *damage);
                }
            }
        }
    }

    fn judge(&mut self, id: Uuid, seen: Seen) {
        let live = match self.slots.get(&id) {
            Some(Slot::Live(entry)) => Some(entry),
            _ => None,
        };
        let Some(finding) = finding(live.map(|entry| &**entry), &seen) else {
            self.audit.doubts.remove(&id);
            self.check_queues(id, &seen);
            return;
        };
        let seq = seen.mending.seq;
        if !self.audit.is_confirmed(id, (seq, finding.clone())) {
            return;
        }
        match finding {
            Finding::Rows(differences) if differences.iter().any(Difference::is_suspect) => {
                let why = format!("its rows know of more than its history, which ends at {seq}");
                self.freeze(id, seen.loaded.damage(why));
            }
            Finding::Rows(_) => {
                let kind = MailKind::Mend(Box::new(seen.mending));
                self.mail.push_back((id, Mail::quiet(kind)));
            }
            Finding::Memory(known) if known > seq => {
                let why = format!("its history ends at {seq}, and had {known} events");
                self.freeze(id, seen.loaded.damage(why));
            }
            Finding::Memory(_) => self.distrust(id, "what was in memory differed from the history"),
            Finding::MemoryOfRows => self.distrust(id, "what was in memory differed from the rows"),
        }
    }

    /// What is in memory is dropped, and read again.
    fn distrust(&mut self, id: Uuid, what: &str) {
        let Some(Slot::Live(mut entry)) = self.slots.remove(&id) else { return };
        let namespace = entry.definition.key.namespace.clone();
        let told = (now_ms(), format!("{what}: it was read again"));
        let about = About::entry(id, &entry);
        self.record_repair(&about, &namespace, HealingAction::Rebuilt, told);
        self.read_again(&mut entry, id, None);
    }

    /// The rows are right: so must the queues be.
    fn check_queues(&mut self, id: Uuid, seen: &Seen) {
        if seen.loaded.workflow.phase != planaria_kernel::workflow::Phase::Running {
            return;
        }
        for row in &seen.loaded.stored.tasks {
            let frame = row.key.frame;
            let kind = match row.state {
                TaskState::Queued if !self.is_reachable(row) => MailKind::Stranded(frame),
                TaskState::Running if self.is_orphan(row) => MailKind::Orphaned(frame),
                TaskState::RetryWait => {
                    self.retrying.entry(row.key).or_insert(row.latest_start_ms);
                    continue;
                }
                _ => continue,
            };
            self.mail.push_back((id, Mail::quiet(kind)));
        }
        for (key, kind) in &seen.listeners {
            if self.listeners.get(key) != Some(kind) {
                self.listeners.insert(*key, kind.clone());
            }
        }
    }

    /// Somebody has restored what was damaged.
    fn thaw_if_right(&mut self, id: Uuid, seen: &Seen) {
        self.audit.doubts.remove(&id);
        let workflow = &seen.loaded.workflow;
        if finding(None, seen).is_none() && !is_stuck(workflow) {
            self.thaw(id);
        }
    }
}

/// Nothing of it is on its way, nor was when the store was asked.
fn is_settled(entry: &Entry, asked_at_ms: u64) -> bool {
    entry.evaluating.is_none() && entry.uncommitted == 0 && entry.committed_at_ms < asked_at_ms
}

/// Whether nothing can bring it on, ever.
pub(super) fn is_stuck(workflow: &Workflow) -> bool {
    workflow.phase == planaria_kernel::workflow::Phase::Running
        && !workflow.has_something_open()
        && !workflow.can_continue()
}

fn finding(live: Option<&Entry>, seen: &Seen) -> Option<Finding> {
    let folded = &seen.loaded.workflow;
    if let Some(entry) = live
        && entry.workflow != *folded
    {
        return Some(Finding::Memory(entry.workflow.seq));
    }
    if is_quiet(seen) {
        return None;
    }
    if seen.is_wrong || seen.has_nonsense || !seen.mending.differences.is_empty() {
        return Some(Finding::Rows(seen.mending.differences.clone()));
    }
    let of_row = |row: &TaskRow| (row.key.frame, row.state, row.session, row.attempt, row.priority);
    let rows = seen.loaded.stored.tasks.iter().map(of_row);
    let differs = |entry: &Entry| !entry.tasks.values().map(of_row).eq(rows);
    live.is_some_and(differs).then_some(Finding::MemoryOfRows)
}

/// All rows are gone of one that runs: the reconciler's scan has it go on.
fn is_quiet(seen: &Seen) -> bool {
    let (row, books) = (&seen.loaded.stored.row, &seen.books);
    let runs = matches!(row.phase, Phase::Running | Phase::Waiting);
    let nothing = books.tasks.is_empty()
        && books.timers.is_empty()
        && books.listeners.is_empty()
        && !seen.has_nonsense;
    let is_running = seen.loaded.workflow.phase == planaria_kernel::workflow::Phase::Running;
    runs && nothing && is_running && !seen.mending.differences.is_empty()
}

async fn look(
    store: &dyn WorkflowStore,
    definitions: &Definitions,
    doubted: Vec<Uuid>,
    (after, most): (Uuid, usize),
) -> Result<Looked, StoreError> {
    let rolling = most.saturating_sub(doubted.len()).max(1);
    let page = store.open_workflows(after, u32::try_from(rolling).unwrap_or(u32::MAX)).await?;
    let is_whole_page = page.len() >= rolling;
    let young_ms = now_ms().saturating_sub(YOUNG_MS);
    let known = doubted.len();
    let ids = doubted.into_iter().chain(page);
    let mut looked = Looked { found: Vec::new(), gone: Vec::new(), after: Uuid::nil() };
    let mut bytes = 0;
    for (position, id) in ids.enumerate() {
        if bytes > LOOK_BYTES_MAX {
            return Ok(looked);
        }
        if position >= known {
            // Ids begin with the time; behind one that is young all are.
            if started_ms(id) > young_ms {
                looked.after = Uuid::nil();
                return Ok(looked);
            }
            looked.after = id;
        }
        let at_ms = now_ms();
        match load::read(store, definitions, id).await {
            Ok(loaded) => {
                bytes += loaded.stored.records.iter().map(bytes::Bytes::len).sum::<usize>();
                let seen = see(store, id, loaded).await?;
                looked.found.push((id, at_ms, Ok(Box::new(seen))));
            }
            Err((Error::WorkflowNotFound(_), _)) => looked.gone.push(id),
            Err((error, stored)) => match damage(&error, stored) {
                Some(damage) => looked.found.push((id, at_ms, Err(Box::new(damage)))),
                None => tell!(error, About::workflow(id), error = %error, "cannot be audited"),
            },
        }
    }
    if !is_whole_page {
        looked.after = Uuid::nil();
    }
    Ok(looked)
}

/// The Unix milliseconds that a UUIDv7 begins with.
fn started_ms(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> 80).unwrap_or(u64::MAX)
}

async fn see(store: &dyn WorkflowStore, id: Uuid, loaded: Loaded) -> Result<Seen, StoreError> {
    let timers = store.timers_of(id).await?;
    let listeners = store.listeners_of(id).await?;
    let (workflow, row) = (&loaded.workflow, &loaded.stored.row);
    let books = books(&loaded, &timers, &listeners);
    let tasks = &loaded.stored.tasks;
    let has_tasks = tasks.iter().any(|row| row.state != TaskState::RetryWait);
    let is_faulted = loaded.fault.is_some();
    let is_wrong = row.phase != phase_of(workflow, has_tasks)
        || row.started_at_ms != workflow.started_at_ms
        || row.ended_at_ms != loaded.ended_at_ms
        || row.fault.is_some() != is_faulted;
    let mending = Mending {
        seq: workflow.seq,
        ended_at_ms: loaded.ended_at_ms,
        fault: loaded.fault.clone(),
        differences: compare(workflow, &books),
        attempts: tasks.iter().map(|row| (row.key.frame, row.attempt)).collect(),
    };
    let has_nonsense = timers.iter().any(Option::is_none);
    Ok(Seen { books, mending, has_nonsense, is_wrong, listeners, loaded })
}

fn books(
    loaded: &Loaded,
    timers: &[Option<(TimerKey, u64)>],
    listeners: &[(TaskKey, String)],
) -> Books {
    let task = |row: &TaskRow| (row.key.frame, book_of(&loaded.workflow, row));
    let timer = |(key, due_ms): &(TimerKey, u64)| ((key.task.frame, key.timer), *due_ms);
    Books {
        tasks: loaded.stored.tasks.iter().map(task).collect(),
        timers: timers.iter().flatten().map(timer).collect(),
        listeners: listeners.iter().map(|(key, kind)| (key.frame, kind.as_str().into())).collect(),
    }
}

/// A task's row, as far as the history has a say in it.
pub(super) fn book_of(workflow: &Workflow, row: &TaskRow) -> TaskBook {
    let waits_for_retry = row.state == TaskState::RetryWait;
    let is_declared = is_declared(workflow, row);
    TaskBook { waits_for_retry, attempt: row.attempt, is_declared }
}

/// Whether a row says what the definition does.
fn is_declared(workflow: &Workflow, row: &TaskRow) -> bool {
    let Some(frame) = workflow.frames.get(&row.key.frame) else { return true };
    let Some(call) = call_of(&workflow.graph.node(frame.node).kind) else { return true };
    *row.function == *call.function
        && *row.queue == *call.queue
        && row.version.as_deref() == call.version.as_deref()
        && row.priority == call.priority
        && row.labels == labels_of(call)
}
