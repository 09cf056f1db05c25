//! `apply`: an input, the facts it leads to, and the effects they ask for.

use thiserror::Error;

use crate::Json;
use crate::definition::{
    DurationValue, Evaluated, Evaluation, Evaluator, ExpressionId, Graph, NodeId, SchemaId, Scope,
};
use crate::workflow::{
    Effect, ErrorObject, Fact, Frame, FrameId, FrameState, Input, Phase, TaskCompleted, Timer,
    TryStage, Workflow,
};

/// What one application led to.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// What happened, in order; the state has it already.
    pub facts: Vec<Fact>,
    /// What is to be done once the facts are committed.
    pub effects: Vec<Effect>,
    /// An expression's value is not known yet. The shell finds it out and applies
    /// [`Input::Continue`] (or the same input again, if there are no facts), keeping the facts and
    /// effects it has: only the finished step is committed.
    pub pending: bool,
}

/// Limits of one workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Local tasks executed between two commits.
    pub local_steps_max: usize,
    /// Length of a history; a workflow that reaches it faults.
    pub history_events_max: u64,
    /// Events kept for a workflow that does not listen to them.
    pub inbox_events_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { local_steps_max: 1_000, history_events_max: 200_000, inbox_events_max: 1_000 }
    }
}

/// Why an input changes nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Rejected {
    /// The phase does not allow it.
    #[error("the workflow is {phase}")]
    PhaseInvalid {
        /// The phase's name.
        phase: &'static str,
    },
    /// No such frame is open, or it is not in a state that takes the input.
    #[error("no such task is open")]
    NotOpen,
    /// No task listens to such an event.
    #[error("no task listens to it")]
    NobodyListens,
    /// The event was received before.
    #[error("the event was received before")]
    KnownEvent,
    /// Too many events wait to be listened to.
    #[error("too many events wait to be listened to")]
    InboxFull,
}

/// What a decision may look at besides state and input.
pub struct Surroundings<'a> {
    /// Now, in Unix milliseconds.
    pub now_ms: u64,
    /// Random bits, for jitter.
    pub random: u64,
    /// The limits.
    pub limits: &'a Limits,
    /// Evaluates expressions.
    pub evaluator: &'a mut dyn Evaluator,
}

/// Applies an input. On `Err` the state is unchanged.
///
/// # Errors
/// Why the input changes nothing.
pub fn apply(
    workflow: &mut Workflow,
    input: Input,
    surroundings: &mut Surroundings<'_>,
) -> Result<Step, Rejected> {
    let mut machine =
        Machine { workflow, around: surroundings, step: Step::default(), match_events: false };
    match machine.take(input) {
        Err(Refusal::Rejected(rejected)) => return Err(rejected),
        Err(Refusal::Pending) => machine.step.pending = true,
        Ok(()) => machine.run(),
    }
    Ok(machine.step)
}

/// Why an input was not taken.
pub(super) enum Refusal {
    Rejected(Rejected),
    Pending,
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

/// Why an evaluation yields no value.
pub(super) enum Stop {
    /// Not known yet.
    Pending,
    /// It failed.
    Error(ErrorObject),
}

/// One application under way.
pub(super) struct Machine<'a, 'b> {
    pub(super) workflow: &'a mut Workflow,
    pub(super) around: &'a mut Surroundings<'b>,
    pub(super) step: Step,
    /// Whether a listen was opened or an event came, so that they must be brought together.
    pub(super) match_events: bool,
}

impl Machine<'_, '_> {
    /// Records a fact: in the state at once, in the history with the commit.
    pub(super) fn record(&mut self, fact: Fact) {
        self.workflow.record(&fact, self.around.now_ms);
        self.step.facts.push(fact);
    }

