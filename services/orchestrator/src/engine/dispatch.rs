//! Handing tasks out: who gets which, and what goes over the wire.

use std::collections::HashMap;

use planaria_kernel::definition::{Call, Kind};
use planaria_kernel::workflow::{FrameId, FrameState};
use planaria_proto::task::v1::Assignment;
use planaria_proto::types::v1::Payload;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use planaria_runtime::clock::now_ms;
use planaria_telemetry::{WorkflowSpans, WorkflowTrace};
use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use super::entry::{Entry, Mail, MailKind, Slot};
use super::guard::Doorkeeper;
use super::lane::Asked;
use super::route::{Next, Route};
use super::session::{Handed, NOT_SENT, Running, Session};
use super::telling::About;
use crate::convert::{self, attempt};
use crate::gates::Admission;
use crate::store::{TaskKey, TaskRow, TaskState};
use crate::token::{Claims, attempt_id, namespace_digest, parse_attempt_id};

impl Engine {
    /// Gives a queued task to a session with a free slot, or has it wait.
    ///
    /// A new task does not overtake one that waits on the same route and may go.
    pub(super) fn place(&mut self, entry: &mut Entry, frame: FrameId, avoid: Option<&str>) {
        let Some(row) = entry.tasks.get(&frame) else { return };
        let route = self.routes.get(&row.queue, &row.function);
        let is_free = route.is_some_and(|route| route.is_free_for(row));
        let session = if is_free { self.best_session(route, row, avoid) } else { None };
        if let Some(session) = session
            && self.admit_row(row, session)
        {
            self.assign(entry, frame, session);
            return;
        }
        if row.trial().is_some() {
            self.next_trials = Some(Instant::now());
        }
        let able = self.routes.add(row, avoid.map(str::to_owned));
        self.has_news = true;
        let sessions = &self.sessions;
        let free = |id: &Uuid| sessions.get(id).is_some_and(|session| session.free() > 0);
        self.hungry.extend(able.into_iter().filter(free));
    }

    /// Takes the right to start a task for a session, if there is one.
    fn admit_row(&mut self, row: &TaskRow, session: Uuid) -> bool {
        let (of, values) = ((&*row.namespace, &*row.function), row.limit_values.as_deref());
        let mut lacks = |whole| self.permits.lacks(of, values, whole).is_some();
        if lacks(true) || lacks(false) {
            return false;
        }
        let destination = row.destination.as_deref();
        if self.parts.gates.admit(of.0, of.1, destination) == Admission::Held {
            return false;
        }
        self.permits.take((row.key, session), of, values);
        true
    }

    /// The session with the most free slots that may take the task; one that just lost it only if
    /// there is no other.
    fn best_session(
        &self,
        route: Option<&Route>,
        row: &TaskRow,
        avoid: Option<&str>,
    ) -> Option<Uuid> {
        let asked = Asked::of(row);
        let route = route?;
        let able = route.sessions.iter().filter_map(|id| Some((*id, self.sessions.get(id)?)));
        able.filter(|(_, session)| session.free() > 0 && session.is_for(&row.namespace))
            .filter(|(_, session)| route.fits(session, &self.sessions, (&row.function, &asked)))
            .max_by_key(|(_, session)| (avoid != Some(&*session.worker), session.free()))
            .map(|(id, _)| id)
    }

    /// Fills the free slots of sessions with what waits.
    pub(super) fn fill_hungry(&mut self) {
        self.unpark();
        while let Some(&id) = self.hungry.iter().next() {
            if !self.fill_one(id) {
                self.hungry.remove(&id);
            }
        }
    }

    /// Gives a session the first waiting task that it may take. Whether there was one.
    fn fill_one(&mut self, id: Uuid) -> bool {
        loop {
            let Some(next) = self.next_for(id) else { return false };
            let (of, lane) = ((&*next.namespace, &*next.function), &next.place.lane);
            if self.parts.gates.admit(of.0, of.1, lane.destination.as_deref()) == Admission::Held {
                // It was open when it was looked at.
                self.routes.set_aside(&next);
                continue;
            }
            let key = next.place.rank.key;
            self.permits.take((key, id), of, lane.values.as_deref());
            self.routes.take(id, &next);
            let Some(session) = self.sessions.get_mut(&id) else { return false };
            session.occupy(
                key,
                Running { attempt: 0, since_ms: now_ms(), missed: 0, trial: next.place.trial },
            );
            let kind = MailKind::Claim { frame: key.frame, session: id };
            self.deliver(key.workflow, Mail::quiet(kind));
            return true;
        }
    }

