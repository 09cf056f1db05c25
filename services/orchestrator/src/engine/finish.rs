//! A decided step to what is written: rows, timers, listeners, history.

use std::sync::Arc;

use planaria_kernel::definition::{Call, Kind};
use planaria_kernel::workflow::{Effect, Execution, Fact, FrameId, FrameState, Timer};
use planaria_proto::types::v1::Phase;
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::advance::listens;
use super::dispatch::call_of;
use super::entry::{Entry, Mail, MailKind, Settle, Work};
use crate::convert::history;
use crate::store::{
    PhaseChange, RecordWrite, StepWrite, TaskKey, TaskRow, TaskState, TimerKey, WorkflowRow, Write,
};

/// Rows that a step changes.
#[derive(Default)]
pub(super) struct Changed {
    tasks: std::collections::BTreeSet<FrameId>,
    timers: Vec<((FrameId, Timer), Option<u64>)>,
    /// Attempts that ran when the step ended their task.
    abandoned: Vec<(FrameId, Execution)>,
    /// Rows of before that the step does not name go too.
    all: bool,
}

impl Engine {
    /// Turns a step to writes, and adds them to the batch.
    pub(super) fn finish(&mut self, entry: &mut Entry, id: Uuid, work: Work) {
        let mut changed = Changed::default();
        self.settle(entry, id, &work, &mut changed);
        changed.all = work.clears;
        if work.clears {
            entry.listeners.clear();
            self.listeners.retain(|key, _| key.workflow != id);
        }
        let mut goes_on = false;
        let mut published = Vec::new();
        for effect in work.effects {
            match effect {
                Effect::Schedule { frame, attempt, .. } => {
                    self.schedule(entry, id, frame, attempt, &mut changed);
                }
                Effect::Abandon { frame } => self.abandon(entry, frame, &mut changed),
                Effect::Arm { frame, timer, due_ms } => {
                    self.arm(entry, id, (frame, timer), due_ms, &mut changed);
                }
                Effect::Disarm { frame, timer } => {
                    self.disarm(entry, id, (frame, timer), &mut changed);
                }
                Effect::Publish { event } => published.push(event),
                Effect::End => self.end(entry, id, &mut changed),
                Effect::Continue => goes_on = true,
            }
        }
        self.place_lost(entry, &work.settle, &mut changed);
        self.hold(entry, &work.facts);
        let at_ms = work.decided.map_or_else(now_ms, |(at_ms, _)| at_ms);
        self.write_step(entry, id, (&work.facts, at_ms), changed);
        self.gathering.answer(work.reply, Ok(()));
        if let Some(told) = work.consumed {
            let taken = work.facts.iter().any(|fact| matches!(fact, Fact::EventConsumed { .. }));
            self.gathering.then(move || drop(told.send(Ok(taken))));
        }
        for event in published {
            self.gathering.published.push((Arc::clone(&entry.definition.key), event));
        }
        if goes_on {
            self.mail.push_back((id, Mail::quiet(MailKind::Continue)));
        }
    }

