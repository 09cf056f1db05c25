//! Finishing a task: its output, its export, and where control flows.

use crate::Json;
use crate::definition::Then;
use crate::workflow::apply::{Machine, Stop, View};
use crate::workflow::{Effect, Execution, Fact, FrameId, TaskCompleted, Timer};

impl Machine<'_, '_> {
    /// Completes a task from its raw output.
    pub(super) fn finish(
        &mut self,
        id: FrameId,
        raw_output: Json,
        then: Then,
        execution: Option<Execution>,
    ) -> Result<(), Stop> {
        let Some(frame) = self.workflow.frames.get(&id) else { return Ok(()) };
        let graph = self.graph();
        let node = graph.node(frame.node);
        let has_timeout = frame.timeout_at_ms.is_some();
        let unchanged = raw_output == frame.raw_input;
        let plain =
            node.output_as.is_none() && node.output_schema.is_none() && node.export_as.is_none();
        let (output, context) = if plain {
            ((!unchanged).then_some(raw_output), None)
        } else {
            let frame = frame.clone();
            let output = match node.output_as {
                Some(filter) => {
                    let view = View {
                        value: &raw_output,
                        raw_output: Some(&raw_output),
                        ..View::of(&frame)
                    };
                    self.evaluate(filter, &view)?
                }
                None => raw_output.clone(),
            };
            self.validate(node.output_schema, &output)?;
            let context = match node.export_as {
                Some(export) => {
                    let view = View {
                        value: &output,
                        raw_output: Some(&raw_output),
                        output: Some(&output),
                        ..View::of(&frame)
                    };
                    Some(self.evaluate(export, &view)?)
                }
                None => None,
            };
            if let Some(context) = &context {
                self.validate(node.export_schema, context)?;
            }
            ((output != frame.raw_input).then_some(output), context)
        };
        if has_timeout {
            self.step.effects.push(Effect::Disarm { frame: id, timer: Timer::Timeout });
        }
        self.end_competitors(id);
        // A filter may see the context: what nobody wanted may be wanted now.
        self.match_events |= context.is_some();
        self.record(Fact::TaskCompleted(TaskCompleted {
            frame: id,
            output,
            context,
            then,
            execution,
            skipped_because: None,
        }));
        Ok(())
    }

    /// The first branch of a competing fork to complete ends the others.
    pub(super) fn end_competitors(&mut self, id: FrameId) {
        let parent = self.workflow.frames.get(&id).and_then(|frame| frame.parent);
        let Some((parent, fork)) =
            parent.and_then(|parent| Some((parent, self.workflow.frames.get(&parent)?)))
        else {
            return;
        };
        let kind = &self.workflow.graph.node(fork.node).kind;
        if matches!(kind, crate::definition::Kind::Fork { compete: true, .. }) {
            for other in self.workflow.descendants(parent) {
                if other != id {
                    self.workflow.ending_effects_of(other, &mut self.step.effects);
                }
            }
        }
    }
}