    fn take(&mut self, input: Input) -> Result<(), Refusal> {
        let phase = self.workflow.phase.name();
        let invalid = Err(Rejected::PhaseInvalid { phase }.into());
        let now = &self.workflow.phase;
        let live = matches!(now, Phase::Running | Phase::Suspended);
        match input {
            Input::Start { input } if *now == Phase::Pending => {
                let trace_parent = self.workflow.trace_parent.clone();
                self.record(Fact::WorkflowStarted { input, trace_parent });
                Ok(())
            }
            Input::Continue => {
                // A step that ended pending may have left events and tasks apart.
                self.match_events = true;
                Ok(())
            }
            Input::Returned { frame, output, execution } if live => {
                self.open_call(frame)?;
                self.complete(frame, output, Some(execution))
            }
            Input::AttemptFailed(failed) if live => {
                self.open_call(failed.frame)?;
                self.record(Fact::AttemptFailed(failed));
                Ok(())
            }
            Input::AttemptLost(lost) if live => {
                self.open_call(lost.frame)?;
                self.record(Fact::AttemptLost(lost));
                Ok(())
            }
            Input::GiveUp { frame, error } if live => {
                self.open_call(frame)?;
                self.fault(frame, error);
                Ok(())
            }
            Input::TimerFired { frame, timer } if *now == Phase::Running => {
                self.timer_fired(frame, timer)
            }
            Input::Signal { id, event } if live => self.signal(id, event),
            Input::Publish { id, event } if *now == Phase::Running => self.publish(id, event),
            Input::Suspend { reason } if *now == Phase::Running => {
                self.record(Fact::WorkflowSuspended { reason });
                Ok(())
            }
            Input::Resume if *now == Phase::Suspended => {
                self.record(Fact::WorkflowResumed);
                self.match_events = true;
                self.step.effects.extend(self.workflow.standing_effects());
                Ok(())
            }
            Input::Cancel { reason } if live || matches!(now, Phase::Faulted { .. }) => {
                self.record(Fact::WorkflowCancelled { reason });
                self.step.effects.push(Effect::End);
                Ok(())
            }
            Input::Retry { reason } if matches!(now, Phase::Faulted { .. }) => {
                self.record(Fact::WorkflowRetried { reason });
                // The fault may have come before events were brought together.
                self.match_events = true;
                self.step.effects.extend(self.workflow.standing_effects());
                Ok(())
            }
            Input::Skip { frame, output, reason } => self.skip(frame, output, reason),
            _ => invalid,
        }
    }

    fn open_call(&self, id: FrameId) -> Result<&Frame, Refusal> {
        self.workflow
            .frames
            .get(&id)
            .filter(|frame| matches!(frame.state, FrameState::Call { .. }))
            .ok_or_else(|| Rejected::NotOpen.into())
    }

    /// The task has its raw output: it completes, or what makes its output of it fails. At once,
    /// before anything else that is ready: a result that is not in the facts would be lost.
    fn complete(
        &mut self,
        id: FrameId,
        output: Json,
        execution: Option<super::Execution>,
    ) -> Result<(), Refusal> {
        let Some(node) = self.node_of(id) else { return Ok(()) };
        let then = self.workflow.graph.node(node).then;
        match self.finish(id, output, then, execution) {
            Ok(()) => {}
            Err(Stop::Error(error)) => self.fault(id, error),
            Err(Stop::Pending) => return Err(Refusal::Pending),
        }
        Ok(())
    }

    fn timer_fired(&mut self, id: FrameId, timer: Timer) -> Result<(), Refusal> {
        let frame = self.workflow.frames.get(&id).ok_or(Rejected::NotOpen)?;
        match (timer, &frame.state) {
            (Timer::Timeout, FrameState::Faulted { .. }) => Err(Rejected::NotOpen.into()),
            (Timer::Timeout, _) if frame.timeout_at_ms.is_some() => {
                let reference = &self.workflow.graph.node(frame.node).reference;
                let error = ErrorObject::timeout(format!("{reference} did not end in time"));
                self.fault(id, error);
                Ok(())
            }
            (Timer::Wait, FrameState::Wait { .. }) => {
                let output = frame.input.clone();
                self.complete(id, output, None)
            }
            (Timer::Retry, FrameState::Try { stage: TryStage::Delay { .. }, .. }) => {
                self.record(Fact::RetryStarted { frame: id });
                Ok(())
            }
            _ => Err(Rejected::NotOpen.into()),
        }
    }

    fn skip(&mut self, id: FrameId, output: Option<Json>, reason: String) -> Result<(), Refusal> {
        let phase = self.workflow.phase.name();
        if matches!(self.workflow.phase, Phase::Cancelled | Phase::Completed { .. }) {
            return Err(Rejected::PhaseInvalid { phase }.into());
        }
        let frame = self.workflow.frames.get(&id).ok_or(Rejected::NotOpen)?;
        let then = self.workflow.graph.node(frame.node).then;
        if matches!(self.workflow.phase, Phase::Faulted { .. }) {
            let reason = reason.clone();
            self.record(Fact::WorkflowRetried { reason });
            self.match_events = true;
            self.complete_by_hand(id, output, then, reason_of(&self.step.facts));
            self.step.effects.extend(self.workflow.standing_effects());
        } else {
            self.complete_by_hand(id, output, then, reason);
        }
        Ok(())
    }

    fn complete_by_hand(
        &mut self,
        id: FrameId,
        output: Option<Json>,
        then: crate::definition::Then,
        reason: String,
    ) {
        self.end_below(id);
        self.workflow.ending_effects_of(id, &mut self.step.effects);
        self.end_competitors(id);
        self.record(Fact::TaskCompleted(TaskCompleted {
            frame: id,
            output,
            context: None,
            then,
            execution: None,
            skipped_because: Some(reason),
        }));
    }

    /// The effects that end what stands open below a frame.
    pub(super) fn end_below(&mut self, id: FrameId) {
        if self.workflow.frames.get(&id).is_some_and(|frame| frame.state.has_children()) {
            for below in self.workflow.descendants(id) {
                self.workflow.ending_effects_of(below, &mut self.step.effects);
            }
        }
    }