    /// The row of the task that the step is about.
    fn settle(&mut self, entry: &mut Entry, id: Uuid, work: &Work, changed: &mut Changed) {
        let now_ms = now_ms();
        match &work.settle {
            Settle::Nothing => {}
            Settle::Returned(frame) => {
                if let Some(row) = entry.tasks.remove(frame) {
                    let completed = work.facts.iter().any(|fact| match fact {
                        Fact::TaskCompleted(completed) => completed.frame == *frame,
                        _ => false,
                    });
                    if !completed {
                        changed.abandoned.push((*frame, self.execution(&row)));
                    }
                    entry.records.remove(frame);
                    self.release(row.session, row.key);
                    changed.tasks.insert(*frame);
                }
            }
            Settle::Failed { frame, latest_start_ms, checkpoint } => {
                let Some(row) = entry.tasks.get_mut(frame) else { return };
                if checkpoint.is_some() {
                    row.checkpoint.clone_from(checkpoint);
                }
                let session = row.session.take();
                row.state = TaskState::RetryWait;
                row.failures += 1;
                row.since_ms = now_ms;
                row.latest_start_ms = *latest_start_ms;
                entry.retrying += 1;
                self.retrying.insert(row.key, *latest_start_ms);
                let key = row.key;
                self.release(session, key);
                changed.tasks.insert(*frame);
            }
            Settle::Lost { frame, losses, healing, .. } => {
                let Some(row) = entry.tasks.get_mut(frame) else { return };
                let session = row.session.take();
                row.state = TaskState::Queued;
                row.attempt += 1;
                row.losses = *losses;
                row.since_ms = now_ms;
                row.healing.clone_from(healing);
                let key = row.key;
                self.release(session, key);
                changed.tasks.insert(*frame);
            }
            Settle::Fired(frame, timer) => {
                self.disarm(entry, id, (*frame, *timer), changed);
            }
        }
    }

    /// A lost task that is still wanted runs again, elsewhere if it can.
    fn place_lost(&mut self, entry: &mut Entry, settle: &Settle, changed: &mut Changed) {
        let Settle::Lost { frame, worker, .. } = settle else { return };
        let running = entry.workflow.phase == planaria_kernel::workflow::Phase::Running;
        if !running || !entry.tasks.contains_key(frame) {
            return;
        }
        self.place(entry, *frame, Some(worker));
        changed.tasks.insert(*frame);
    }

    pub(super) fn schedule(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        frame: FrameId,
        attempt: u32,
        changed: &mut Changed,
    ) {
        if let Some(row) = entry.tasks.get(&frame) {
            // It stands already: after a resume, what was held waits for a worker again.
            if row.state == TaskState::Queued {
                self.place(entry, frame, None);
                changed.tasks.insert(frame);
            }
            return;
        }
        let Some(row) = self.new_row(entry, TaskKey { workflow: id, frame }, attempt) else {
            return;
        };
        entry.tasks.insert(frame, row);
        changed.tasks.insert(frame);
        if entry.workflow.phase == planaria_kernel::workflow::Phase::Running {
            self.place(entry, frame, None);
        }
    }

    /// The row of a function task that waits for its first worker.
    pub(super) fn new_row(&self, entry: &Entry, key: TaskKey, attempt: u32) -> Option<TaskRow> {
        let frame = key.frame;
        let node = entry.workflow.frames.get(&frame)?.node;
        let call = call_of(&entry.workflow.graph.node(node).kind)?;
        Some(TaskRow {
            key,
            state: TaskState::Queued,
            queue: call.queue.to_string(),
            function: call.function.to_string(),
            version: call.version.as_ref().map(ToString::to_string),
            labels: labels_of(call),
            priority: call.priority,
            attempt,
            failures: 0,
            losses: 0,
            lost_workers: Vec::new(),
            session: None,
            since_ms: now_ms(),
            latest_start_ms: 0,
            checkpoint: None,
            healing: None,
            namespace: entry.definition.key.namespace.clone(),
            destination: destination(entry, frame, call),
            limit_values: super::settling::values(self.permits.rules(), entry, frame),
        })
    }

    pub(super) fn abandon(&mut self, entry: &mut Entry, frame: FrameId, changed: &mut Changed) {
        let Some(row) = entry.tasks.remove(&frame) else { return };
        entry.records.remove(&frame);
        match row.state {
            TaskState::Queued => self.routes.remove(&row),
            // The worker is told with its next heartbeat: the attempt is not its own any more.
            TaskState::Running => {
                changed.abandoned.push((frame, self.execution(&row)));
                self.release(row.session, row.key);
            }
            TaskState::RetryWait => {
                self.retrying.remove(&row.key);
                entry.retrying -= 1;
            }
        }
        self.abandon_healing(&row);
        changed.tasks.insert(frame);
    }

