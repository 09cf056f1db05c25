//! What happens to every request before its handler: the peer's address is attached, the
//! caller proves who it is, the deadline starts to run, and the call is counted.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;
use tower::Service;

use crate::calls::Calls;
use crate::identity::Guard;

type Answer = Result<Response<Body>, Infallible>;
type Later = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The routes of a service as one connection sees them.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    pub(crate) routes: Routes,
    pub(crate) guard: Guard,
    pub(crate) calls: Calls,
    pub(crate) peer: TcpConnectInfo,
    pub(crate) request_max: Option<Duration>,
}

impl Service<Request<Incoming>> for Inbound {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Later;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Incoming>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path();
        if let Err(refused) = self.guard.admit(path, &head.headers, &mut head.extensions) {
            return Box::pin(ready(Ok(refused.status().into_http())));
        }
        let call = self.calls.begin(path);
        let mut request = Request::from_parts(head, body);
        let stated = stated_timeout(request.headers());
        let timeout = [stated, self.request_max].into_iter().flatten().min();
        request.extensions_mut().insert(self.peer.clone());
        let answer = self.routes.call(request);
        Box::pin(async move {
            let answer = match timeout {
                None => answer.await,
                // The head of a stream's answer comes early, so this bounds unary calls only.
                Some(timeout) => tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
                    Ok(Status::deadline_exceeded("the deadline of the call passed").into_http())
                }),
            };
            answer.map(|answer| call.answered(answer))
        })
    }
}

/// The header `grpc-timeout`: up to eight digits and a unit. What is not valid is not there.
fn stated_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 60 * 60)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                text.parse().unwrap(),
            )]);
            stated_timeout(&headers)
        };
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for text in ["", "m", "1", "-1S", "+1S", "1x", "123456789S"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
