//! Calls that begin a trace, or go on with one.

use planaria_telemetry::{Kind, OpenSpan, TRACEPARENT, TraceParent};
use tonic::Request;

use super::Client;

/// The place of a call in a trace, and its span for as long as this lives.
pub(crate) struct Traced {
    span: Option<OpenSpan>,
    around: Option<TraceParent>,
}

impl Client {
    /// A call: part of what this code is traced in, else the beginning of a trace.
    pub(crate) fn traced(&self, name: &'static str) -> Traced {
        let around = planaria_telemetry::current();
        Traced { span: self.tracer.begin(around, name, Kind::Client), around }
    }
}

impl Traced {
    /// The call's request.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let place = self.span.as_ref().map(OpenSpan::place).or(self.around);
        if let Some(place) = place
            && let Ok(value) = place.to_string().parse()
        {
            request.metadata_mut().insert(TRACEPARENT, value);
        }
        request
    }

    /// Notes how the call ended.
    pub(crate) fn ended<T>(mut self, outcome: Result<T, crate::Error>) -> Result<T, crate::Error> {
        if let (Some(span), Err(error)) = (&mut self.span, &outcome) {
            span.change(|span| span.error = Some(error.to_string()));
        }
        outcome
    }
}
