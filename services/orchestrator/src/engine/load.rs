//! Reading: everything open at the start, and single workflows when they are needed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use planaria_kernel::Json;
use planaria_kernel::workflow::{
    Fact, FrameId, FrameState, Input, Phase, Recorded, RerunPlan, Workflow,
};
use planaria_proto::task::v1::OpenSessionRequest;
use planaria_proto::types::v1::{self as proto, Healing};
use planaria_runtime::clock::now_ms;
use prost::Message;
use uuid::Uuid;

use super::advance::standing_timers;
use super::command::Reply;
use super::entry::{Entry, Mail, MailKind, Slot, Work};
use super::freeze::{Damage, damage, over};
use super::session::{Handed, Running};
use super::telling::{About, tell, trace_of};
use super::{Engine, Internal};
use crate::convert::history;
use crate::definitions::{Definition, Definitions};
use crate::error::Error;
use crate::store::{StoreError, StoredWorkflow, TaskKey, TaskRow, TaskState, WorkflowStore};

/// A workflow that was read.
pub(crate) struct Loaded {
    definition: Arc<Definition>,
    pub(super) workflow: Workflow,
    pub(super) stored: StoredWorkflow,
    /// When it ended by its history, in Unix milliseconds.
    pub(super) ended_at_ms: Option<u64>,
    /// What it faulted with by its history, as rows have it.
    pub(super) fault: Option<bytes::Bytes>,
    /// It goes on from an earlier place: the fact that says so, and who waits for it.
    rerun: Option<(Fact, Option<Reply<()>>, u64)>,
    generation: u64,
}

/// Why a workflow was not read, and what is there of it.
pub(crate) type Unread = (Error, Option<StoredWorkflow>);

/// A rerun that is wanted.
pub(crate) struct RerunWish {
    task: String,
    input: Option<Json>,
    reply: Option<Reply<()>>,
}

/// Rows read at once.
const PAGE: u32 = 2_000;

