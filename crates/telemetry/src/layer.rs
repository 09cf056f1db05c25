//! Spans of what happens inside of a [`tracing`] span that names its place in a trace.
//!
//! Such a span has the fields `trace_id`, `span_id` and `parent_span_id` (which logs show, too).
//! Those opened inside of it become its children. They leave together when it ends: a process that
//! is killed leaves no span whose parent nobody knows.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event as TracingEvent, Metadata, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::span::Event;
use crate::{Span, SpanId, TraceId, TraceParent, Tracer, Value, clock};

const TRACE: &str = "trace_id";
const SPAN: &str = "span_id";
const PARENT: &str = "parent_span_id";
/// Spans kept until the outermost ends; later ones are dropped.
const SPANS_MAX: usize = 1_000;
/// Events of one span; later ones are dropped.
const EVENTS_MAX: usize = 100;
/// Longest text of an attribute.
const TEXT_BYTES_MAX: usize = 4_096;

/// Tells a [`Tracer`] of spans.
#[derive(Debug, Clone)]
pub struct TraceLayer {
    tracer: Tracer,
}

/// A span that is being recorded.
#[derive(Debug)]
struct Recording {
    span: Span,
    outermost: bool,
    finished: Arc<Mutex<Finished>>,
}

/// What waits for the outermost span.
#[derive(Debug, Default)]
struct Finished {
    spans: Vec<Span>,
    /// The outermost span is over: who ends later goes alone.
    over: bool,
}

impl TraceLayer {
    /// Of a process whose spans go to this tracer.
    #[must_use]
    pub const fn new(tracer: Tracer) -> Self {
        Self { tracer }
    }

    fn finish(&self, recording: Recording) {
        let Recording { mut span, outermost, finished } = recording;
        span.end_ns = clock::now_ns();
        let mut finished = finished.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.over {
            return self.tracer.tell(span);
        }
        if outermost {
            finished.over = true;
            let others = std::mem::take(&mut finished.spans);
            drop(finished);
            others.into_iter().chain([span]).for_each(|span| self.tracer.tell(span));
        } else if finished.spans.len() < SPANS_MAX {
            finished.spans.push(span);
        }
    }
}

/// The place of the innermost recorded span that this code runs in, if its process records.
#[must_use]
pub fn current() -> Option<TraceParent> {
    let current = tracing::Span::current();
    let place = current.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let mut scope = registry.span(id)?.scope();
        scope.find_map(|span| Some(span.extensions().get::<Recording>()?.span.place))
    });
    place.flatten()
}

fn names_its_place(metadata: &Metadata<'_>) -> bool {
    let fields = metadata.fields();
    fields.field(TRACE).is_some() && fields.field(SPAN).is_some()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(new) = context.span(id) else { return };
        let metadata = attributes.metadata();
        let now_ns = clock::now_ns();
        let recording = if names_its_place(metadata) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let Some((place, parent)) = fields.place() else { return };
            let mut span = Span::new(place, parent, metadata.name(), (now_ns, now_ns));
            span.attributes = fields.attributes;
            Recording { span, outermost: true, finished: Arc::default() }
        } else {
            let Some(outer) = new.parent() else { return };
            let extensions = outer.extensions();
            let Some(outer) = extensions.get::<Recording>() else { return };
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            let place = outer.span.place.with_span(SpanId::random());
            let parent = Some(outer.span.place.span);
            let mut span = Span::new(place, parent, metadata.name(), (now_ns, now_ns));
            span.attributes = fields.attributes;
            Recording { span, outermost: false, finished: Arc::clone(&outer.finished) }
        };
        new.extensions_mut().insert(recording);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(recording) = extensions.get_mut::<Recording>() else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        recording.span.attributes.append(&mut fields.attributes);
        recording.span.error = fields.error.or(recording.span.error.take());
    }

    fn on_event(&self, event: &TracingEvent<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        let mut extensions = span.extensions_mut();
        let Some(recording) = extensions.get_mut::<Recording>() else { return };
        if recording.span.events.len() >= EVENTS_MAX {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some(error) = fields.error.take() {
            fields.attributes.push(("error".into(), error.into()));
        }
        let level = event.metadata().level().as_str();
        fields.attributes.push(("level".into(), level.into()));
        let name = fields.message.map_or(Cow::Borrowed(event.metadata().name()), Cow::Owned);
        let at_ns = clock::now_ns();
        recording.span.events.push(Event { name, at_ns, attributes: fields.attributes });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let recording = span.extensions_mut().remove::<Recording>();
        if let Some(recording) = recording {
            self.finish(recording);
        }
    }
}

/// The fields of a span or an event.
#[derive(Default)]
struct Fields {
    attributes: Vec<(Cow<'static, str>, Value)>,
    message: Option<String>,
    error: Option<String>,
    trace: Option<TraceId>,
    span: Option<SpanId>,
    parent: Option<SpanId>,
}

impl Fields {
    fn place(&self) -> Option<(TraceParent, Option<SpanId>)> {
        Some((TraceParent { trace: self.trace?, span: self.span?, sampled: true }, self.parent))
    }

    fn add(&mut self, field: &Field, value: Value) {
        self.attributes.push((field.name().into(), value));
    }

    fn text(&mut self, field: &Field, mut text: String) {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        match field.name() {
            TRACE => self.trace = text.parse().ok(),
            SPAN => self.span = text.parse().ok(),
            PARENT => self.parent = text.parse().ok(),
            "message" => self.message = Some(text),
            "error" => self.error = Some(text),
            _ => self.add(field, text.into()),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}
