//! What a batch of writes comes to, whatever the database.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use planaria_kernel::workflow::{FrameId, Timer};
use planaria_proto::orchestrator::v1::{SessionChange, Topic};
use planaria_proto::types::v1::Healing;
use prost::Message;
use uuid::Uuid;

use super::{
    LogEntry, PhaseChange, Position, SessionRow, StepWrite, Subject, TaskKey, TaskRow, WorkflowRow,
    Write,
};

/// What a batch comes to, row by row: the last word on each row counts.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) log: Vec<LogEntry>,
    pub(super) created: Vec<&'a WorkflowRow>,
    pub(super) phases: BTreeMap<Uuid, &'a PhaseChange>,
    pub(super) cleared: BTreeSet<Uuid>,
    pub(super) tasks_put: BTreeMap<TaskKey, &'a TaskRow>,
    pub(super) tasks_gone: Vec<TaskKey>,
    pub(super) timers: BTreeMap<(Uuid, FrameId, Timer), Option<u64>>,
    pub(super) listeners: BTreeMap<TaskKey, Option<&'a str>>,
    pub(super) healings: BTreeMap<&'a str, &'a Healing>,
    /// Why, and since when; `None` = not any more.
    pub(super) frozen: BTreeMap<Uuid, Option<(&'a str, u64)>>,
    pub(super) sessions_put: Vec<&'a SessionRow>,
    pub(super) sessions_gone: Vec<Uuid>,
    pub(super) renewed: BTreeMap<Uuid, u64>,
}

impl<'a> Plan<'a> {
    /// Numbers the log's entries behind `last_seq`.
    pub(super) fn of(writes: &'a [Write], log: u64, last_seq: u64) -> Self {
        let mut plan = Self::default();
        let mut tasks: BTreeMap<TaskKey, Option<&'a TaskRow>> = BTreeMap::new();
        for write in writes {
            plan.add(write, log, last_seq, &mut tasks);
        }
        for (key, row) in tasks {
            match row {
                Some(row) => {
                    plan.tasks_put.insert(key, row);
                }
                None => plan.tasks_gone.push(key),
            }
        }
        plan
    }

    fn add(
        &mut self,
        write: &'a Write,
        log: u64,
        last_seq: u64,
        tasks: &mut BTreeMap<TaskKey, Option<&'a TaskRow>>,
    ) {
        match write {
            Write::Step(step) => self.add_step(step, log, last_seq, tasks),
            Write::Task(row) => {
                tasks.insert(row.key, Some(row));
            }
            Write::SessionOpened(row) => {
                let change = SessionChange {
                    session_id: row.id.to_string(),
                    worker_id: row.worker_id.clone(),
                    opened: true,
                    ..SessionChange::default()
                };
                self.sessions_put.push(row);
                let at_ms = planaria_runtime::clock::now_ms();
                if !row.is_lent {
                    self.append_session(log, last_seq, at_ms, &change);
                }
            }
            Write::SessionEnded { id, worker_id, detail, signal, at_ms, is_lent } => {
                let change = SessionChange {
                    session_id: id.to_string(),
                    worker_id: worker_id.clone(),
                    opened: false,
                    detail: detail.clone(),
                    signal: (*signal).into(),
                };
                self.sessions_put.retain(|row| row.id != *id);
                self.sessions_gone.push(*id);
                if !is_lent {
                    self.append_session(log, last_seq, *at_ms, &change);
                }
            }
            Write::Renewed { ids, until_ms } => {
                self.renewed.extend(ids.iter().map(|&id| (id, *until_ms)));
            }
            Write::Healing(healing) => self.add_healing(healing, log, last_seq),
            Write::Frozen { id, why, at_ms } => {
                self.frozen.insert(*id, why.as_deref().map(|why| (why, *at_ms)));
            }
        }
    }

    fn add_step(
        &mut self,
        step: &'a StepWrite,
        log: u64,
        last_seq: u64,
        tasks: &mut BTreeMap<TaskKey, Option<&'a TaskRow>>,
    ) {
        self.created.extend(&step.created);
        if let Some(change) = &step.phase {
            self.phases.insert(step.workflow, change);
        }
        if step.cleared {
            self.clear(step.workflow, tasks);
        }
        for (frame, row) in &step.tasks {
            let key = TaskKey { workflow: step.workflow, frame: *frame };
            tasks.insert(key, row.as_ref());
        }
        for ((frame, timer), due_ms) in &step.timers {
            self.timers.insert((step.workflow, *frame, *timer), *due_ms);
        }
        for (frame, event_type) in &step.listeners {
            let key = TaskKey { workflow: step.workflow, frame: *frame };
            self.listeners.insert(key, event_type.as_deref());
        }
        if let Some(record) = &step.record {
            let subject = Subject::Workflow { id: step.workflow, first_seq: record.first_seq };
            self.append(log, last_seq, (record.at_ms, record.topics, subject), record.body.clone());
            if let Some(entry) = self.log.last_mut() {
                entry.definition = Some(record.definition.clone());
            }
        }
        for healing in &step.healings {
            self.add_healing(healing, log, last_seq);
        }
    }

    /// Nothing of a workflow stays open, neither in the store nor in the batch up to now.
    fn clear(&mut self, workflow: Uuid, tasks: &mut BTreeMap<TaskKey, Option<&'a TaskRow>>) {
        tasks.retain(|key, _| key.workflow != workflow);
        self.timers.retain(|(of, _, _), _| *of != workflow);
        self.listeners.retain(|key, _| key.workflow != workflow);
        self.cleared.insert(workflow);
    }

    fn add_healing(&mut self, healing: &'a Healing, log: u64, last_seq: u64) {
        self.healings.insert(&healing.id, healing);
        let at_ms = planaria_runtime::clock::now_ms();
        let body = Bytes::from(healing.encode_to_vec());
        self.append(log, last_seq, (at_ms, 1 << Topic::Healing as u32, Subject::Healing), body);
    }

    fn append_session(&mut self, log: u64, last_seq: u64, at_ms: u64, change: &SessionChange) {
        let body = Bytes::from(change.encode_to_vec());
        self.append(log, last_seq, (at_ms, 1 << Topic::Session as u32, Subject::Session), body);
    }

    fn append(
        &mut self,
        log: u64,
        last_seq: u64,
        (at_ms, topics, subject): (u64, u32, Subject),
        body: Bytes,
    ) {
        let position = Position { log, seq: last_seq + self.log.len() as u64 + 1 };
        let definition = None;
        self.log.push(LogEntry { position, at_ms, topics, subject, definition, body });
    }
}
