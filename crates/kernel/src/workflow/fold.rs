//! How a fact changes the state. Total and deterministic: it asks nobody and decides nothing, so
//! that folding a history always yields the state that recorded it.

use std::sync::Arc;

use crate::Json;
use crate::definition::{Graph, Kind, NodeId, Then};
use crate::workflow::rerun;
use crate::workflow::{
    AttemptFailed, Detail, Fact, Frame, FrameId, FrameState, Phase, ReceivedEvent, Recorded, Rerun,
    TaskCompleted, TaskStarted, TryStage, Variables, Workflow,
};

impl Workflow {
    /// Rebuilds the state from a whole history.
    #[must_use]
    pub fn fold(id: &Arc<str>, graph: &Arc<Graph>, history: &[Recorded]) -> Self {
        let mut workflow = Self::new(id.clone(), graph.clone());
        for stretch in rerun::valid(history) {
            workflow.seq = stretch.start as u64;
            for recorded in &history[stretch] {
                workflow.record(&recorded.fact, recorded.at_ms);
            }
        }
        workflow
    }

    /// Applies one fact.
    pub fn record(&mut self, fact: &Fact, at_ms: u64) {
        self.seq += 1;
        match fact {
            Fact::WorkflowStarted { input, trace_parent } => {
                self.phase = Phase::Running;
                self.started_at_ms = at_ms;
                self.input = input.clone();
                self.trace_parent.clone_from(trace_parent);
            }
            Fact::WorkflowSuspended { .. } => self.phase = Phase::Suspended,
            Fact::WorkflowResumed => self.phase = Phase::Running,
            Fact::WorkflowCancelled { .. } => self.phase = Phase::Cancelled,
            Fact::WorkflowFaulted { frame, error } => {
                self.phase = Phase::Faulted { frame: *frame, error: error.clone() };
                self.skip_attempts_in_flight();
            }
            Fact::WorkflowCompleted { output } => {
                self.phase = Phase::Completed { output: output.clone() };
                self.root_output = None;
            }
            Fact::WorkflowRetried { .. } => self.retried(at_ms),
            Fact::WorkflowRerun(rerun) => self.rerun(rerun, at_ms),
            Fact::TaskStarted(started) => self.task_started(started, at_ms),
            Fact::TaskCompleted(completed) => self.task_completed(completed),
            Fact::TaskSkipped { node, parent } => self.task_skipped(*node, *parent),
            Fact::TaskFaulted { frame, error } => {
                self.remove_descendants(*frame);
                if let Some(frame) = self.frames.get_mut(frame) {
                    frame.timeout_at_ms = None;
                }
                self.set_state(*frame, FrameState::Faulted { error: error.clone() });
            }
            Fact::AttemptFailed(failed) => self.attempt_failed(failed),
            Fact::AttemptLost(lost) => {
                if let Some(frame) = self.frames.get_mut(&lost.frame) {
                    frame.attempts = frame.attempts.max(lost.execution.attempt);
                    frame.losses = lost.losses;
                }
            }
            Fact::ErrorCaught { frame, error, retry_at_ms } => {
                self.remove_descendants(*frame);
                let stage = match retry_at_ms {
                    Some(until_ms) => TryStage::Delay { until_ms: *until_ms },
                    None => TryStage::Caught { error: error.clone() },
                };
                self.set_stage(*frame, stage, u32::from(retry_at_ms.is_some()));
            }
            Fact::RetryStarted { frame } => self.set_stage(*frame, TryStage::Start, 0),
            Fact::EventEmitted { frame, event } => {
                let output = event.clone();
                self.set_state(*frame, FrameState::Finishing { output });
            }
            Fact::EventReceived { receipt, id, event } => {
                self.event_ids.insert(id.clone());
                let event = ReceivedEvent { id: id.clone(), event: event.clone() };
                self.inbox.insert(*receipt, event);
            }
            Fact::EventConsumed { frame, receipt } => {
                if let Some(received) = self.inbox.remove(receipt) {
                    let output = self.reading(*frame, &received.event);
                    self.set_state(*frame, FrameState::Finishing { output });
                }
            }
        }
    }

