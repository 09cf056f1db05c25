//! Entering a task: its condition, its input, and what its kind needs to begin.

use crate::Json;
use crate::definition::{Kind, Node, NodeId};
use crate::workflow::apply::{Machine, Stop, View};
use crate::workflow::{Detail, Fact, Frame, FrameId, TaskStarted, Variables};

/// A task about to be entered.
pub(super) struct Entry {
    node: NodeId,
    parent: Option<FrameId>,
    iteration: u32,
    raw_input: Option<Json>,
    /// The frame, if it is entered again after a fault.
    again: Option<(FrameId, Variables)>,
}

impl Entry {
    /// The workflow's own task list.
    pub(super) const fn root() -> Self {
        Self {
            node: crate::definition::Graph::ROOT,
            parent: None,
            iteration: 0,
            raw_input: None,
            again: None,
        }
    }

    /// A task below a frame.
    pub(super) fn child(parent: FrameId, frame: &Frame, node: NodeId, iteration: u32) -> Self {
        let raw_input = Some(frame.child_input());
        Self { node, parent: Some(parent), iteration, raw_input, again: None }
    }

    /// A task that faulted and is tried again.
    pub(super) fn again(id: FrameId, frame: &Frame) -> Self {
        Self {
            node: frame.node,
            parent: frame.parent,
            iteration: frame.iteration,
            raw_input: Some(frame.raw_input.clone()),
            again: Some((id, frame.variables.clone())),
        }
    }
}

/// What entering yielded.
struct Entered {
    input: Option<Json>,
    timeout_at_ms: Option<u64>,
    detail: Detail,
}

impl Machine<'_, '_> {
    /// Enters a task, or skips it. What fails on the way is the new frame's error.
    pub(super) fn enter(&mut self, entry: &Entry) -> Result<(), Stop> {
        let graph = self.graph();
        let node = graph.node(entry.node);
        let raw_input = entry.raw_input.clone().unwrap_or_else(|| self.workflow.input.clone());
        let variables = self.entry_variables(entry);
        let outcome = self.prepare(entry, node, &raw_input, &variables);
        let entered = match outcome {
            Ok(Some(entered)) => Ok(entered),
            Ok(None) => {
                let Some(parent) = entry.parent else { return Ok(()) };
                self.record(Fact::TaskSkipped { node: entry.node, parent });
                return Ok(());
            }
            Err(Stop::Pending) => return Err(Stop::Pending),
            Err(Stop::Error(error)) => Err(error),
        };
        let frame = match &entry.again {
            Some((frame, _)) => *frame,
            None => FrameId(self.workflow.last_frame + 1),
        };
        let (entered, error) = match entered {
            Ok(entered) => (entered, None),
            Err(error) => {
                let nothing = Entered { input: None, timeout_at_ms: None, detail: Detail::None };
                (nothing, Some(error))
            }
        };
        self.record(Fact::TaskStarted(TaskStarted {
            frame,
            node: entry.node,
            parent: entry.parent,
            iteration: entry.iteration,
            input: entered.input,
            timeout_at_ms: entered.timeout_at_ms,
            detail: entered.detail,
        }));
        match error {
            Some(error) => self.record_entry_fault(frame, error),
            None => self.workflow.standing_effects_of(frame, &mut self.step.effects),
        }
        self.match_events |= matches!(node.kind, Kind::Listen { .. });
        Ok(())
    }

    fn record_entry_fault(&mut self, frame: FrameId, error: super::ErrorObject) {
        let reference = self.node_of(frame).map(|node| self.workflow.graph.node(node));
        let error = match reference {
            Some(node) => error.at(&node.reference),
            None => error,
        };
        self.record(Fact::TaskFaulted { frame, error });
    }

    fn entry_variables(&self, entry: &Entry) -> Variables {
        if let Some((_, variables)) = &entry.again {
            return variables.clone();
        }
        match entry.parent.and_then(|parent| self.workflow.frames.get(&parent)) {
            Some(parent) => self.variables_below(parent),
            None => std::sync::Arc::new([]),
        }
    }

    /// Evaluates everything that entering needs; `None` = the condition is false.
    fn prepare(
        &mut self,
        entry: &Entry,
        node: &Node,
        raw_input: &Json,
        variables: &Variables,
    ) -> Result<Option<Entered>, Stop> {
        let now_ms = self.around.now_ms;
        let before = View { variables, ..View::entering(entry.node, raw_input, now_ms) };
        // Also when it is entered again: the fault may have been the condition's.
        if let Some(condition) = node.condition
            && !self.evaluate(condition, &before)?.is_true()
        {
            return Ok(None);
        }
        self.validate(node.input_schema, raw_input)?;
        let input = match node.input_from {
            Some(from) => Some(self.evaluate(from, &before)?),
            None => None,
        };
        let task_input = input.as_ref().unwrap_or(raw_input);
        let view = View { value: task_input, input: Some(task_input), ..before };
        let timeout_at_ms = self.timeout_of(entry, node, &view)?;
        let detail = match &node.kind {
            Kind::Call(call) => {
                let arguments = match call.arguments {
                    Some(arguments) => Some(self.evaluate(arguments, &view)?),
                    None => None,
                };
                Detail::Call { arguments }
            }
            Kind::Wait { duration } => {
                Detail::Wait { until_ms: now_ms.saturating_add(self.duration(*duration, &view)?) }
            }
            Kind::For { items, .. } => Detail::Loop { items: self.items(*items, &view)? },
            _ => Detail::None,
        };
        Ok(Some(Entered { input, timeout_at_ms, detail }))
    }

    /// The task's own timeout, or the limit of one run of a try's body: whichever is sooner.
    fn timeout_of(
        &mut self,
        entry: &Entry,
        node: &Node,
        view: &View<'_>,
    ) -> Result<Option<u64>, Stop> {
        let mut shortest: Option<u64> = None;
        let own = node.timeout;
        let of_run = self.run_limit(entry);
        for duration in [own, of_run].into_iter().flatten() {
            let lasts = self.duration(duration, view)?;
            shortest = Some(shortest.map_or(lasts, |other| other.min(lasts)));
        }
        Ok(shortest.map(|lasts| self.around.now_ms.saturating_add(lasts)))
    }

    fn run_limit(&self, entry: &Entry) -> Option<crate::definition::DurationValue> {
        let parent = self.workflow.frames.get(&entry.parent?)?;
        match &self.workflow.graph.node(parent.node).kind {
            Kind::Try { body, catch } if *body == entry.node => {
                catch.retry.as_ref()?.attempt_duration
            }
            _ => None,
        }
    }
}
