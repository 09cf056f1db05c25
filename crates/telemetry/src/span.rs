//! What took time.

use std::borrow::Cow;

use crate::{SpanId, TraceParent};

/// A span that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its trace and its own id.
    pub place: TraceParent,
    /// The span that it is a part of; none: it is the root of its trace.
    pub parent: Option<SpanId>,
    /// What happened, in few words that many spans share.
    pub name: Cow<'static, str>,
    /// Which side of a call it is, if any.
    pub kind: Kind,
    /// Unix nanoseconds.
    pub start_ns: u64,
    /// Unix nanoseconds.
    pub end_ns: u64,
    /// What is known about it.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
    /// Spans of the same trace that it follows from.
    pub links: Vec<SpanId>,
    /// What happened meanwhile.
    pub events: Vec<Event>,
    /// Why it did not end well.
    pub error: Option<String>,
}

impl Span {
    /// A span without details.
    #[must_use]
    pub fn new(
        place: TraceParent,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        (start_ns, end_ns): (u64, u64),
    ) -> Self {
        Self {
            place,
            parent,
            name: name.into(),
            kind: Kind::Internal,
            start_ns,
            // Clocks differ between machines.
            end_ns: end_ns.max(start_ns),
            attributes: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            error: None,
        }
    }

    /// With another attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// None.
    Internal,
    /// It answers.
    Server,
    /// It asks.
    Client,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What.
    pub name: Cow<'static, str>,
    /// Unix nanoseconds.
    pub at_ns: u64,
    /// What is known about it.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Yes or no.
    Truth(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}