    fn attempt_failed(&mut self, failed: &AttemptFailed) {
        let Some(frame) = self.frames.get_mut(&failed.frame) else { return };
        frame.attempts = frame.attempts.max(failed.execution.attempt);
        frame.failures = failed.failure;
        frame.last_error = Some(failed.error.clone());
        frame.hopeless = !failed.retryable || failed.failure >= failed.policy.attempts_max;
    }

    /// A retry of the workflow must not hand out a number that a worker may still hold.
    fn skip_attempts_in_flight(&mut self) {
        for frame in self.frames.values_mut() {
            if matches!(frame.state, FrameState::Call { .. }) {
                frame.attempts = frame.attempts.max(self.attempt_base) + 1;
            }
        }
    }

    fn retried(&mut self, at_ms: u64) {
        self.phase = Phase::Running;
        self.begin_timeouts_anew(at_ms);
        let faulted = |frame: &Frame| matches!(frame.state, FrameState::Faulted { .. });
        let again: Vec<FrameId> =
            self.frames.iter().filter(|(_, frame)| faulted(frame)).map(|(&id, _)| id).collect();
        for id in again {
            if let Some(frame) = self.frames.get_mut(&id) {
                frame.failures = 0;
                frame.losses = 0;
            }
            self.set_state(id, FrameState::Entering);
        }
    }

    /// The time that a workflow lay still is nobody's fault.
    fn begin_timeouts_anew(&mut self, at_ms: u64) {
        for frame in self.frames.values_mut() {
            let lasts = frame.timeout_at_ms.map(|at| at.saturating_sub(frame.started_at_ms));
            frame.timeout_at_ms = lasts.map(|lasts| at_ms.saturating_add(lasts));
            frame.started_at_ms = at_ms;
        }
    }

    fn rerun(&mut self, rerun: &Rerun, at_ms: u64) {
        self.phase = Phase::Running;
        self.begin_timeouts_anew(at_ms);
        self.last_frame = rerun.frame_base;
        self.attempt_base = rerun.attempt_base;
        let Some(input) = &rerun.input else { return };
        let entering =
            |frame: &&mut Frame| frame.node == rerun.node && frame.state == FrameState::Entering;
        // It faulted and was tried again there: its input stands in its own frame.
        if let Some(frame) = self.frames.values_mut().find(entering) {
            frame.raw_input = input.clone();
            return;
        }
        let holder = self.graph.node(rerun.node).parent;
        let holds = |frame: &Frame| Some(frame.node) == holder && frame.state.is_ready();
        let Some(frame) = self.frames.values_mut().find(|frame| holds(frame)) else { return };
        if let FrameState::Sequence { value, .. } = &mut frame.state {
            *value = input.clone();
        }
    }

    fn task_started(&mut self, started: &TaskStarted, at_ms: u64) {
        let (raw_input, variables) = self.child_data(started);
        let previous = self.frames.get(&started.frame);
        // A worker may still hold the attempt that ran when the frame faulted.
        let (attempts, failures, losses) = previous.map_or((0, 0, 0), |frame| {
            (frame.attempts.max(self.attempt_base) + 1, frame.failures, frame.losses)
        });
        let input = started.input.clone().unwrap_or_else(|| raw_input.clone());
        let mut state = FrameState::beginning(&self.graph, started.node, &input);
        match (&started.detail, &mut state) {
            (Detail::Call { arguments: given }, FrameState::Call { arguments }) => {
                arguments.clone_from(given);
            }
            (Detail::Wait { until_ms: given }, FrameState::Wait { until_ms }) => {
                *until_ms = *given;
            }
            (Detail::Loop { items: given }, FrameState::Loop { items, .. }) => {
                *items = given.clone().into();
            }
            _ => {}
        }
        if state.is_ready() {
            self.ready.insert(started.frame);
        } else {
            self.ready.remove(&started.frame);
        }
        if previous.is_none() {
            self.note_entered(started);
        }
        let frame = Frame {
            node: started.node,
            parent: started.parent,
            iteration: started.iteration,
            raw_input,
            input,
            variables,
            started_at_ms: at_ms,
            timeout_at_ms: started.timeout_at_ms,
            attempts,
            failures,
            losses,
            last_error: None,
            hopeless: false,
            state,
        };
        self.frames.insert(started.frame, frame);
        self.last_frame = self.last_frame.max(started.frame.0);
    }

