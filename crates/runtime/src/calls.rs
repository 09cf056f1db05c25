//! Counts calls by method: how many, with which outcome, how long, how many at once.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::metrics::{Counter, Family, Gauge, Histogram, Labels, Metrics};

/// Methods counted by name; the calls of others count as `other`.
const METHODS_MAX: usize = 200;
const OTHER: &str = "other";

/// The calls of a service; cheap to clone.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
}

struct Shared {
    methods: RwLock<HashMap<String, Arc<Method>>>,
    handled: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    open: Family<Labels, Gauge>,
}

struct Method {
    name: String,
    /// By number of the status code, once there was one.
    handled: [OnceLock<Counter>; 17],
    handled_family: Family<Labels, Counter>,
    seconds: Histogram,
    open: Gauge,
}

impl fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Calls {
    /// Counts among these metrics.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let shared = Shared {
            methods: RwLock::default(),
            handled: metrics.counters("rpc_calls", "Calls answered, by method and status code"),
            seconds: metrics.seconds_by("rpc_seconds", "Calls from first to last byte, by method"),
            open: metrics.gauges("rpc_open", "Calls that are not answered yet, by method"),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A call begins.
    #[must_use]
    pub fn begin(&self, path: &str) -> Call {
        let method = self.method(path);
        method.open.inc();
        Call { method, began: Instant::now(), code: Code::Cancelled }
    }

    fn method(&self, path: &str) -> Arc<Method> {
        let methods = self.shared.methods.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(method) = methods.get(path) {
            return Arc::clone(method);
        }
        drop(methods);
        let mut methods = self.shared.methods.write().unwrap_or_else(PoisonError::into_inner);
        let path = if methods.len() < METHODS_MAX { path } else { OTHER };
        let shared = &self.shared;
        Arc::clone(methods.entry(path.to_owned()).or_insert_with(|| shared.new_method(path)))
    }
}

impl Shared {
    fn new_method(&self, path: &str) -> Arc<Method> {
        let name = path.trim_start_matches('/').to_owned();
        let labels = vec![("method", name.clone())];
        Arc::new(Method {
            name,
            handled: Default::default(),
            handled_family: self.handled.clone(),
            seconds: self.seconds.get_or_create_owned(&labels),
            open: self.open.get_or_create_owned(&labels),
        })
    }
}

impl Method {
    fn ended(&self, code: Code) {
        let Some(counter) = self.handled.get(code as usize) else { return };
        let new = || {
            let labels = vec![("method", self.name.clone()), ("code", format!("{code:?}"))];
            self.handled_family.get_or_create_owned(&labels)
        };
        counter.get_or_init(new).inc();
    }
}

/// A call until its last byte left; one that is dropped before was given up by its caller.
pub struct Call {
    method: Arc<Method>,
    began: Instant,
    code: Code,
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Call").field("method", &self.method.name).finish_non_exhaustive()
    }
}

impl Call {
    /// Takes the outcome from headers or trailers, if they have it.
    pub fn note(&mut self, headers: &HeaderMap) -> Option<Code> {
        let code = Status::from_header_map(headers)?.code();
        self.code = code;
        Some(code)
    }

    /// The outcome, unless another one follows.
    pub const fn set(&mut self, code: Code) {
        self.code = code;
    }

    /// Counts the outcome when the answer is over.
    pub(crate) fn answered(mut self, response: Response<Body>) -> Response<Body> {
        if self.note(response.headers()).is_some() {
            // Nothing but a status.
            return response;
        }
        response.map(|body| Body::new(Answer { body, call: Some(self) }))
    }

    fn ended(mut self, trailers: Option<&HeaderMap>) {
        if trailers.and_then(|trailers| self.note(trailers)).is_none() {
            self.code = Code::Unknown;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.method.open.dec();
        self.method.seconds.observe(self.began.elapsed().as_secs_f64());
        self.method.ended(self.code);
    }
}

/// The body of an answer, watched for its end.
struct Answer {
    body: Body,
    call: Option<Call>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let over = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if over && let Some(call) = self.call.take() {
            let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.trailers_ref());
            call.ended(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