    /// A task raises an error: whatever stands below it is over, and it is up to its ancestors.
    pub(super) fn fault(&mut self, id: FrameId, error: ErrorObject) {
        let Some(frame) = self.workflow.frames.get(&id) else { return };
        let error = error.at(&self.workflow.graph.node(frame.node).reference);
        self.end_below(id);
        self.workflow.ending_effects_of(id, &mut self.step.effects);
        self.record(Fact::TaskFaulted { frame: id, error });
    }

    pub(super) fn graph(&self) -> std::sync::Arc<Graph> {
        self.workflow.graph.clone()
    }

    /// Evaluates an expression in the name of a task.
    pub(super) fn evaluate(
        &mut self,
        expression: ExpressionId,
        view: &View<'_>,
    ) -> Result<Json, Stop> {
        let scope = view.scope(self.workflow);
        match self.around.evaluator.evaluate(expression, &scope) {
            Evaluation::Done(Evaluated::Value(value)) => Ok(value),
            Evaluation::Done(Evaluated::Items(items)) => Ok(Json::array(&items)),
            Evaluation::Failed(detail) => Err(Stop::Error(ErrorObject::expression(detail))),
            Evaluation::Pending => Err(Stop::Pending),
        }
    }

    /// Evaluates the `in` of a for.
    pub(super) fn items(
        &mut self,
        expression: ExpressionId,
        view: &View<'_>,
    ) -> Result<Vec<Json>, Stop> {
        let scope = view.scope(self.workflow);
        match self.around.evaluator.items(expression, &scope) {
            Evaluation::Done(Evaluated::Items(items)) => Ok(items),
            Evaluation::Done(Evaluated::Value(value)) => Ok(vec![value]),
            Evaluation::Failed(detail) => Err(Stop::Error(ErrorObject::expression(detail))),
            Evaluation::Pending => Err(Stop::Pending),
        }
    }

    /// Evaluates a length of time to milliseconds.
    pub(super) fn duration(
        &mut self,
        duration: DurationValue,
        view: &View<'_>,
    ) -> Result<u64, Stop> {
        match duration {
            DurationValue::Fixed(milliseconds) => Ok(milliseconds),
            DurationValue::Expression(expression) => {
                let value = self.evaluate(expression, view)?.to_value();
                value.as_u64().ok_or_else(|| {
                    let detail = format!("{value} is not a length of time in milliseconds");
                    Stop::Error(ErrorObject::expression(detail))
                })
            }
        }
    }

    /// Checks a document against a schema, if there is one.
    pub(super) fn validate(&mut self, schema: Option<SchemaId>, value: &Json) -> Result<(), Stop> {
        let Some(schema) = schema else { return Ok(()) };
        match self.around.evaluator.validate(schema, value) {
            Evaluation::Done(_) => Ok(()),
            Evaluation::Failed(detail) => Err(Stop::Error(ErrorObject::validation(detail))),
            Evaluation::Pending => Err(Stop::Pending),
        }
    }
}

fn reason_of(facts: &[Fact]) -> String {
    match facts.last() {
        Some(Fact::WorkflowRetried { reason }) => reason.clone(),
        _ => String::new(),
    }
}

/// What an expression sees of its task.
pub(super) struct View<'a> {
    pub(super) node: NodeId,
    /// `.`
    pub(super) value: &'a Json,
    pub(super) raw_input: &'a Json,
    pub(super) input: Option<&'a Json>,
    pub(super) raw_output: Option<&'a Json>,
    pub(super) output: Option<&'a Json>,
    pub(super) started_at_ms: u64,
    pub(super) variables: &'a [(std::sync::Arc<str>, Json)],
}

impl<'a> View<'a> {
    /// A task before it is entered.
    pub(super) fn entering(node: NodeId, raw_input: &'a Json, now_ms: u64) -> Self {
        Self {
            node,
            value: raw_input,
            raw_input,
            input: None,
            raw_output: None,
            output: None,
            started_at_ms: now_ms,
            variables: &[],
        }
    }

    /// A task that was entered.
    pub(super) fn of(frame: &'a Frame) -> Self {
        Self {
            node: frame.node,
            value: &frame.input,
            raw_input: &frame.raw_input,
            input: Some(&frame.input),
            raw_output: None,
            output: None,
            started_at_ms: frame.started_at_ms,
            variables: &frame.variables,
        }
    }

    fn scope<'s>(&'s self, workflow: &'s Workflow) -> Scope<'s> {
        Scope {
            graph: &workflow.graph,
            node: self.node,
            value: self.value,
            input: self.input,
            output: self.output,
            context: &workflow.context,
            task_input: self.raw_input,
            task_output: self.raw_output,
            task_started_at_ms: self.started_at_ms,
            workflow_id: &workflow.id,
            workflow_input: &workflow.input,
            workflow_started_at_ms: workflow.started_at_ms,
            variables: self.variables,
        }
    }
}