    /// What flows into a task, and the variables it sees.
    fn child_data(&self, started: &TaskStarted) -> (Json, Variables) {
        if let Some(previous) = self.frames.get(&started.frame) {
            return (previous.raw_input.clone(), previous.variables.clone());
        }
        let parent = started.parent.and_then(|parent| self.frames.get(&parent));
        match parent {
            None => (self.input.clone(), Arc::new([])),
            Some(parent) => (parent.child_input(), self.child_variables(parent)),
        }
    }

    /// The variables that a task entered by this frame sees.
    pub(crate) fn child_variables(&self, parent: &Frame) -> Variables {
        let own: Vec<(Arc<str>, Json)> = match (&parent.state, &self.graph.node(parent.node).kind) {
            (FrameState::Loop { items, index, .. }, Kind::For { each, at, .. }) => {
                let item = items.get(*index).cloned().unwrap_or(Json::NULL);
                vec![(each.clone(), item), (at.clone(), index_json(*index))]
            }
            (
                FrameState::Try { stage: TryStage::Caught { error }, .. },
                Kind::Try { catch, .. },
            ) => vec![(catch.variable.clone(), error.to_json())],
            _ => return parent.variables.clone(),
        };
        parent.variables.iter().cloned().chain(own).collect()
    }

    /// The parent notes that its child runs.
    fn note_entered(&mut self, started: &TaskStarted) {
        let Some(id) = started.parent else { return };
        let Some(parent) = self.frames.get_mut(&id) else { return };
        match &mut parent.state {
            FrameState::Sequence { child, .. } | FrameState::Loop { child, .. } => *child = true,
            FrameState::Fork { entered, .. } => *entered += 1,
            FrameState::Try { stage, .. } => {
                *stage = match stage {
                    TryStage::Caught { .. } => TryStage::Handler,
                    _ => TryStage::Body,
                };
            }
            _ => {}
        }
        self.settle(id);
    }

    fn task_skipped(&mut self, node: NodeId, parent: FrameId) {
        let graph = self.graph.clone();
        let Some(frame) = self.frames.get_mut(&parent) else { return };
        let through = frame.child_input();
        match (&mut frame.state, &graph.node(frame.node).kind) {
            (FrameState::Fork { entered, .. }, Kind::Fork { branches, .. }) => {
                let mut branch = *entered;
                if branches.get(branch) == Some(&node) {
                    *entered += 1;
                } else {
                    branch = branches.iter().position(|&one| one == node).unwrap_or(branch);
                    self.remove_entering(node, parent);
                }
                self.child_done(parent, u32::try_from(branch).unwrap_or(u32::MAX), through, None);
            }
            (state, _) => {
                if state.has_children() {
                    self.remove_entering(node, parent);
                }
                self.child_done(parent, 0, through, Some(Then::Continue));
            }
        }
    }

    /// A task that was to be entered again after a fault is skipped instead.
    fn remove_entering(&mut self, node: NodeId, parent: FrameId) {
        let stands = |frame: &Frame| frame.node == node && frame.parent == Some(parent);
        let found = self.frames.range(parent..).find(|(_, frame)| stands(frame));
        if let Some(id) = found.map(|(&id, _)| id) {
            self.frames.remove(&id);
            self.ready.remove(&id);
        }
    }

