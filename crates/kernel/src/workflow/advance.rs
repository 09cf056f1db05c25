//! Walking on: what each kind of task does when it is its turn.

use crate::Json;
use crate::definition::{Kind, NodeId, Then};
use crate::workflow::apply::{Machine, Stop, View};
use crate::workflow::enter::Entry;
use crate::workflow::{Effect, ErrorObject, Fact, Frame, FrameId, FrameState, Phase, TryStage};

impl Machine<'_, '_> {
    /// Walks until everything waits for somebody, a value is pending, or the limit is reached.
    pub(super) fn run(&mut self) {
        match self.walk() {
            Ok(()) if self.workflow.can_continue() => self.step.effects.push(Effect::Continue),
            Ok(()) => {}
            Err(Stop::Pending) => self.step.pending = true,
            // Only the workflow itself is left to blame.
            Err(Stop::Error(error)) => self.fault_workflow(FrameId(0), error),
        }
    }

    fn walk(&mut self) -> Result<(), Stop> {
        for _ in 0..self.around.limits.local_steps_max {
            if !self.step_once()? {
                return Ok(());
            }
        }
        // The state does not say that events are to be matched: whoever continues after a crash
        // would not know.
        if self.match_events && self.workflow.phase == Phase::Running {
            self.match_events = false;
            self.bring_events_together()?;
        }
        Ok(())
    }

    /// One step; whether there may be another.
    fn step_once(&mut self) -> Result<bool, Stop> {
        match self.workflow.phase {
            Phase::Running => {}
            Phase::Suspended => return self.finish_one(),
            _ => return Ok(false),
        }
        if let Some(output) = self.workflow.root_output.clone() {
            self.record(Fact::WorkflowCompleted { output });
            self.step.effects.push(Effect::End);
            return Ok(false);
        }
        if self.workflow.seq >= self.around.limits.history_events_max {
            let limit = self.around.limits.history_events_max;
            let detail = format!("the history has {limit} events, which is the limit");
            return Err(Stop::Error(ErrorObject::limit(detail)));
        }
        if self.workflow.seq == 1 && self.workflow.frames.is_empty() {
            self.enter(&Entry::root())?;
            return Ok(true);
        }
        let Some(&id) = self.workflow.ready.first() else {
            if self.match_events {
                self.match_events = false;
                return self.bring_events_together();
            }
            return Ok(false);
        };
        match self.advance(id) {
            Err(Stop::Error(error)) => self.fault(id, error),
            other => other?,
        }
        Ok(true)
    }

    /// A suspended workflow takes what comes back, and goes no further.
    fn finish_one(&mut self) -> Result<bool, Stop> {
        let finishing = self.workflow.ready.iter().copied().find(|id| {
            let frame = self.workflow.frames.get(id);
            frame.is_some_and(|frame| matches!(frame.state, FrameState::Finishing { .. }))
        });
        let Some(id) = finishing else { return Ok(false) };
        match self.advance(id) {
            Err(Stop::Error(error)) => self.fault(id, error),
            other => other?,
        }
        Ok(true)
    }

    /// One step of one frame. An error is the frame's.
    fn advance(&mut self, id: FrameId) -> Result<(), Stop> {
        let Some(frame) = self.workflow.frames.get(&id) else { return Ok(()) };
        let graph = self.graph();
        let node = graph.node(frame.node);
        match (&frame.state, &node.kind) {
            (FrameState::Faulted { error }, _) => {
                let error = error.clone();
                self.propagate(id, &error)
            }
            (FrameState::Entering, _) => self.enter(&Entry::again(id, frame)),
            (FrameState::Finishing { output }, _) => {
                let output = output.clone();
                self.finish(id, output, node.then, None)
            }
            (FrameState::Sequence { position, value, ended, .. }, Kind::Do { children }) => {
                match children.get(*position) {
                    Some(&child) => self.enter(&Entry::child(id, frame, child, 0)),
                    None => {
                        let (value, then) = (value.clone(), flow(*ended, node.then));
                        self.finish(id, value, then, None)
                    }
                }
            }
            (FrameState::Loop { .. }, Kind::For { .. }) => self.iterate(id),
            (
                FrameState::Fork { entered, outputs, winner, ended, .. },
                Kind::Fork { branches, compete },
            ) => {
                if let (Some(&branch), None) = (branches.get(*entered), winner) {
                    let position = u32::try_from(*entered).unwrap_or(u32::MAX);
                    return self.enter(&Entry::child(id, frame, branch, position));
                }
                let joined = join(frame, outputs, winner.as_ref(), *compete);
                let joined = bounded(joined, Json::DEPTH_MAX, "the list of the branches' outputs")?;
                let then = flow(*ended, node.then);
                self.finish(id, joined, then, None)
            }
            (FrameState::Try { stage, retries }, Kind::Try { body, catch }) => match stage {
                TryStage::Start => self.enter(&Entry::child(id, frame, *body, *retries)),
                TryStage::Caught { .. } => match catch.body {
                    Some(handler) => self.enter(&Entry::child(id, frame, handler, 0)),
                    None => {
                        let output = frame.input.clone();
                        self.finish(id, output, catch.then.unwrap_or(node.then), None)
                    }
                },
                TryStage::Done { output, caught, ended } => {
                    let caught_then = catch.then.filter(|_| *caught).unwrap_or(node.then);
                    let (output, then) = (output.clone(), flow(*ended, caught_then));
                    self.finish(id, output, then, None)
                }
                TryStage::Body | TryStage::Delay { .. } | TryStage::Handler => Ok(()),
            },
            (FrameState::Local, kind) => {
                let kind = kind.clone();
                self.execute(id, &kind, node.then)
            }
            _ => Ok(()),
        }
    }

