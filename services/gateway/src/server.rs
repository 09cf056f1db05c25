//! The public port: accepts connections, serves them, and drains them at the end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use planaria_runtime::wire::Wire;
use planaria_runtime::{Health, Metrics, admin};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

use crate::client::Client;
use crate::config::ListenerLimits;
use crate::handler::{Gateway, answer, refuse};
use crate::leash;
use crate::local::{follow, report};
use crate::refusal::Refusal;
use crate::streams::Streams;
use crate::{Error, NAME};

/// After a failed accept, typically for want of file descriptors: some may be free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections beyond the limit that are told so; what is more is closed without a word.
const REFUSED_MAX: usize = 64;
/// How long such a connection has to ask and to read its answer.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// A built gateway, not yet served.
#[derive(Debug)]
pub struct Door {
    /// Served at `/metrics` of its admin port.
    pub metrics: Metrics,
    /// Served as `grpc.health.v1`, at `/healthz` and at `/readyz` of its admin port.
    pub health: Health,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) reporter: HealthReporter,
    pub(crate) stop: CancellationToken,
}

impl Door {
    /// Serves until the stop, then: not ready any more, no new connections; the streams to the
    /// services are dropped whole at once, unary calls may end until `drain_ms` have passed, what
    /// is left is cut. Dropping the future cuts at once, as a crash would.
    ///
    /// # Errors
    /// The listener can be reached from other machines although nobody has to authenticate, and
    /// `insecure` is not set.
    pub async fn serve(
        self,
        listener: TcpListener,
        admin: Option<TcpListener>,
    ) -> Result<(), Error> {
        let Self { metrics, health, gateway, reporter, stop } = self;
        let address = listener
            .local_addr()
            .map_err(|source| Error::Io { what: "reading the listener's address", source })?;
        let guarded = gateway.config.authentication || gateway.config.insecure;
        if !address.ip().to_canonical().is_loopback() && !guarded {
            return Err(Error::Insecure { address });
        }
        report(&reporter, health.ready()).await;
        let mut helpers = JoinSet::new();
        helpers.spawn(follow(reporter.clone(), health.clone()));
        if let Some(admin) = admin {
            helpers.spawn(admin::serve(admin, vec![(metrics, health.clone())]));
        }
        let ring = Arc::clone(gateway.access.ring());
        helpers.spawn(async move { ring.run().await });
        let drain = Duration::from_millis(gateway.config.drain_ms);
        let mut connections = Connections::new(gateway);
        tracing::info!(service = NAME, %address, "serving");
        tokio::select! {
            () = stop.cancelled() => {}
            () = connections.accept(&listener) => {}
        }

        drop(listener);
        health.drain();
        report(&reporter, false).await;
        connections.gateway.upstreams.cut_streams();
        if tokio::time::timeout(drain, connections.close()).await.is_ok() {
            tracing::info!(service = NAME, "drained");
        } else {
            tracing::warn!(service = NAME, ?drain, "not drained in time, cutting what is left");
        }
        Ok(())
    }
}

/// The open connections of the listener. Dropping it cuts them, and what they have upstream.
struct Connections {
    gateway: Arc<Gateway>,
    open: JoinSet<()>,
    /// Beyond the limit.
    refused: JoinSet<()>,
    /// Cancelled when connections should end by themselves.
    close: CancellationToken,
}

impl Drop for Connections {
    fn drop(&mut self) {
        // First, so that no service sees the clients' streams reset.
        self.gateway.upstreams.cut();
    }
}

impl Connections {
    fn new(gateway: Arc<Gateway>) -> Self {
        let (open, refused) = (JoinSet::new(), JoinSet::new());
        Self { gateway, open, refused, close: CancellationToken::new() }
    }

    /// Accepts for ever.
    async fn accept(&mut self, listener: &TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = self.open.join_next() => {
                    self.gateway.counters.connections.dec();
                    continue;
                }
                Some(_) = self.refused.join_next() => continue,
            };
            match accepted {
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
        let max = self.gateway.config.listener.connections_max;
        if self.open.len() >= max {
            tracing::warn!(max, "connection refused: too many are open");
            if self.refused.len() < REFUSED_MAX {
                let turned_away = turn_away(Arc::clone(&self.gateway), stream, max);
                self.refused.spawn(turned_away);
            }
            return;
        }
        self.gateway.counters.connections.inc();
        let client = Arc::new(Client::new(Arc::clone(&self.gateway)));
        self.open.spawn(converse(stream, client, self.close.clone()));
    }

    /// Asks every connection to end and waits until all did.
    async fn close(&mut self) {
        self.close.cancel();
        while self.open.join_next().await.is_some() {}
    }
}

/// A connection from its first byte to its end.
async fn converse(stream: TcpStream, client: Arc<Client>, close: CancellationToken) {
    let limits = &client.gateway.config.listener;
    let first_byte_max = Duration::from_millis(limits.first_byte_ms_max);
    let opened = tokio::select! {
        opened = tokio::time::timeout(first_byte_max, stream.readable()) => opened,
        () = close.cancelled() => return,
    };
    if !matches!(opened, Ok(Ok(()))) {
        return;
    }
    let service = {
        let client = Arc::clone(&client);
        service_fn(move |request| answer(Arc::clone(&client), request))
    };
    let unread_max = Duration::from_millis(limits.unread_ms_max);
    let streams = Streams::new(unread_max);
    let http = http(limits, streams.clone());
    let wire = TokioIo::new(Wire::new(stream, limits.wire()));
    let mut connection = pin!(http.serve_connection(wire, service));
    let idle = idle(Arc::clone(&client), Duration::from_millis(limits.idle_ms_max));
    let mut leave = pin!(close.run_until_cancelled(idle));
    let mut leaving = false;
    let driven = streams.drive(poll_fn(|context| {
        if !leaving && leave.as_mut().poll(context).is_ready() {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    }));
    // Calls of HTTP/1.1 are part of their connection, and so are their bodies.
    if let Some(Err(error)) = leash::hold(driven, unread_max).await {
        tracing::debug!(error, "connection ended");
    }
    let linger = Duration::from_millis(client.gateway.config.upstream.linger_ms);
    client.linger(linger);
}

/// Returns when no call was under way for `idle_max`.
async fn idle(client: Arc<Client>, idle_max: Duration) {
    let mut ticks = tokio::time::interval_at(Instant::now() + idle_max, idle_max);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = client.activity();
    loop {
        ticks.tick().await;
        let now = client.activity();
        if now.0 == 0 && now == before {
            return;
        }
        before = now;
    }
}

/// Tells a client that there are too many.
fn turn_away(
    gateway: Arc<Gateway>,
    stream: TcpStream,
    max: usize,
) -> impl Future<Output = ()> + Send + 'static {
    let service = service_fn(move |request| {
        refuse(Refusal::Overloaded { what: "connections", max }, request)
    });
    async move {
        let limits = &gateway.config.listener;
        let streams = Streams::new(REFUSED_FOR);
        let http = http(limits, streams.clone());
        let wire = TokioIo::new(Wire::new(stream, limits.wire()));
        let connection = pin!(http.serve_connection(wire, service));
        if let Ok(Err(error)) = tokio::time::timeout(REFUSED_FOR, streams.drive(connection)).await {
            tracing::debug!(error, "refused connection ended");
        }
    }
}

fn http(limits: &ListenerLimits, streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.http1_header_ms_max))
        .max_buf_size(usize::try_from(limits.header_bytes_max).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
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
    builder
}
