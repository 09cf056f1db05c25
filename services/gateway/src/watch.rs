//! What becomes known of a call while it passes: its outcome, how long it took, and its place in a
//! trace.

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use planaria_runtime::Metrics;
use planaria_runtime::calls::{Call, Calls};
use planaria_telemetry::{Kind, OpenSpan, TRACEPARENT, TraceParent, Tracer};
use tonic::Code;

/// Calls that begin a trace if their caller did not: those that start workflows.
const STARTS: [&str; 3] = [
    "/planaria.workflow.v1.WorkflowService/RunWorkflow",
    "/planaria.workflow.v1.WorkflowService/StartWorkflow",
    "/planaria.workflow.v1.WorkflowService/StartWorkflows",
];

/// Watches calls.
#[derive(Debug)]
pub(crate) struct Watch {
    calls: Calls,
    tracer: Tracer,
}

/// A call that is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    call: Call,
    span: Option<OpenSpan>,
}

impl Watch {
    pub(crate) fn new(metrics: &Metrics, tracer: Tracer) -> Self {
        Self { calls: Calls::new(metrics), tracer }
    }

    /// A call begins. The service behind the gateway sees the gateway's span as its caller.
    pub(crate) fn begin(&self, request: &mut Parts) -> Watched {
        let path = request.uri.path();
        let mut call = self.calls.begin(path);
        // Until there is an answer: refused here, or given up.
        call.set(Code::Unavailable);
        let parent = TraceParent::of(&request.headers);
        let mut span = None;
        if self.tracer.is_on() && (parent.is_some() || STARTS.contains(&path)) {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            span = self.tracer.begin(parent, name, Kind::Server);
            // What was decided here stands: not to be recorded is a decision, too.
            let undecided = parent.is_none() && span.is_none();
            let unsampled = undecided.then(|| TraceParent::root(false));
            let place = span.as_ref().map(OpenSpan::place).or(unsampled);
            let value = place.and_then(|it| HeaderValue::try_from(it.to_string()).ok());
            if let Some(value) = value {
                request.headers.insert(TRACEPARENT, value);
            }
        }
        Watched { call, span }
    }
}

impl Watched {
    /// Part of the answer is there.
    pub(crate) fn answered(&mut self, headers: &HeaderMap) {
        let Some(code) = self.call.note(headers) else {
            // The rest is on its way; who leaves now leaves by itself.
            return self.call.set(Code::Cancelled);
        };
        if let Some(span) = &mut self.span {
            let error = (code != Code::Ok).then(|| format!("{code:?}"));
            span.change(|span| span.error = error);
        }
    }
}