    fn arm(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        (frame, timer): (FrameId, Timer),
        due_ms: u64,
        changed: &mut Changed,
    ) {
        entry.timers.insert((frame, timer), due_ms);
        if due_ms <= now_ms() + self.parts.config.timer_horizon_ms {
            let task = TaskKey { workflow: id, frame };
            self.timers.arm(TimerKey { task, timer }, due_ms);
        }
        changed.timers.push(((frame, timer), Some(due_ms)));
    }

    fn disarm(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        (frame, timer): (FrameId, Timer),
        changed: &mut Changed,
    ) {
        entry.timers.remove(&(frame, timer));
        let task = TaskKey { workflow: id, frame };
        self.timers.disarm(&TimerKey { task, timer });
        changed.timers.push(((frame, timer), None));
    }

    /// The workflow is over: nothing of it stays open.
    fn end(&mut self, entry: &mut Entry, id: Uuid, changed: &mut Changed) {
        let frames: Vec<FrameId> = entry.tasks.keys().copied().collect();
        for frame in frames {
            self.abandon(entry, frame, changed);
        }
        let timers: Vec<(FrameId, Timer)> = entry.timers.keys().copied().collect();
        for key in timers {
            self.disarm(entry, id, key, changed);
        }
    }

    /// What waits for a worker while the workflow is held does not wait in the queue.
    fn hold(&mut self, entry: &Entry, facts: &[Fact]) {
        let held = facts.iter().any(|fact| matches!(fact, Fact::WorkflowSuspended { .. }));
        if held {
            for row in entry.tasks.values().filter(|row| row.state == TaskState::Queued) {
                self.routes.remove(row);
            }
        }
    }

    fn write_step(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        (facts, now_ms): (&[Fact], u64),
        changed: Changed,
    ) {
        let created = facts.iter().any(|fact| matches!(fact, Fact::WorkflowStarted { .. }));
        let phase = entry.phase();
        let ended = entry.ended(id);
        let over = ended.is_some();
        let phase_change = (phase != entry.shown || created).then(|| PhaseChange {
            phase,
            ended_at_ms: over.then_some(now_ms),
            fault: (phase == Phase::Faulted)
                .then(|| history::fault(&entry.workflow.graph, facts))
                .flatten(),
            started_at_ms: None,
        });
        let was = std::mem::replace(&mut entry.shown, phase);
        let record = self.record_of(entry, id, (facts, now_ms), &changed.abandoned);
        let may_listen = !facts.is_empty() || changed.all;
        let listeners = if may_listen { self.listeners_of(entry, id) } else { Vec::new() };
        let created = created.then(|| self.created_row(entry, id, now_ms));
        let tasks = changed.tasks.into_iter();
        let tasks = tasks.map(|frame| (frame, entry.tasks.get(&frame).cloned())).collect();
        let step = StepWrite {
            workflow: id,
            created,
            phase: phase_change,
            record,
            cleared: changed.all,
            tasks,
            timers: changed.timers,
            listeners,
            healings: Vec::new(),
        };
        let empty = !step.cleared
            && step.record.is_none()
            && step.phase.is_none()
            && step.tasks.is_empty()
            && step.timers.is_empty()
            && step.listeners.is_empty();
        if !empty {
            entry.uncommitted += 1;
            self.gathering.steps.push(id);
            self.gathering.writes.push(Write::Step(Box::new(step)));
        }
        if let Some(ended) = ended {
            self.count_end(was, phase);
            if self.watchers.contains_key(&id) {
                self.gathering.watched(id).ended = Some(phase);
            }
            let waiters = std::mem::take(&mut entry.waiters);
            if !waiters.is_empty() {
                self.gathering.ended.push((ended, waiters));
            }
        }
    }

