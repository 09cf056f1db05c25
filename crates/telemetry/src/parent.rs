//! A place in a trace.

use std::fmt;
use std::str::FromStr;

/// The header, or gRPC metadata, that carries a [`TraceParent`].
pub const TRACEPARENT: &str = "traceparent";

/// The id of a trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

/// The id of a span in its trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

/// A span of a trace, as its children elsewhere know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether anybody records the trace.
    pub sampled: bool,
}

/// The text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATraceParent;

impl TraceId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::u128(1..))
    }

    /// The trace with this number.
    #[must_use]
    pub const fn new(number: u128) -> Self {
        Self(if number == 0 { 1 } else { number })
    }

    /// As it goes over the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Whether a share of all traces has this one in it; everybody answers the same. 1 = all.
    #[must_use]
    pub fn is_in(self, ratio: f64) -> bool {
        // The upper half of an id may be a time; the lower is random.
        let drawn = (self.0 as u64 >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < ratio
    }
}

impl SpanId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(fastrand::u64(1..))
    }

    /// The span with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(if number == 0 { 1 } else { number })
    }

    /// As it goes over the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl TraceParent {
    /// The first span of a new trace.
    #[must_use]
    pub fn root(sampled: bool) -> Self {
        Self { trace: TraceId::random(), span: SpanId::random(), sampled }
    }

    /// Another span of the same trace.
    #[must_use]
    pub const fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// The place that headers name.
    #[must_use]
    pub fn of(headers: &http::HeaderMap) -> Option<Self> {
        headers.get(TRACEPARENT)?.to_str().ok()?.parse().ok()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(formatter, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    /// Later versions of the header begin as the first does, and are read as such.
    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let mut parts = text.split('-');
        let mut part = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length).ok_or(NotATraceParent)?;
            let digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
            if part.bytes().all(digit) { Ok(part) } else { Err(NotATraceParent) }
        };
        let version = part(2)?;
        let trace: TraceId = part(32)?.parse()?;
        let span: SpanId = part(16)?.parse()?;
        let flags = u8::from_str_radix(part(2)?, 16).map_err(|_| NotATraceParent)?;
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(NotATraceParent);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

/// Ids are hexadecimal digits of a fixed number, and not zero.
macro_rules! hexadecimal {
    ($($id:ident: $number:ty, $digits:literal;)*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!("{:0", $digits, "x}"), self.0)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{self}")
            }
        }

        impl FromStr for $id {
            type Err = NotATraceParent;

            fn from_str(text: &str) -> Result<Self, NotATraceParent> {
                let number = <$number>::from_str_radix(text, 16).map_err(|_| NotATraceParent)?;
                if number == 0 { Err(NotATraceParent) } else { Ok(Self(number)) }
            }
        }
    )*};
}

hexadecimal! {
    TraceId: u128, "32";
    SpanId: u64, "16";
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_parent_is_read_and_written_as_the_recommendation_says() {
        let parent: TraceParent = TEXT.parse().unwrap();
        assert_eq!(parent.to_string(), TEXT);
        assert!(parent.sampled);
        let unsampled = TEXT.replace("-01", "-00").parse::<TraceParent>().unwrap();
        assert!(!unsampled.sampled);
        // Other flags, and what later versions add, are ignored.
        for later in [TEXT.replace("-01", "-03"), format!("cc{}-what", &TEXT[2..])] {
            assert_eq!(later.parse(), Ok(parent), "{later}");
        }
    }

    #[test]
    fn what_is_no_parent_is_refused() {
        for text in [
            "",
            "00",
            &TEXT[..54],
            &TEXT.to_uppercase(),
            &format!("{TEXT}-more"),
            &format!("ff{}", &TEXT[2..]),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47+6-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(NotATraceParent), "{text}");
        }
    }

    #[test]
    fn a_share_of_traces_is_that_share() {
        let traces = (0..10_000).map(|_| TraceId::random());
        let within = traces.filter(|trace| trace.is_in(0.1)).count();
        assert!((800..1_200).contains(&within), "{within}");
        assert!(TraceId::random().is_in(1.0) && !TraceId::random().is_in(0.0));
    }
}
