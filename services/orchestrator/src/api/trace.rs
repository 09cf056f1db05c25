//! The place of a new workflow in a trace.

use std::sync::Arc;

use planaria_telemetry::{TRACEPARENT, TraceId, TraceParent, WorkflowTrace};
use tonic::metadata::MetadataMap;

use super::Api;

impl Api {
    /// The place of a workflow that this call starts, if its trace is recorded. What the caller
    /// decided stands; where nobody did, the workflow is the root of a trace if that is to be
    /// recorded.
    pub(super) fn trace_of(&self, metadata: &MetadataMap) -> Option<Arc<str>> {
        let trace = match parent(metadata) {
            Some(parent) if !parent.sampled => return None,
            Some(parent) => WorkflowTrace { trace: parent.trace, parent: Some(parent.span) },
            None if !self.tracer.is_on() => return None,
            None => {
                let trace = TraceId::random();
                let sampled = self.tracer.samples(trace);
                sampled.then_some(WorkflowTrace { trace, parent: None })?
            }
        };
        Some(trace.to_string().into())
    }
}

fn parent(metadata: &MetadataMap) -> Option<TraceParent> {
    metadata.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
}