impl Engine {
    /// Reads what is open, at the start and after the store failed. Streams of sessions stay.
    pub(super) async fn recover(&mut self) -> Result<(), StoreError> {
        let store = self.parts.store.clone();
        let lease_until_ms = now_ms() + self.parts.config.lease_ms;
        let streams: Vec<_> = self
            .sessions
            .drain()
            .filter_map(|(id, session)| Some((id, session.stream?, session.draining, session.out)))
            .collect();
        self.workers.clear();
        self.routes = super::Routes::new(self.parts.config.ageing_step_ms);
        self.recover_permits().await?;
        self.recover_frozen(store.as_ref()).await?;
        for row in store.sessions().await? {
            let Ok(request) = OpenSessionRequest::decode(row.announcement.clone()) else {
                // Its worker opens another; what it had is found without a session.
                tracing::error!(session = %row.id, "a session cannot be read: it is over");
                continue;
            };
            let lease_until_ms = lease_until_ms.max(row.lease_until_ms);
            self.add_session(row.id, &request, row.is_lent, lease_until_ms);
        }
        for (id, stream, draining, out) in streams {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.stream = Some(stream);
                session.draining = draining;
                session.out = out;
                self.hungry.insert(id);
            }
        }
        for body in store.open_healings().await? {
            if let Ok(healing) = Healing::decode(body) {
                self.healings.insert(healing.id.clone(), healing);
            }
        }
        self.listeners = store.listeners().await?.into_iter().collect();
        let frozen = |key: &TaskKey| matches!(self.slots.get(&key.workflow), Some(Slot::Frozen(_)));
        self.listeners.retain(|key, _| !frozen(key));
        self.recover_tasks(store.as_ref()).await?;
        self.has_news = true;
        for session in self.sessions.values_mut().filter(|session| session.lent.is_some()) {
            let held = Some(session.running.len());
            let _ = session.hand(Handed { held, ..Handed::default() });
        }
        // What was committed without an answer was not told to those who follow the log.
        self.parts.tail.restart(store.log_end().await?);
        Ok(())
    }

    async fn recover_tasks(&mut self, store: &dyn WorkflowStore) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let rows = store.tasks(after, PAGE).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.key);
            for row in &rows {
                self.recover_task(row);
            }
        }
    }

    fn recover_task(&mut self, row: &TaskRow) {
        if self.is_frozen(row.key.workflow) {
            return;
        }
        match row.state {
            TaskState::Queued => drop(self.routes.add(row, None)),
            TaskState::RetryWait => drop(self.retrying.insert(row.key, row.latest_start_ms)),
            TaskState::Running => {
                let session = row.session.and_then(|id| Some((id, self.sessions.get_mut(&id)?)));
                match session {
                    Some((id, session)) => {
                        let since_ms = now_ms();
                        let (attempt, trial) = (row.attempt, row.trial());
                        let running = Running { attempt, since_ms, missed: 0, trial };
                        session.hold(row.key, running);
                        let of = (&*row.namespace, &*row.function);
                        let at = (row.key, id);
                        self.permits.count(at, of, row.limit_values.as_deref());
                    }
                    // Its session is over, and nobody told the task: the books are mended.
                    None => {
                        let kind = MailKind::Orphaned(row.key.frame);
                        self.mail.push_back((row.key.workflow, Mail::quiet(kind)));
                    }
                }
            }
        }
    }

    /// Forgets everything but who is connected.
    pub(super) fn forget(&mut self) {
        for (_, slot) in self.slots.drain() {
            let (waiting, waiters) = match slot {
                Slot::Loading(waiting) => (waiting, Vec::new()),
                Slot::Live(entry) => (entry.mailbox, entry.waiters),
                Slot::Frozen(_) => continue,
            };
            for mail in waiting {
                mail.refuse(Error::Unavailable);
            }
            for waiter in waiters {
                let _ = waiter.send(Err(Error::Unavailable));
            }
        }
        for (_, mail) in self.mail.drain(..) {
            mail.refuse(Error::Unavailable);
        }
        self.hungry.clear();
        self.idle_lent.clear();
        self.retrying.clear();
        self.timers = super::Timers::default();
        self.healings.clear();
        self.keys.clear();
        self.key_ages.clear();
        // They come back with the last number they saw; what was committed meanwhile they missed.
        self.watchers.clear();
        for (_, mail) in self.mail_after_commit.drain(..) {
            mail.refuse(Error::Unavailable);
        }
        self.next_scan = tokio::time::Instant::now();
    }

    /// Reads a workflow.
    pub(super) fn load(&self, id: Uuid, wish: Option<RerunWish>) {
        let (store, definitions) = (self.parts.store.clone(), self.parts.definitions.clone());
        let (inner, generation) = (self.inner.clone(), self.generation);
        tokio::spawn(async move {
            let loaded = match wish {
                Some(wish) => read_for_rerun(store.as_ref(), &definitions, id, wish).await,
                None => read(store.as_ref(), &definitions, id).await,
            };
            let loaded = match loaded {
                Ok(mut loaded) => {
                    loaded.generation = generation;
                    Ok(Box::new(loaded))
                }
                Err(unread) => Err(Box::new(unread)),
            };
            let _ = inner.send(Internal::Loaded(id, loaded));
        });
    }

    /// A workflow was read: its mail is worked off.
    pub(super) fn loaded(&mut self, id: Uuid, loaded: Result<Box<Loaded>, Box<Unread>>) {
        let waiting = match self.slots.remove(&id) {
            Some(Slot::Loading(waiting)) => waiting,
            Some(live) => {
                self.slots.insert(id, live);
                return;
            }
            None => return,
        };
        match loaded {
            Ok(loaded) if loaded.generation == self.generation => {
                self.take_in(id, *loaded, waiting);
            }
            Ok(_) => {
                self.slots.insert(id, Slot::Loading(waiting));
                self.load(id, None);
            }
            Err(unread) => self.not_loaded(id, *unread, waiting),
        }
    }

    fn not_loaded(&mut self, id: Uuid, (error, stored): Unread, waiting: VecDeque<Mail>) {
        // What is over needs nobody to look at it: whoever wants something of it is refused.
        let needs_people =
            |damage: &Damage| matches!(damage.over, None | Some(proto::Phase::Faulted));
        if let Some(damage) = damage(&error, stored).filter(needs_people) {
            self.slots.insert(id, Slot::Loading(waiting));
            self.freeze(id, damage);
            return;
        }
        if !matches!(error, Error::WorkflowNotFound(_)) {
            if planaria_store::is_trouble(&error) {
                planaria_store::tell(&format!("workflow {id} cannot be read"), &error);
            } else {
                let error = planaria_store::chain(&error);
                tell!(error, About::workflow(id), error, "cannot be read");
            }
        }
        for mail in waiting {
            if let MailKind::Claim { frame, session } = &mail.kind {
                self.release(Some(*session), TaskKey { workflow: id, frame: *frame });
            }
            if matches!(mail.kind, MailKind::Count { .. }) {
                self.permits.end_count();
            }
            mail.refuse(same(&error, id));
        }
    }

    fn take_in(&mut self, id: Uuid, loaded: Loaded, waiting: VecDeque<Mail>) {
        let tasks: BTreeMap<FrameId, TaskRow> =
            loaded.stored.tasks.into_iter().map(|row| (row.key.frame, row)).collect();
        let timers = if loaded.workflow.phase.is_over() {
            BTreeMap::new()
        } else {
            standing_timers(&loaded.workflow)
        };
        let frames = loaded.workflow.frames.iter();
        let listeners: BTreeSet<FrameId> = frames
            .filter(|(_, frame)| frame.state == FrameState::Listen)
            .map(|(&frame, _)| frame)
            .collect();
        let retrying = tasks.values().filter(|row| row.state == TaskState::RetryWait).count();
        let mut entry = Box::new(Entry {
            definition: loaded.definition,
            workflow: loaded.workflow,
            tasks,
            retrying,
            records: BTreeMap::new(),
            timers,
            listeners,
            start_key: None,
            shown: loaded.stored.row.phase,
            uncommitted: 0,
            committed_at_ms: 0,
            evaluating: None,
            mailbox: VecDeque::new(),
            waiters: Vec::new(),
            starters: Vec::new(),
        });
        if let Some((fact, reply, at_ms)) = loaded.rerun {
            self.begin_rerun(&mut entry, id, (fact, at_ms), reply);
        }
        self.slots.insert(id, Slot::Live(entry));
        for mail in waiting.into_iter().rev() {
            self.mail.push_front((id, mail));
        }
    }

    /// The workflow goes on from an earlier place: what is open now is dropped, what stood open
    /// there is opened again.
    fn begin_rerun(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        (fact, at_ms): (Fact, u64),
        reply: Option<Reply<()>>,
    ) {
        let decided = Some((at_ms, rand::random()));
        let mut effects = vec![planaria_kernel::workflow::Effect::End];
        effects.extend(entry.workflow.standing_effects());
        let facts = vec![fact];
        let work = Work { decided, facts, effects, reply, clears: true, ..Work::default() };
        self.apply(entry, id, Input::Continue, work);
    }

    /// Has a workflow go on from an earlier task: its history is read for that.
    pub(super) fn rerun(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        (task, input): (String, Option<Json>),
        reply: Option<Reply<()>>,
    ) {
        if entry.uncommitted > 0 {
            // The history to read is not all there yet.
            let kind = MailKind::Rerun { task, input };
            self.mail_after_commit.push((id, Mail { kind, reply }));
            return;
        }
        // Until it is known whether the task can be gone on from, nothing of the old state is
        // given up: queues and sessions keep what they have.
        self.read_again(entry, id, Some(RerunWish { task, input, reply }));
    }

    /// Reads a workflow from the store that is in memory; whoever waits goes on waiting.
    pub(super) fn read_again(&mut self, entry: &mut Entry, id: Uuid, wish: Option<RerunWish>) {
        let waiters = std::mem::take(&mut entry.waiters).into_iter();
        let mut waiting: VecDeque<Mail> =
            waiters.map(|waiter| Mail::quiet(MailKind::Wait(waiter))).collect();
        waiting.append(&mut entry.mailbox);
        self.slots.insert(id, Slot::Loading(waiting));
        self.load(id, wish);
    }
}