    /// A task that the machine executes itself.
    fn execute(&mut self, id: FrameId, kind: &Kind, then: Then) -> Result<(), Stop> {
        let Some(frame) = self.workflow.frames.get(&id).cloned() else { return Ok(()) };
        match kind {
            Kind::Set { value } => {
                let output = self.evaluate(*value, &View::of(&frame))?;
                self.finish(id, output, then, None)
            }
            Kind::Switch { cases } => {
                for case in cases {
                    let holds = match case.when {
                        None => true,
                        Some(when) => self.evaluate(when, &View::of(&frame))?.is_true(),
                    };
                    if holds {
                        return self.finish(id, frame.input, case.then, None);
                    }
                }
                self.finish(id, frame.input, then, None)
            }
            Kind::Raise { error } => {
                let raised = self.evaluate(*error, &View::of(&frame))?;
                Err(Stop::Error(ErrorObject::from_json(&raised).unwrap_or_else(|| {
                    ErrorObject::expression(format!("{raised:?} is not an error with type, status"))
                })))
            }
            Kind::Emit { event } => {
                let attributes = self.evaluate(*event, &View::of(&frame))?;
                let event = self.complete_event(id, &attributes)?;
                self.step.effects.push(Effect::Publish { event: event.clone() });
                self.record(Fact::EventEmitted { frame: id, event });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Fills in what CloudEvents require and the author left out.
    fn complete_event(&self, id: FrameId, attributes: &Json) -> Result<Json, Stop> {
        let serde_json::Value::Object(mut event) = attributes.to_value() else {
            let detail = format!("{attributes:?} is not an object of event attributes");
            return Err(Stop::Error(ErrorObject::expression(detail)));
        };
        let workflow = &self.workflow.id;
        let mut default = |key: &str, value: String| {
            event.entry(key).or_insert(serde_json::Value::String(value));
        };
        default("id", format!("{workflow}-{}", id.0));
        default("specversion", "1.0".to_owned());
        default("source", format!("/workflows/{workflow}"));
        default("time", crate::time::rfc3339(self.around.now_ms));
        let event = Json::from_value(&serde_json::Value::Object(event));
        bounded(event, Json::EVENT_DEPTH_MAX, "the event")
    }

    /// The next iteration of a for, or its end.
    fn iterate(&mut self, id: FrameId) -> Result<(), Stop> {
        let Some(frame) = self.workflow.frames.get(&id).cloned() else { return Ok(()) };
        let graph = self.graph();
        let node = graph.node(frame.node);
        let Kind::For { condition, body, .. } = &node.kind else { return Ok(()) };
        let FrameState::Loop { items, index, value, ended, .. } = &frame.state else {
            return Ok(());
        };
        let mut goes_on = !*ended && *index < items.len();
        if let (true, Some(condition)) = (goes_on, condition) {
            let variables = self.workflow.child_variables(&frame);
            let view = View { value, variables: &variables, ..View::of(&frame) };
            goes_on = self.evaluate(*condition, &view)?.is_true();
        }
        if goes_on {
            let iteration = u32::try_from(*index).unwrap_or(u32::MAX);
            return self.enter(&Entry::child(id, &frame, *body, iteration));
        }
        self.finish(id, value.clone(), flow(*ended, node.then), None)
    }

    /// The workflow itself faults.
    pub(super) fn fault_workflow(&mut self, frame: FrameId, error: ErrorObject) {
        self.record(Fact::WorkflowFaulted { frame, error });
        self.step.effects.push(Effect::End);
    }

    pub(super) fn variables_below(&self, parent: &Frame) -> super::Variables {
        self.workflow.child_variables(parent)
    }

    pub(super) fn node_of(&self, id: FrameId) -> Option<NodeId> {
        self.workflow.frames.get(&id).map(|frame| frame.node)
    }
}

/// What is put together may be nested deeper than its parts.
fn bounded(document: Json, levels: usize, what: &str) -> Result<Json, Stop> {
    if document.is_deeper_than(levels) {
        let detail = format!("{what} is nested deeper than {levels} levels");
        return Err(Stop::Error(ErrorObject::limit(detail)));
    }
    Ok(document)
}

/// Once a task said `end`, everything around it ends too.
const fn flow(ended: bool, then: Then) -> Then {
    if ended { Then::End } else { then }
}

/// The output of a fork: the winner's, or all branches' in order.
fn join(frame: &Frame, outputs: &[Option<Json>], winner: Option<&Json>, compete: bool) -> Json {
    match winner {
        Some(output) => output.clone(),
        None if compete => frame.input.clone(),
        None => {
            let nothing = Json::NULL;
            Json::array(outputs.iter().map(|output| output.as_ref().unwrap_or(&nothing)))
        }
    }
}