    fn next_for(&mut self, id: Uuid) -> Option<Next> {
        let session = self.sessions.get(&id)?;
        if session.free() == 0 || !self.routes.is_open() {
            return None;
        }
        let keeper = Doorkeeper { gates: &self.parts.gates, permits: &mut self.permits };
        self.routes.next((id, session), &self.sessions, keeper)
    }

    /// Something that was held back may go: what was set aside is looked at again.
    pub(super) fn reopen(&mut self) {
        let keeper = Doorkeeper { gates: &self.parts.gates, permits: &mut self.permits };
        self.routes.reopen(keeper);
        if self.routes.is_open() {
            self.hungry.extend(self.sessions.keys().copied());
        }
    }

    /// Has the sessions of a route look for work.
    pub(super) fn feed(&mut self, queue: &str, function: &str) {
        let Some(route) = self.routes.get(queue, function) else { return };
        let sessions = &self.sessions;
        let takes = |id: &&Uuid| sessions.get(id).is_some_and(Session::takes_more);
        self.hungry.extend(route.sessions.iter().filter(takes).copied());
    }

    /// A task that was reserved for a session that is gone waits again.
    pub(super) fn requeue_reserved(&mut self, key: TaskKey) {
        self.permits.release(key);
        self.mail.push_back((key.workflow, Mail::quiet(MailKind::Check)));
        if let Some(Slot::Live(entry)) = self.slots.get(&key.workflow)
            && let Some(row) = entry.tasks.get(&key.frame)
            && row.state == TaskState::Queued
        {
            let able = self.routes.add(row, None);
            self.hungry.extend(able);
        }
    }

    /// A reserved slot is filled, or given back if the task is gone or held.
    pub(super) fn claim(&mut self, entry: &mut Entry, key: TaskKey, session: Uuid) {
        let reserved = self.sessions.get(&session).and_then(|session| session.running.get(&key));
        let is_reserved = reserved.is_some_and(|running| running.attempt == 0);
        let queued = entry.tasks.get(&key.frame).is_some_and(|row| row.state == TaskState::Queued);
        let live = entry.workflow.phase == planaria_kernel::workflow::Phase::Running;
        if is_reserved && queued && live {
            if !self.is_permitted(entry, key, session) {
                self.release(Some(session), key);
                if let Some(row) = entry.tasks.get(&key.frame) {
                    let able = self.routes.add(row, None);
                    self.hungry.extend(able);
                }
                self.write_task(entry, key.frame);
                return;
            }
            self.assign(entry, key.frame, session);
            self.write_task(entry, key.frame);
            return;
        }
        if is_reserved {
            self.release(Some(session), key);
        } else if queued
            && live
            && let Some(row) = entry.tasks.get(&key.frame)
        {
            let able = self.routes.add(row, None);
            self.hungry.extend(able);
        }
    }

    /// Whether a task still has its permits, now that its arguments are here: a limit may have been
    /// set since it began to wait.
    fn is_permitted(&mut self, entry: &mut Entry, key: TaskKey, session: Uuid) -> bool {
        if self.permits.is_idle() {
            return true;
        }
        let values = super::settling::values(self.permits.rules(), entry, key.frame);
        let Some(row) = entry.tasks.get_mut(&key.frame) else { return false };
        let of = (&*row.namespace, &*row.function);
        if row.limit_values == values && self.permits.is_held(key, of) {
            return true;
        }
        row.limit_values = values;
        self.permits.release(key);
        let mut lacks =
            |whole| self.permits.lacks(of, row.limit_values.as_deref(), whole).is_some();
        if lacks(true) || lacks(false) {
            return false;
        }
        self.permits.take((key, session), of, row.limit_values.as_deref());
        true
    }