    fn task_completed(&mut self, completed: &TaskCompleted) {
        if self.frames.get(&completed.frame).is_some_and(|frame| frame.state.has_children()) {
            self.remove_descendants(completed.frame);
        }
        self.ready.remove(&completed.frame);
        let Some(frame) = self.frames.remove(&completed.frame) else { return };
        if let Some(context) = &completed.context {
            self.context = context.clone();
        }
        let output = completed.output.clone().unwrap_or(frame.raw_input);
        match frame.parent {
            None => self.root_output = Some(output),
            Some(parent) => self.child_done(parent, frame.iteration, output, Some(completed.then)),
        }
    }

    fn child_done(&mut self, id: FrameId, iteration: u32, output: Json, then: Option<Then>) {
        let graph = self.graph.clone();
        let Some(parent) = self.frames.get_mut(&id) else { return };
        let end = then == Some(Then::End);
        let kind = &graph.node(parent.node).kind;
        match (&mut parent.state, kind) {
            (FrameState::Sequence { position, child, value, ended }, Kind::Do { children }) => {
                *child = false;
                *value = output;
                *ended = end;
                *position = match then {
                    Some(Then::Goto(target)) => {
                        children.iter().position(|&node| node == target).unwrap_or(children.len())
                    }
                    Some(Then::Exit | Then::End) => children.len(),
                    Some(Then::Continue) | None => *position + 1,
                };
            }
            (FrameState::Loop { index, child, value, ended, .. }, _) => {
                *child = false;
                *value = output;
                *ended = end;
                *index += 1;
            }
            (FrameState::Fork { outputs, open, winner, ended, .. }, Kind::Fork { compete, .. }) => {
                *ended |= end;
                *open = open.saturating_sub(1);
                if *compete {
                    // A branch that was skipped does not compete.
                    if then.is_some() {
                        winner.get_or_insert(output);
                    }
                } else if let Some(slot) = outputs.get_mut(iteration as usize) {
                    *slot = Some(output);
                }
                if winner.is_some() {
                    self.remove_descendants(id);
                }
            }
            (FrameState::Try { stage, .. }, _) => {
                let caught = *stage == TryStage::Handler;
                *stage = TryStage::Done { output, caught, ended: end };
            }
            _ => {}
        }
        self.settle(id);
    }

    fn set_state(&mut self, id: FrameId, state: FrameState) {
        if let Some(frame) = self.frames.get_mut(&id) {
            frame.state = state;
        }
        self.settle(id);
    }

    fn set_stage(&mut self, id: FrameId, next: TryStage, more_retries: u32) {
        if let Some(frame) = self.frames.get_mut(&id)
            && let FrameState::Try { retries, stage } = &mut frame.state
        {
            *retries += more_retries;
            *stage = next;
        }
        self.settle(id);
    }

    /// Puts a frame into the ready set or takes it out, as its state says.
    pub(crate) fn settle(&mut self, id: FrameId) {
        if self.frames.get(&id).is_some_and(|frame| frame.state.is_ready()) {
            self.ready.insert(id);
        } else {
            self.ready.remove(&id);
        }
    }

    fn remove_descendants(&mut self, of: FrameId) {
        for id in self.descendants(of) {
            self.frames.remove(&id);
            self.ready.remove(&id);
        }
    }
}

impl Frame {
    /// What flows into the task that this frame enters next.
    pub(crate) fn child_input(&self) -> Json {
        match &self.state {
            FrameState::Sequence { value, .. } | FrameState::Loop { value, .. } => value.clone(),
            _ => self.input.clone(),
        }
    }
}

/// The number of an iteration as a document.
fn index_json(index: usize) -> Json {
    Json::from_valid(bytes::Bytes::from(index.to_string()))
}
