//! Ids of the spans of a workflow: they follow from what the spans are about, so that whoever tells
//! of it, whenever and how often, tells of the same tree.

use std::fmt;
use std::str::FromStr;

use crate::parent::NotATraceParent;
use crate::{SpanId, TraceId, TraceParent};

/// Stands where the parent of a root would.
const NO_PARENT: &str = "0000000000000000";

/// The trace that a workflow is recorded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowTrace {
    /// The trace.
    pub trace: TraceId,
    /// The span that the workflow is a part of; none: it is the root.
    pub parent: Option<SpanId>,
}

impl WorkflowTrace {
    /// A span of this trace.
    #[must_use]
    pub const fn place(self, span: SpanId) -> TraceParent {
        TraceParent { trace: self.trace, span, sampled: true }
    }
}

impl fmt::Display for WorkflowTrace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parent {
            Some(parent) => write!(formatter, "{}", self.place(parent)),
            None => write!(formatter, "00-{}-{NO_PARENT}-01", self.trace),
        }
    }
}

impl FromStr for WorkflowTrace {
    type Err = NotATraceParent;

    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let root = text.strip_prefix("00-").and_then(|text| text.strip_suffix("-01"));
        let root = root.and_then(|text| text.strip_suffix(NO_PARENT)?.strip_suffix('-'));
        if let Some(trace) = root {
            return Ok(Self { trace: trace.parse()?, parent: None });
        }
        let parent: TraceParent = text.parse()?;
        Ok(Self { trace: parent.trace, parent: Some(parent.span) })
    }
}

/// Names the spans of one workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowSpans {
    workflow: u64,
}

impl WorkflowSpans {
    /// Of the workflow with this id.
    #[must_use]
    pub fn new(workflow_id: &str) -> Self {
        // FNV-1a; what it lacks in mixing, `mixed` adds.
        let hash = workflow_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { workflow: hash }
    }

    /// The workflow from its start, or from the event of its history that made it go on.
    #[must_use]
    pub const fn workflow(self, from_seq: u64) -> SpanId {
        self.span(1, from_seq, 0)
    }

    /// A run of a task that the event with this number of the history entered.
    #[must_use]
    pub const fn task(self, seq: u64, frame: u32) -> SpanId {
        self.span(2, seq, frame)
    }

    /// An attempt of a task.
    #[must_use]
    pub const fn attempt(self, frame: u32, attempt: u32) -> SpanId {
        self.span(3, attempt as u64, frame)
    }

    /// The healing of a lost attempt.
    #[must_use]
    pub const fn healing(self, frame: u32, lost_attempt: u32) -> SpanId {
        self.span(4, lost_attempt as u64, frame)
    }

    const fn span(self, kind: u64, first: u64, second: u32) -> SpanId {
        let one = mixed(self.workflow ^ kind);
        let two = mixed(one ^ first);
        SpanId::new(mixed(two ^ second as u64))
    }
}

/// The finisher of SplitMix64: every bit of the input changes about half of the output.
const fn mixed(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_trace_is_read_as_it_is_written() {
        for parent in [None, Some(SpanId::random())] {
            let trace = WorkflowTrace { trace: TraceId::random(), parent };
            assert_eq!(trace.to_string().parse(), Ok(trace));
        }
        assert!("00-1-01".parse::<WorkflowTrace>().is_err());
    }

    #[test]
    fn ids_are_the_same_for_everybody_and_differ_within_a_trace() {
        let spans = WorkflowSpans::new("0199a9f0-0000-7000-8000-000000000001");
        assert_eq!(spans.attempt(2, 1).to_string(), "3129a04e678c2185");
        let mut ids = BTreeSet::new();
        for workflow in 0..10 {
            let spans = WorkflowSpans::new(&format!("workflow-{workflow}"));
            for first in 0..30 {
                ids.insert(spans.workflow(first));
                for frame in 0..30_u32 {
                    let number = u32::try_from(first).unwrap();
                    ids.insert(spans.task(first, frame));
                    ids.insert(spans.attempt(frame, number));
                    ids.insert(spans.healing(frame, number));
                }
            }
        }
        assert_eq!(ids.len(), 10 * 30 * (1 + 3 * 30));
    }
}