    fn record_of(
        &mut self,
        entry: &Entry,
        id: Uuid,
        (facts, now_ms): (&[Fact], u64),
        abandoned: &[(FrameId, Execution)],
    ) -> Option<RecordWrite> {
        if facts.is_empty() {
            return None;
        }
        let first_seq = entry.workflow.seq - facts.len() as u64 + 1;
        let body = history::encode(&entry.workflow.graph, (first_seq, now_ms), facts, abandoned);
        if self.watchers.contains_key(&id)
            && let Ok(events) = history::events(std::slice::from_ref(&body))
        {
            self.gathering.watched(id).events.extend(events);
        }
        let (topics, definition) = (history::topics(facts), entry.definition.key.clone());
        Some(RecordWrite { first_seq, at_ms: now_ms, topics, definition, body })
    }

    fn created_row(&mut self, entry: &mut Entry, id: Uuid, now_ms: u64) -> WorkflowRow {
        self.counters.started += 1;
        let (idempotency_key, start_digest) = entry.start_key.take().unzip();
        for starter in std::mem::take(&mut entry.starters) {
            self.gathering.then(move || drop(starter.send(Ok((id, true)))));
        }
        WorkflowRow {
            id,
            definition: (*entry.definition.key).clone(),
            phase: entry.shown,
            started_at_ms: now_ms,
            ended_at_ms: None,
            idempotency_key,
            start_digest,
            fault: None,
        }
    }

    fn count_end(&mut self, was: Phase, phase: Phase) {
        if was == phase {
            return;
        }
        match phase {
            Phase::Completed => self.counters.completed += 1,
            Phase::Faulted => self.counters.faulted += 1,
            Phase::Cancelled => self.counters.cancelled += 1,
            _ => {}
        }
    }

    /// Which listen tasks opened and closed.
    fn listeners_of(&mut self, entry: &mut Entry, id: Uuid) -> Vec<(FrameId, Option<String>)> {
        if !listens(&entry.workflow.graph) {
            return Vec::new();
        }
        let over = entry.workflow.phase.is_over();
        let frames = entry.workflow.frames.iter();
        let open: std::collections::BTreeSet<FrameId> = frames
            .filter(|(_, frame)| !over && frame.state == FrameState::Listen)
            .map(|(&frame, _)| frame)
            .collect();
        let mut changes = Vec::new();
        for &frame in open.difference(&entry.listeners) {
            let node = entry.workflow.frames[&frame].node;
            let kind = match &entry.workflow.graph.node(node).kind {
                Kind::Listen { event_type: Some(kind), .. } => kind.to_string(),
                _ => String::new(),
            };
            self.listeners.insert(TaskKey { workflow: id, frame }, kind.clone());
            changes.push((frame, Some(kind)));
        }
        for &frame in entry.listeners.difference(&open) {
            self.listeners.remove(&TaskKey { workflow: id, frame });
            changes.push((frame, None));
        }
        entry.listeners = open;
        changes
    }

    /// Writes a task's row without a step.
    pub(super) fn write_task(&mut self, entry: &mut Entry, frame: FrameId) {
        let Some(row) = entry.tasks.get(&frame) else { return };
        entry.uncommitted += 1;
        self.gathering.steps.push(row.key.workflow);
        self.gathering.writes.push(Write::Task(Box::new(row.clone())));
    }

    /// Writes the phase if it changed without a step.
    pub(super) fn show_phase(&mut self, entry: &mut Entry, id: Uuid) {
        if entry.phase() != entry.shown {
            self.write_step(entry, id, (&[], now_ms()), Changed::default());
        }
    }
}

/// The labels that a function's worker must carry, as rows have them.
pub(super) fn labels_of(call: &Call) -> Option<String> {
    (!call.labels.is_empty()).then(|| serde_json::to_string(&call.labels).unwrap_or_default())
}

/// The far side that a task's function calls, if its arguments name one.
fn destination(entry: &Entry, frame: FrameId, call: &Call) -> Option<String> {
    let frame = entry.workflow.frames.get(&frame)?;
    let FrameState::Call { arguments } = &frame.state else { return None };
    let arguments = arguments.as_ref().unwrap_or(&frame.input);
    crate::gates::destination(&call.function, arguments.as_bytes())
}
