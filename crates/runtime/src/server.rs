//! Serves one service on one listener until it is told to stop, then drains it.
//!
//! Hyper is used directly, because tonic's server cannot cut the streams that are still open at
//! the end of the drain, and leaves some limits of HTTP/2 to the library.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpConnectInfo;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::calls::Calls;
use crate::identity::Guard;
use crate::inbound::Inbound;
use crate::wire::Wire;
use crate::{BackgroundTask, Error, Health, ServerLimits, Service, admin};

/// After a failed accept, typically for want of file descriptors: some may be free again.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is cancelled, then: not ready any more, no new connections, the open ones
/// and the background tasks may end until `drain_ms` have passed, what is left is cut. Dropping
/// the future cuts at once, as a crash would.
///
/// # Errors
/// A background task ended or panicked before the stop; the service is drained (and `stop`
/// cancelled) before the error is returned. Or the listener's address cannot be read.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    admin: Option<TcpListener>,
    limits: ServerLimits,
    stop: CancellationToken,
) -> Result<(), Error> {
    let Service { name, routes, tasks, metrics, health, secret } = service;
    let guard = Guard::new(name, secret, &metrics);
    let calls = Calls::new(&metrics);
    let address = listener
        .local_addr()
        .map_err(|source| Error::Io { what: "reading the listener's address", source })?;
    let (reporter, health_service) = tonic_health::server::health_reporter();
    report(&reporter, name, health.ready()).await;

    let mut helpers = JoinSet::new();
    helpers.spawn(follow(reporter.clone(), name, health.clone()));
    if let Some(admin) = admin {
        helpers.spawn(admin::serve(admin, vec![(metrics, health.clone())]));
    }
    let mut background = JoinSet::new();
    for task in tasks {
        background.spawn(supervised(task));
    }

    let routes = routes.add_service(health_service).prepare();
    let mut connections = Connections::new(routes, (guard, calls), limits);
    tracing::info!(service = name, %address, "serving");
    let mut outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = background.join_next() => unless_stopping(name, ended, &stop),
        () = connections.accept(&listener) => Ok(()),
    };

    drop(listener);
    stop.cancel();
    health.drain();
    report(&reporter, name, false).await;
    let drain = Duration::from_millis(connections.limits.drain_ms);
    let drained = tokio::time::timeout(drain, async {
        connections.close().await;
        while let Some(ended) = background.join_next().await {
            let ended = unless_stopping(name, ended, &stop);
            outcome = std::mem::replace(&mut outcome, Ok(())).and(ended);
        }
    });
    if drained.await.is_ok() {
        tracing::info!(service = name, "drained");
    } else {
        tracing::warn!(service = name, ?drain, "not drained in time, cutting what is left");
    }
    outcome
}

type Ended = Result<(&'static str, Result<(), String>), tokio::task::JoinError>;

async fn supervised(task: BackgroundTask) -> (&'static str, Result<(), String>) {
    let result = AssertUnwindSafe(task.run).catch_unwind().await;
    let result = result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "no message".into())
    });
    (task.name, result)
}

/// A panic is an error at any time, a return only before the stop.
fn unless_stopping(
    service: &'static str,
    ended: Ended,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let (task, how) = match ended {
        Ok((_, Ok(()))) if stop.is_cancelled() => return Ok(()),
        Ok((task, Ok(()))) => (task, "ended before the stop".to_owned()),
        Ok((task, Err(text))) => (task, format!("panicked: {text}")),
        Err(error) => ("unknown", error.to_string()),
    };
    tracing::error!(service, task, how, "background task lost");
    Err(Error::TaskEnded { service, task, how })
}

/// Tells the health service what [`Health`] says, for as long as it runs.
async fn follow(reporter: HealthReporter, name: &'static str, health: Health) {
    loop {
        let ready = health.ready();
        report(&reporter, name, ready).await;
        health.wait(!ready).await;
    }
}

async fn report(reporter: &HealthReporter, name: &'static str, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    // The empty name is the whole server.
    reporter.set_service_status("", status).await;
    reporter.set_service_status(name, status).await;
}

/// The open connections of a listener. Dropping it cuts them, with all their streams.
struct Connections {
    routes: tonic::service::Routes,
    guard: Guard,
    calls: Calls,
    limits: ServerLimits,
    open: JoinSet<()>,
    /// Cancelled when connections should end by themselves.
    close: CancellationToken,
    /// Cancelled when everything must end.
    cut: CancellationToken,
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

impl Connections {
    fn new(
        routes: tonic::service::Routes,
        (guard, calls): (Guard, Calls),
        limits: ServerLimits,
    ) -> Self {
        let (close, cut) = (CancellationToken::new(), CancellationToken::new());
        Self { routes, guard, calls, limits, open: JoinSet::new(), close, cut }
    }

    /// Accepts for ever.
    async fn accept(&mut self, listener: &TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = self.open.join_next() => continue,
            };
            match accepted {
                Ok((_, peer)) if self.open.len() >= self.limits.connections_max => {
                    tracing::warn!(%peer, "connection refused: too many are open");
                }
                Ok((stream, _)) => self.spawn(stream),
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(&mut self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection is already gone");
            return;
        }
        let peer = TcpConnectInfo {
            local_addr: stream.local_addr().ok(),
            remote_addr: stream.peer_addr().ok(),
        };
        let request_max = Some(self.limits.request_ms_max).filter(|ms| *ms > 0);
        let request_max = request_max.map(Duration::from_millis);
        let Self { routes, guard, calls, .. } = self;
        let (routes, guard, calls) = (routes.clone(), guard.clone(), calls.clone());
        let inbound = Inbound { routes, guard, calls, peer, request_max };
        let builder = http(&self.limits, Streams { cut: self.cut.child_token() });
        let wire = self.limits.wire();
        let first_byte_max = Duration::from_millis(wire.first_byte_ms_max);
        let close = self.close.clone();
        self.open.spawn(async move {
            let opened = tokio::select! {
                opened = tokio::time::timeout(first_byte_max, stream.readable()) => opened,
                () = close.cancelled() => return,
            };
            if let Ok(Ok(())) = opened {
                converse(builder, Wire::new(stream, wire), inbound, close).await;
            }
        });
    }

    /// Asks every connection to end and waits until all did. The routes go with them, so that
    /// background tasks fed by handlers see the end of their input.
    async fn close(mut self) {
        self.close.cancel();
        while self.open.join_next().await.is_some() {}
    }
}

/// A connection from its first byte to its end.
async fn converse(
    builder: auto::Builder<Streams>,
    wire: Wire,
    inbound: Inbound,
    close: CancellationToken,
) {
    let service = TowerToHyperService::new(inbound);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(wire), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = close.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error, "connection ended");
    }
}

/// Runs the streams of a connection, so that they can be cut.
#[derive(Debug, Clone)]
struct Streams {
    cut: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(self.cut.clone().run_until_cancelled_owned(stream));
    }
}

fn http(limits: &ServerLimits, streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.http1_header_ms_max))
        .max_buf_size(usize::try_from(limits.header_bytes_max).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.pending_reset_streams_max)
        .max_local_error_reset_streams(limits.local_error_reset_streams_max)
        .max_header_list_size(limits.header_bytes_max)
        .max_frame_size(limits.frame_bytes_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_send_buf_size(limits.send_buffer_bytes_max)
        .keep_alive_interval(Duration::from_millis(limits.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms));
    if limits.http1 { builder } else { builder.http2_only() }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