    /// Makes the attempt the session's. It is handed out once that is committed.
    fn assign(&mut self, entry: &mut Entry, frame: FrameId, id: Uuid) {
        let now_ms = now_ms();
        let Some(row) = entry.tasks.get_mut(&frame) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        row.state = TaskState::Running;
        row.session = Some(id);
        row.since_ms = now_ms;
        let (attempt, trial) = (row.attempt, row.trial());
        let running = Running { attempt, since_ms: NOT_SENT, missed: 0, trial };
        session.occupy(row.key, running);
        let worker = session.worker.clone();
        if let Some(healing) = row.healing.take() {
            let about = About::task(row.key.workflow, entry, frame);
            self.complete_healing(&healing, &about, &worker, now_ms);
        }
        let row = &entry.tasks[&frame];
        if let Some(assignment) = self.assignment(entry, row, id) {
            self.gathering.deliveries.push((id, assignment));
        }
        if self.watchers.contains_key(&row.key.workflow) {
            let started = AttemptStarted {
                frame: frame.0,
                task: reference(entry, frame),
                execution: Some(attempt::execution(&planaria_kernel::workflow::Execution {
                    attempt: row.attempt,
                    worker,
                    session: id.to_string(),
                    started_at_ms: now_ms,
                    function: row.function.clone(),
                    destination: row.destination.clone(),
                    failures: row.failures,
                })),
            };
            self.gathering.watched(row.key.workflow).attempts.push(started);
        }
    }

    fn assignment(&self, entry: &Entry, row: &TaskRow, session: Uuid) -> Option<Assignment> {
        let frame = entry.workflow.frames.get(&row.key.frame)?;
        let node = entry.workflow.graph.node(frame.node);
        let call = call_of(&node.kind)?;
        let FrameState::Call { arguments } = &frame.state else { return None };
        let arguments = arguments.as_ref().unwrap_or(&frame.input);
        let version = self.sessions.get(&session)?.functions.get(&*call.function)?.version.clone();
        let namespace = namespace_digest(&row.namespace);
        let claims = Claims { task: row.key, attempt: row.attempt, session, namespace };
        Some(Assignment {
            attempt_id: attempt_id(row.key, row.attempt),
            token: self.parts.tokens.sign(&claims),
            workflow_id: row.key.workflow.to_string(),
            task: node.reference.to_string(),
            name: node.name.to_string(),
            attempt: row.attempt,
            function: row.function.clone(),
            function_version: version,
            arguments: Some(json_payload(arguments.as_bytes().clone())),
            checkpoint: row.checkpoint.clone().map(json_payload),
            idempotency_key: format!("{}/{}", row.key.workflow, row.key.frame.0),
            deadline: frame.timeout_at_ms.map(convert::timestamp),
            progress_timeout: call.progress_timeout_ms.map(convert::duration),
            trace_parent: attempt_trace(entry, row).unwrap_or_default(),
        })
    }

    /// Sends what a commit handed out.
    pub(super) fn send_assignments(&mut self, deliveries: Vec<(Uuid, Assignment)>) {
        self.parts.meters.handed_out(deliveries.len());
        let mut by_session: HashMap<Uuid, Vec<Assignment>> = HashMap::new();
        for (id, assignment) in deliveries {
            by_session.entry(id).or_default().push(assignment);
        }
        for (id, assignments) in by_session {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            for assignment in &assignments {
                let named = parse_attempt_id(&assignment.attempt_id);
                named.map(|(key, attempt)| session.sent(key, attempt));
            }
            if let Err(unsent) = session.hand(Handed { assignments, ..Handed::default() }) {
                session.keep(unsent.assignments);
            }
        }
    }
}

/// The function task that a node is.
pub(super) const fn call_of(kind: &Kind) -> Option<&Call> {
    match kind {
        Kind::Call(call) => Some(call),
        _ => None,
    }
}

/// The place of an attempt in its workflow's trace, if that is recorded.
fn attempt_trace(entry: &Entry, row: &TaskRow) -> Option<String> {
    let trace: WorkflowTrace = entry.workflow.trace_parent.as_deref()?.parse().ok()?;
    let spans = WorkflowSpans::new(&entry.workflow.id);
    Some(trace.place(spans.attempt(row.key.frame.0, row.attempt)).to_string())
}

/// A JSON document as a payload; the empty content type means JSON.
pub(crate) const fn json_payload(data: bytes::Bytes) -> Payload {
    Payload { content_type: String::new(), data }
}

/// The JSON pointer of a frame's task.
pub(super) fn reference(entry: &Entry, frame: FrameId) -> String {
    let node = entry.workflow.frames.get(&frame).map(|frame| frame.node);
    node.map_or_else(String::new, |node| entry.workflow.graph.node(node).reference.to_string())
}
