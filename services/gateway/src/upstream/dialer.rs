//! Opens upstream connections of one kind and can drop them all at once.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use h2::{Ping, PingPong};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, Pulse};
use super::socket::Socket;
use crate::UpstreamLimits;
use crate::config::WINDOW_BYTES_MAX;

/// Who was called is probed after this, so that a call shows soon that nobody answers.
const CALLED: Duration = Duration::from_millis(250);
/// Who leaves a probe unanswered for so long is silent: stopped, or cut off.
const SILENCE: Duration = Duration::from_millis(500);

/// Why there is no connection; cheap to clone, because many calls may wait for one.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot connect to {address}: {why}")]
    Connect { address: SocketAddr, why: Arc<str> },
    #[error("this gateway stops")]
    Cut,
}

/// What a call waits for while its connection comes to be.
pub(crate) type Dialing = BoxFuture<'static, Result<Arc<Connection>, DialError>>;

#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    limits: Arc<UpstreamLimits>,
    http2: h2::client::Builder,
    cut: Arc<AtomicBool>,
    /// The tasks that drive the connections.
    drivers: Arc<Mutex<JoinSet<()>>>,
}

impl Dialer {
    /// For connections whose flow control lets any number of unread answers wait.
    pub(crate) fn for_unary(limits: &UpstreamLimits) -> Self {
        Self::new(limits, limits.unary_window_bytes, WINDOW_BYTES_MAX)
    }

    /// For connections that belong to one client.
    pub(crate) fn for_streams(limits: &UpstreamLimits) -> Self {
        Self::new(limits, limits.stream_window_bytes, limits.connection_window_bytes)
    }

    fn new(limits: &UpstreamLimits, stream_window: u32, connection_window: u32) -> Self {
        let mut http2 = h2::client::Builder::new();
        http2
            .enable_push(false)
            .initial_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_frame_size(limits.frame_bytes_max)
            .max_header_list_size(limits.header_bytes_max)
            .max_send_buffer_size(limits.send_buffer_bytes_max);
        let drivers = Arc::new(Mutex::new(JoinSet::new()));
        Self { limits: Arc::new(limits.clone()), http2, cut: Arc::default(), drivers }
    }

    /// From here on no byte leaves any connection, and they close.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.drivers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub(crate) fn dial(&self, address: SocketAddr) -> Dialing {
        let dialer = self.clone();
        Box::pin(async move {
            if dialer.is_cut() {
                return Err(DialError::Cut);
            }
            let connect_max = Duration::from_millis(dialer.limits.connect_ms_max);
            let failed = |why: &str| DialError::Connect { address, why: why.into() };
            match timeout(connect_max, dialer.connect(address)).await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(why)) => Err(failed(&why)),
                Err(_) => Err(failed("no answer in time")),
            }
        })
    }

    async fn connect(&self, address: SocketAddr) -> Result<Arc<Connection>, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let socket = Socket::new(stream, Arc::clone(&self.cut));
        let (sender, mut driver) =
            self.http2.handshake::<_, Bytes>(socket).await.map_err(|error| error.to_string())?;
        let mut pings = driver.ping_pong();
        if let Some(pings) = &mut pings {
            // The kernel accepts connections for a process that is stopped: only an answer tells
            // that somebody is there.
            tokio::select! {
                answer = pings.ping(Ping::opaque()) => {
                    answer.map_err(|error| error.to_string())?;
                }
                end = &mut driver => {
                    let why = end.err().map(|error| error.to_string());
                    return Err(why.unwrap_or_else(|| "it ended at once".into()));
                }
            }
        }
        let connection = Arc::new(Connection::new(sender, address, self.limits.streams_max));
        let pulse = Arc::clone(connection.pulse());
        let pings = pings.map(|pings| keep_alive(pings, pulse, &self.limits));
        let mut drivers = self.drivers.lock().unwrap_or_else(PoisonError::into_inner);
        while drivers.try_join_next().is_some() {}
        // The probe stands in a task of its own, so that the driver polls nothing but the
        // connection, and ends with it.
        let driving = drivers.spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%address, %error, "upstream connection ended");
            }
        });
        if let Some(pings) = pings {
            drivers.spawn(async move {
                pings.await;
                // Either it is over already, or nobody answers.
                driving.abort();
            });
        }
        if self.is_cut() {
            drivers.abort_all();
        }
        Ok(connection)
    }
}

/// Returns when a probe stayed unanswered, or when the connection is over. Who is silent is said
/// to be so long before.
fn keep_alive(
    mut pings: PingPong,
    pulse: Arc<Pulse>,
    limits: &UpstreamLimits,
) -> impl Future<Output = ()> + Send + 'static {
    let interval = Duration::from_millis(limits.keepalive_interval_ms);
    let longest = Duration::from_millis(limits.keepalive_timeout_ms);
    async move {
        loop {
            if timeout(interval, pulse.called()).await.is_ok() {
                tokio::time::sleep(CALLED).await;
            }
            let mut answer = pin!(pings.ping(Ping::opaque()));
            let mut answered = timeout(SILENCE.min(longest), &mut answer).await;
            if answered.is_err() {
                pulse.set_silent(true);
                answered = timeout(longest.saturating_sub(SILENCE), answer).await;
                // Where the connection ends now, the next one shows whether somebody is there.
                pulse.set_silent(false);
            }
            if !matches!(answered, Ok(Ok(_))) {
                return;
            }
        }
    }
}
