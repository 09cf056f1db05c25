//! One HTTP/2 connection to a service, and a call's place on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, request};
use tokio::sync::Notify;

use crate::client::places;
use crate::routes::Method;

/// A connection that takes no calls any more: it is lost, or its service drains.
pub(crate) struct Over;

#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    authority: Option<Authority>,
    open: AtomicUsize,
    open_max: usize,
    pulse: Arc<Pulse>,
}

/// Whether somebody answers at the far end.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    called: Notify,
    silent: AtomicBool,
}

impl Pulse {
    /// Returns when a call begins, or one has begun since.
    pub(crate) async fn called(&self) {
        self.called.notified().await;
    }

    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

impl Connection {
    pub(crate) fn new(sender: SendRequest<Bytes>, address: SocketAddr, open_max: usize) -> Self {
        let authority = Authority::try_from(address.to_string()).ok();
        let (open, pulse) = (AtomicUsize::new(0), Arc::default());
        Self { sender, authority, open, open_max, pulse }
    }

    pub(crate) const fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Whether a probe has been waiting for its answer for long.
    pub(crate) fn is_silent(&self) -> bool {
        self.pulse.silent.load(Ordering::Relaxed)
    }

    /// A place for one call; nothing if all are taken.
    pub(crate) fn open(self: &Arc<Self>, method: &Method) -> Result<Option<Call>, Over> {
        let mut sender = self.sender.clone();
        // A fresh handle waits for nothing; it fails if the connection is lost or the service has
        // said goodbye.
        let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Err(_)) = ready {
            return Err(Over);
        }
        if self.open.fetch_add(1, Ordering::Relaxed) >= places(self.open_max, method.is_workers) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Ok(None);
        }
        self.pulse.called.notify_one();
        Ok(Some(Call { sender, place: Place(Arc::clone(self)), service: method.service }))
    }
}

/// A call's right to a stream of its connection.
#[derive(Debug)]
pub(crate) struct Call {
    sender: SendRequest<Bytes>,
    place: Place,
    /// Whom it calls.
    pub(crate) service: &'static str,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Connection>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Call {
    /// Sends the head of a request.
    ///
    /// # Errors
    /// The connection ended meanwhile; nothing was sent.
    pub(crate) fn send(
        mut self,
        parts: request::Parts,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>, Place), h2::Error> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method;
        *request.uri_mut() = self.uri(parts.uri);
        *request.headers_mut() = parts.headers;
        let (head, body) = self.sender.send_request(request, end)?;
        Ok((head, body, self.place))
    }

    /// The client's path at the service's address.
    fn uri(&self, uri: Uri) -> Uri {
        let mut parts = uri.into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority.clone_from(&self.place.0.authority);
        if parts.path_and_query.is_none() {
            parts.path_and_query = Some(PathAndQuery::from_static("/"));
        }
        // All three parts are there, which is all that could be missing.
        Uri::from_parts(parts).unwrap_or_default()
    }
}