impl Loaded {
    /// What is to be known to freeze it.
    pub(super) fn damage(self, why: String) -> Damage {
        Damage {
            why,
            namespace: self.stored.row.definition.namespace,
            tasks: self.stored.tasks,
            over: over(self.stored.row.phase),
            trace: trace_of(self.workflow.trace_parent.as_deref()),
        }
    }
}

/// A workflow as the store has it: its state is the fold of its history.
pub(super) async fn read(
    store: &dyn WorkflowStore,
    definitions: &Definitions,
    id: Uuid,
) -> Result<Loaded, Unread> {
    let (loaded, _) = read_with_facts(store, definitions, id).await?;
    Ok(loaded)
}

async fn read_with_facts(
    store: &dyn WorkflowStore,
    definitions: &Definitions,
    id: Uuid,
) -> Result<(Loaded, Vec<Recorded>), Unread> {
    let stored = store.workflow(id).await.map_err(|error| (error.into(), None))?;
    let stored = stored.ok_or_else(|| (Error::WorkflowNotFound(id.to_string()), None))?;
    let definition = match definitions.get(&stored.row.definition).await {
        Ok(definition) => definition,
        Err(error) => return Err((error, Some(stored))),
    };
    let graph = &definition.compiled.graph;
    let facts = match history::facts(graph, &stored.records) {
        Ok(facts) => facts,
        Err(error) => return Err((Error::Corrupt(error.to_string()), Some(stored))),
    };
    let workflow = Workflow::fold(&id.to_string().into(), graph, &facts);
    let last = facts.last().filter(|_| workflow.phase.is_over());
    let ended_at_ms = last.map(|recorded| recorded.at_ms);
    let fault = match &workflow.phase {
        Phase::Faulted { .. } => {
            let facts: Vec<Fact> = facts.iter().map(|recorded| recorded.fact.clone()).collect();
            history::fault(graph, &facts)
        }
        _ => None,
    };
    let rerun = None;
    let loaded = Loaded { definition, workflow, stored, ended_at_ms, fault, rerun, generation: 0 };
    Ok((loaded, facts))
}

