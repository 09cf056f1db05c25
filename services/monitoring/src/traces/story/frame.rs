//! One run of one task, and its attempts.

use planaria_proto::workflow::v1::{Execution, TaskStarted};
use planaria_telemetry::{Event as SpanEvent, Span, SpanId, WorkflowSpans, WorkflowTrace};

use super::NS_PER_MS;
use crate::convert;

/// Events of a span; later ones are left out.
const EVENTS_MAX: usize = 100;

/// A frame's number, what names spans, and their trace.
type Place = (u32, WorkflowSpans, WorkflowTrace);

#[derive(Debug)]
pub(super) struct Frame {
    pub(super) span: SpanId,
    parent: Option<SpanId>,
    /// The frame around it; 0 = none.
    pub(super) around: u32,
    task: String,
    iteration: u32,
    started_ns: u64,
    last_attempt: Option<SpanId>,
    /// The last attempt was lost and none took its place yet.
    pub(super) lost: Option<Lost>,
    pub(super) events: Vec<SpanEvent>,
}

/// The loss of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) attempt: u32,
    pub(super) worker: String,
    pub(super) signal: &'static str,
    pub(super) signal_ns: u64,
}

impl Frame {
    pub(super) fn new(
        started: &TaskStarted,
        (span, parent): (SpanId, Option<SpanId>),
        at_ns: u64,
    ) -> Self {
        Self {
            span,
            parent,
            around: started.parent,
            task: started.task.clone(),
            iteration: started.iteration,
            started_ns: at_ns,
            last_attempt: None,
            lost: None,
            events: Vec::new(),
        }
    }

    /// As it is kept while its workflow is faulted.
    pub(super) fn parked(&self) -> Self {
        Self { task: self.task.clone(), lost: None, events: Vec::new(), ..*self }
    }

    /// Open again.
    pub(super) fn again(self, span: SpanId, parent: Option<SpanId>, at_ns: u64) -> Self {
        Self { span, parent, started_ns: at_ns, ..self }
    }

    /// An attempt that ended, and the healing that it was the end of.
    pub(super) fn attempt(
        &mut self,
        (frame, ids, trace): Place,
        execution: &Execution,
        at_ns: u64,
        error: Option<String>,
    ) -> Vec<Span> {
        let started_ms = convert::milliseconds(execution.started_at);
        let started_ns = started_ms.map_or(at_ns, |at_ms| at_ms * NS_PER_MS);
        let healing = self.healing((frame, ids, trace), started_ns, Some(execution));
        let id = ids.attempt(frame, execution.attempt);
        let span = Span::new(trace.place(id), Some(self.span), "attempt", (started_ns, at_ns))
            .with("planaria.attempt", execution.attempt)
            .with("planaria.function", execution.function.clone())
            .with("planaria.worker", execution.worker_id.clone())
            .with("planaria.session", execution.session_id.clone());
        let links = self.last_attempt.replace(id).into_iter().collect();
        let span = Span { links, error, ..span };
        healing.into_iter().chain([span]).collect()
    }

    /// The healing of the last loss: another attempt took its place, or none did.
    fn healing(
        &mut self,
        (frame, ids, trace): Place,
        at_ns: u64,
        by: Option<&Execution>,
    ) -> Option<Span> {
        let lost = self.lost.take()?;
        let place = trace.place(ids.healing(frame, lost.attempt));
        let span = Span::new(place, Some(self.span), "healing", (lost.signal_ns, at_ns))
            .with("planaria.signal", lost.signal)
            .with("planaria.lost_attempt", lost.attempt)
            .with("planaria.lost_worker", lost.worker);
        let span = match by {
            Some(by) => span
                .with("planaria.new_attempt", by.attempt)
                .with("planaria.new_worker", by.worker_id.clone()),
            None => Span { error: Some("nothing took its place".into()), ..span },
        };
        Some(Span { links: self.last_attempt.into_iter().collect(), ..span })
    }

    /// The task itself, and the healing that came too late for it.
    pub(super) fn end(
        mut self,
        (frame, ids, trace): Place,
        at_ns: u64,
        error: Option<String>,
    ) -> Vec<Span> {
        let mut spans = Vec::new();
        spans.extend(self.healing((frame, ids, trace), at_ns, None));
        let name = self.task.rsplit('/').next().filter(|name| !name.is_empty());
        let name = name.unwrap_or("do").to_owned();
        let times = (self.started_ns, at_ns);
        let span = Span::new(trace.place(self.span), self.parent, name, times)
            .with("planaria.task", self.task)
            .with("planaria.frame", frame)
            .with("planaria.iteration", self.iteration);
        spans.push(Span { events: self.events, error, ..span });
        spans
    }
}

/// Notes that something happened.
pub(super) fn note(events: &mut Vec<SpanEvent>, what: &'static str, at_ns: u64) {
    if events.len() < EVENTS_MAX {
        events.push(SpanEvent { name: what.into(), at_ns, attributes: Vec::new() });
    }
}
