//! The span that a function runs in.

use planaria_proto::task::v1::Assignment;
use planaria_telemetry::{SpanId, TraceParent};
use tracing::Span;
use tracing::field::Empty;

/// What the function logs carries these ids; if the workflow is traced, what it traces is inside.
pub(crate) fn of(assignment: &Assignment) -> Span {
    let Assignment { workflow_id: workflow, task, attempt, function, .. } = assignment;
    match assignment.trace_parent.parse::<TraceParent>() {
        Ok(parent) if parent.sampled => tracing::info_span!(
            "execute",
            %workflow,
            %task,
            attempt,
            %function,
            trace_id = %parent.trace,
            span_id = %SpanId::random(),
            parent_span_id = %parent.span,
            error = Empty,
        ),
        _ => tracing::info_span!("execute", %workflow, %task, attempt, error = Empty),
    }
}