/// The same, as it is when it goes on from an earlier task. If it cannot, whoever wishes it is
/// told, and nothing changes.
async fn read_for_rerun(
    store: &dyn WorkflowStore,
    definitions: &Definitions,
    id: Uuid,
    wish: RerunWish,
) -> Result<Loaded, Unread> {
    let read = read_with_facts(store, definitions, id).await;
    let (mut loaded, facts) = match read {
        Ok(read) => read,
        Err((error, stored)) => {
            if let Some(reply) = wish.reply {
                let _ = reply.send(Err(same(&error, id)));
            }
            return Err((error, stored));
        }
    };
    let at_ms = now_ms();
    let graph = loaded.workflow.graph.clone();
    let name: Arc<str> = id.to_string().into();
    let plan = graph.find(&wish.task).and_then(|node| {
        let numbers = (highest_attempt(&facts, &loaded.stored.tasks), at_ms);
        RerunPlan::new(&name, &graph, &facts, (node, wish.input), numbers)
    });
    match plan {
        Some(plan) => {
            loaded.rerun = Some((plan.fact, wish.reply, at_ms));
            loaded.workflow = plan.workflow;
        }
        None => {
            if let Some(reply) = wish.reply {
                let _ = reply.send(Err(Error::TaskNotFound(wish.task)));
            }
        }
    }
    Ok(loaded)
}

/// The highest attempt number that was ever handed out.
fn highest_attempt(facts: &[Recorded], tasks: &[TaskRow]) -> u32 {
    let told = facts.iter().filter_map(|recorded| match &recorded.fact {
        Fact::TaskCompleted(done) => done.execution.as_ref().map(|execution| execution.attempt),
        Fact::AttemptFailed(failed) => Some(failed.execution.attempt),
        Fact::AttemptLost(lost) => Some(lost.execution.attempt),
        Fact::WorkflowRerun(rerun) => Some(rerun.attempt_base),
        _ => None,
    });
    // A fault or cancellation may have ended one attempt more than the history tells.
    told.chain(tasks.iter().map(|row| row.attempt)).max().unwrap_or(0) + 1
}

fn same(error: &Error, id: Uuid) -> Error {
    match error {
        Error::WorkflowNotFound(_) => Error::WorkflowNotFound(id.to_string()),
        Error::Corrupt(why) => Error::Frozen { id, why: why.clone() },
        _ => Error::Unavailable,
    }
}
