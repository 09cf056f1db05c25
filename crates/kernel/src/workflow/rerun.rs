//! Going on from an earlier place.

use std::ops::Range;
use std::sync::Arc;

use crate::Json;
use crate::definition::{Graph, Kind, NodeId};
use crate::workflow::{Fact, Recorded, Rerun, Workflow};

/// The stretches of a history that led to where the workflow is: what a rerun left behind is not
/// among them.
pub(super) fn valid(history: &[Recorded]) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let mut end = history.len();
    for (position, recorded) in history.iter().enumerate().rev() {
        if position >= end {
            continue;
        }
        if let Fact::WorkflowRerun(rerun) = &recorded.fact {
            stretches.push(position..end);
            end = usize::try_from(rerun.from_seq.saturating_sub(1)).unwrap_or(0).min(position);
        }
    }
    stretches.push(0..end);
    stretches.reverse();
    stretches
}

/// A rerun, ready to be committed.
#[derive(Clone, Debug, PartialEq)]
pub struct RerunPlan {
    /// The fact to append.
    pub fact: Fact,
    /// The state once it is appended; apply [`Input::Continue`](super::Input::Continue) next.
    pub workflow: Workflow,
}

impl RerunPlan {
    /// Plans to go on from the latest run of a task. `None` if the task was never entered (runs
    /// that an earlier rerun left behind do not count), or is
    /// not a task of a task list (a fork's branch has no input of its own to go on from).
    ///
    /// `attempt_base` is the highest attempt number that was ever handed out in this workflow.
    #[must_use]
    pub fn new(
        id: &Arc<str>,
        graph: &Arc<Graph>,
        history: &[Recorded],
        (node, input): (NodeId, Option<Json>),
        (attempt_base, now_ms): (u32, u64),
    ) -> Option<Self> {
        let holder = graph.node(node).parent?;
        if !matches!(graph.node(holder).kind, Kind::Do { .. }) {
            return None;
        }
        let enters = |recorded: &Recorded| match &recorded.fact {
            Fact::TaskStarted(started) => started.node == node,
            _ => false,
        };
        let entered = valid(history).into_iter().rev().find_map(|stretch| {
            let position = history[stretch.clone()].iter().rposition(enters)?;
            Some(stretch.start + position)
        })?;
        let frame_base = history.iter().filter_map(|recorded| match &recorded.fact {
            Fact::TaskStarted(started) => Some(started.frame.0),
            _ => None,
        });
        let fact = Fact::WorkflowRerun(Rerun {
            from_seq: entered as u64 + 1,
            node,
            input,
            frame_base: frame_base.max().unwrap_or(0),
            attempt_base,
        });
        let mut all = history.to_vec();
        all.push(Recorded { at_ms: now_ms, fact: fact.clone() });
        Some(Self { fact, workflow: Workflow::fold(id, graph, &all) })
    }
}
