//! Traces, as OpenTelemetry knows them: one for each workflow that is sampled, across everything
//! that works on it.
//!
//! - [`TraceParent`] is a place in a trace, as the W3C header `traceparent` carries it.
//! - [`Span`] is something that took time there. Spans of what may be told twice, or by another
//!   process after a crash, have ids that follow from what they are about: [`WorkflowSpans`].
//! - A [`Tracer`] exports spans by OTLP (gRPC): in batches, from a bounded queue, in the
//!   background, for ever. Spans are dropped and counted when the collector is away. A tracer that
//!   is off costs nothing.
//! - [`TraceLayer`] makes spans of what happens inside of a [`tracing`] span that names its place
//!   in a trace, such as the attempt of a task.
//!
//! The wire format is written out here, the few messages of it, to keep workers small.

mod clock;
#[cfg(feature = "test-support")]
pub mod collector;
mod export;
mod layer;
mod messages;
mod parent;
mod span;
mod tracer;
mod workflow;

pub use layer::{TraceLayer, current};
pub use parent::{NotATraceParent, SpanId, TRACEPARENT, TraceId, TraceParent};
pub use span::{Event, Kind, Span, Value};
pub use tracer::{OpenSpan, OtlpSettings, Tracer};
pub use workflow::{WorkflowSpans, WorkflowTrace};

use thiserror::Error as ThisError;

/// What can go wrong with an export.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The address cannot be one of a collector.
    #[error(
        "telemetry.otlp_url is not the address of a collector ({reason}): write \
         http://host:port, where it takes OTLP over gRPC"
    )]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// The collector did not take a batch.
    #[error("the collector did not take spans: {0}")]
    Refused(String),
}
