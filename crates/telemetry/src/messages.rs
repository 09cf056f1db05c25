//! The messages of OTLP that traces need (opentelemetry-proto 1.x, package
//! `opentelemetry.proto.collector.trace.v1` and those it names).

use crate::{Kind, Span, Value, span};

/// The span's trace flag of those that are recorded.
const SAMPLED: u32 = 1;
/// `Status.code` of what did not end well.
const ERROR: i32 = 2;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportTraceServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) partial_success: Option<ExportTracePartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportTracePartialSuccess {
    #[prost(int64, tag = "1")]
    pub(crate) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(crate) error_message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct InstrumentationScope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<WireEvent>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<WireLink>,
    #[prost(message, optional, tag = "15")]
    status: Option<WireStatus>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireEvent {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireLink {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireStatus {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyValue {
    #[prost(oneof = "WireValue", tags = "1, 2, 3, 4")]
    value: Option<WireValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum WireValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Truth(bool),
    #[prost(int64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
}

impl ResourceSpans {
    /// The spans of one service.
    pub(crate) fn of(service: &str, spans: impl IntoIterator<Item = Span>) -> Self {
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let spans = spans.into_iter().map(WireSpan::from).collect();
        let service = key_value("service.name", Value::Text(service.to_owned().into()));
        Self {
            resource: Some(Resource { attributes: vec![service] }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
        }
    }
}

impl From<Span> for WireSpan {
    fn from(span: Span) -> Self {
        let trace_id = span.place.trace.to_bytes().to_vec();
        let link = |linked: &crate::SpanId| WireLink {
            trace_id: trace_id.clone(),
            span_id: linked.to_bytes().to_vec(),
        };
        Self {
            span_id: span.place.span.to_bytes().to_vec(),
            parent_span_id: span.parent.map_or_else(Vec::new, |id| id.to_bytes().to_vec()),
            name: span.name.into_owned(),
            kind: match span.kind {
                Kind::Internal => 1,
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: span.start_ns,
            end_time_unix_nano: span.end_ns,
            attributes: attributes(span.attributes),
            events: span.events.into_iter().map(event).collect(),
            links: span.links.iter().map(link).collect(),
            status: span.error.map(|message| WireStatus { message, code: ERROR }),
            flags: SAMPLED,
            trace_id,
        }
    }
}

fn event(event: span::Event) -> WireEvent {
    WireEvent {
        time_unix_nano: event.at_ns,
        name: event.name.into_owned(),
        attributes: attributes(event.attributes),
    }
}

fn attributes(attributes: Vec<(std::borrow::Cow<'static, str>, Value)>) -> Vec<KeyValue> {
    attributes.into_iter().map(|(key, value)| key_value(&key, value)).collect()
}

fn key_value(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => WireValue::Text(text.into_owned()),
        Value::Integer(number) => WireValue::Integer(number),
        Value::Float(number) => WireValue::Float(number),
        Value::Truth(truth) => WireValue::Truth(truth),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
