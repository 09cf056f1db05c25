//! What the gateway itself answers instead of a service, with reasons that stay stable.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::access::Denied;

const DOMAIN: &str = "planaria.dev";
/// When it makes sense to try again where too much is under way.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call was not answered by the service that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No public service or method has this path.
    UnknownMethod { path: String },
    /// The service cannot be reached, or its connection broke before it answered.
    UpstreamUnavailable { service: &'static str, why: String },
    /// The service reset the stream.
    UpstreamReset { service: &'static str, reason: h2::Reason },
    /// A message of the request is longer than the limit.
    MessageTooLarge { bytes: u64, bytes_max: u32 },
    /// The request did not arrive in time.
    TooSlow { ms_max: u64 },
    /// Too much is under way, here or at the service.
    Overloaded { what: &'static str, max: usize },
    /// The caller may not come in.
    Denied(Denied),
    /// This gateway stops.
    Draining,
    /// The request's body ended in an error: its sender is gone.
    ClientGone,
    /// A gRPC-Web request's body is not what its content type says.
    Malformed { why: &'static str },
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// From what HTTP/2 said about a call to `service`.
    pub(crate) fn from_upstream(service: &'static str, error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::UpstreamReset { service, reason },
            _ => Self::UpstreamUnavailable { service, why: error.to_string() },
        }
    }

    /// A stable word for metrics and clients.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::UnknownMethod { .. } => "UNKNOWN_METHOD",
            Self::UpstreamUnavailable { .. } => "UPSTREAM_UNAVAILABLE",
            Self::UpstreamReset { .. } => "UPSTREAM_RESET",
            Self::MessageTooLarge { .. } => "MESSAGE_TOO_LARGE",
            Self::TooSlow { .. } => "REQUEST_TOO_SLOW",
            Self::Overloaded { .. } => "GATEWAY_OVERLOADED",
            Self::Denied(denied) => denied.reason(),
            Self::Draining => "GATEWAY_DRAINING",
            Self::ClientGone => "CLIENT_GONE",
            Self::Malformed { .. } => "REQUEST_MALFORMED",
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::UnknownMethod { .. } => Code::Unimplemented,
            Self::UpstreamUnavailable { .. } | Self::Draining => Code::Unavailable,
            Self::UpstreamReset { reason, .. } => match *reason {
                h2::Reason::REFUSED_STREAM => Code::Unavailable,
                h2::Reason::CANCEL | h2::Reason::NO_ERROR => Code::Cancelled,
                h2::Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
                _ => Code::Internal,
            },
            Self::Denied(denied) => denied.status(DOMAIN).code(),
            Self::MessageTooLarge { .. } | Self::Overloaded { .. } => Code::ResourceExhausted,
            Self::TooSlow { .. } => Code::DeadlineExceeded,
            Self::ClientGone => Code::Cancelled,
            Self::Malformed { .. } => Code::InvalidArgument,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::UnknownMethod { path } => format!("no public method {path}"),
            Self::UpstreamUnavailable { service, why } => {
                format!("service {service} is not available: {why}")
            }
            Self::UpstreamReset { service, reason } => {
                format!("service {service} reset the stream: {reason}")
            }
            Self::MessageTooLarge { bytes, bytes_max } => {
                format!("a message of {bytes} bytes is longer than the limit of {bytes_max}")
            }
            Self::TooSlow { ms_max } => format!("the request did not arrive within {ms_max} ms"),
            Self::Overloaded { what, max } => format!("too many {what}: the limit is {max}"),
            Self::Denied(denied) => denied.to_string(),
            Self::Draining => "this gateway stops; connect again".into(),
            Self::ClientGone => "the request was not sent to its end".into(),
            Self::Malformed { why } => (*why).into(),
        }
    }

    /// Whether it is about what is under way just now, so that the same call may pass later.
    fn passes(&self) -> bool {
        match self {
            Self::Overloaded { .. } => true,
            Self::UpstreamReset { reason, .. } => *reason == h2::Reason::ENHANCE_YOUR_CALM,
            _ => false,
        }
    }

    pub(crate) fn status(&self) -> Status {
        if let Self::Denied(denied) = self {
            return denied.status(DOMAIN);
        }
        let mut metadata = HashMap::new();
        match self {
            Self::UpstreamUnavailable { service, .. } | Self::UpstreamReset { service, .. } => {
                metadata.insert("service".to_owned(), (*service).to_owned());
            }
            Self::MessageTooLarge { bytes, bytes_max } => {
                metadata.insert("bytes".to_owned(), bytes.to_string());
                metadata.insert("bytes_max".to_owned(), bytes_max.to_string());
            }
            Self::Overloaded { what, max } => {
                metadata.insert("what".to_owned(), (*what).to_owned());
                metadata.insert("max".to_owned(), max.to_string());
            }
            _ => {}
        }
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, metadata);
        if self.passes() {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        Status::with_error_details(self.code(), self.message(), details)
    }

    /// The end of an answer whose head is already sent.
    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        if self.status().add_header(&mut trailers).is_err() {
            // Only a message that is no header value could fail, and it is percent-encoded.
            tracing::error!(refusal = ?self, "the status could not be written");
        }
        trailers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_says_when_to_try_again_and_what_does_not_says_nothing() {
        let reset = |reason| Refusal::UpstreamReset { service: "monitoring", reason };
        let too_fast = Denied::TooFast { retry_after: Duration::from_millis(20) };
        for (refusal, code, retry_after) in [
            (Refusal::Overloaded { what: "calls", max: 1 }, Code::ResourceExhausted, Some(1_000)),
            (reset(h2::Reason::ENHANCE_YOUR_CALM), Code::ResourceExhausted, Some(1_000)),
            (Refusal::Denied(too_fast), Code::ResourceExhausted, Some(20)),
            (Refusal::MessageTooLarge { bytes: 9, bytes_max: 8 }, Code::ResourceExhausted, None),
            (reset(h2::Reason::REFUSED_STREAM), Code::Unavailable, None),
            (Refusal::TooSlow { ms_max: 1 }, Code::DeadlineExceeded, None),
            (Refusal::Draining, Code::Unavailable, None),
            (Refusal::UnknownMethod { path: "/a/b".into() }, Code::Unimplemented, None),
        ] {
            let status = refusal.status();
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let expected = retry_after.map(Duration::from_millis);
            assert_eq!((status.code(), said), (code, expected), "{refusal:?}");
        }
    }
}
