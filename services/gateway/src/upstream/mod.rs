//! The way to the services: which addresses there are, and which connection a call takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use planaria_runtime::Directory;
use tokio::time::Instant;

use crate::client::{Client, places};
use crate::refusal::Refusal;
use crate::routes::{Method, PUBLIC};
use crate::{NAME, UpstreamLimits};

mod connection;
mod dialer;
mod lane;
mod socket;

pub(crate) use connection::{Call, Place};
pub(crate) use dialer::Dialer;
pub(crate) use lane::Lane;

/// At most so many addresses are tried for one call.
const TRIES_MAX: usize = 3;

/// Every service, its addresses and the connections that unary calls share.
#[derive(Debug)]
pub(crate) struct Upstreams {
    directory: Directory,
    limits: UpstreamLimits,
    born: Instant,
    services: Vec<Service>,
    unary: Dialer,
    streams: Dialer,
}

#[derive(Debug)]
struct Service {
    name: &'static str,
    replicas: RwLock<Arc<[Arc<Replica>]>>,
    /// Age of the list, in milliseconds of the gateway's life.
    refreshed_ms: AtomicU64,
}

/// One address of a service.
#[derive(Debug)]
pub(crate) struct Replica {
    address: SocketAddr,
    unary: Box<[Lane]>,
    next: AtomicUsize,
    /// It could not be reached, or could not answer: others come first until then.
    passed_over_until_ms: AtomicU64,
}

impl Upstreams {
    pub(crate) fn new(directory: Directory, limits: UpstreamLimits) -> Self {
        let mut services: Vec<Service> = Vec::new();
        for (_, name) in PUBLIC {
            // Its own it answers itself.
            if name != NAME && !services.iter().any(|service| service.name == name) {
                services.push(Service::new(name));
            }
        }
        let (unary, streams) = (Dialer::for_unary(&limits), Dialer::for_streams(&limits));
        Self { directory, limits, born: Instant::now(), services, unary, streams }
    }

    /// Drops the connections of all streams whole: no stream is reset, so that nobody takes the
    /// end of this gateway for the end of its clients. No new ones come to be.
    pub(crate) fn cut_streams(&self) {
        self.streams.cut();
    }

    /// Drops every connection whole.
    pub(crate) fn cut(&self) {
        self.streams.cut();
        self.unary.cut();
    }

    /// A place for one call, and whose it is: on a shared connection, or for a stream on the
    /// client's own.
    ///
    /// # Errors
    /// No address can be reached, or the connection carries all it may.
    pub(crate) async fn open(
        &self,
        method: &Method,
        client: &Client,
        preferred: Option<&str>,
    ) -> Result<(Call, Arc<Replica>), Refusal> {
        let Some(service) = self.services.iter().find(|s| s.name == method.service) else {
            return Err(unavailable(method.service, "it is not routed"));
        };
        let replicas = self.replicas(service).await;
        let mut why = "no address of it is known".to_owned();
        let now_ms = self.age_ms();
        for replica in in_turn(&replicas, &method.next, preferred, now_ms).take(TRIES_MAX) {
            let opened = if method.streaming {
                client.lane(replica.address).open(&self.streams, method).await
            } else {
                replica.lane().open(&self.unary, method).await
            };
            match opened {
                Ok(Some(call)) => return Ok((call, Arc::clone(replica))),
                Ok(None) => {
                    let max = places(self.limits.streams_max, method.is_workers);
                    return Err(Refusal::Overloaded { what: "calls to the service", max });
                }
                Err(_) if self.is_cut(method.streaming) => return Err(Refusal::Draining),
                Err(error) => {
                    self.pass_over(replica);
                    why = error.to_string();
                }
            }
        }
        Err(unavailable(service.name, &why))
    }

    /// Others come before it for a while.
    pub(crate) fn pass_over(&self, replica: &Replica) {
        let until_ms = self.age_ms().saturating_add(self.limits.pass_over_ms);
        replica.passed_over_until_ms.store(until_ms, Ordering::Relaxed);
    }

    /// Whether streams, or unary calls, are at their end because the gateway stops.
    pub(crate) fn is_cut(&self, streaming: bool) -> bool {
        if streaming { self.streams.is_cut() } else { self.unary.is_cut() }
    }

    async fn replicas(&self, service: &Service) -> Arc<[Arc<Replica>]> {
        let age_ms = self.age_ms();
        let known = service.known();
        let refreshed_ms = service.refreshed_ms.load(Ordering::Relaxed);
        let old = age_ms.saturating_sub(refreshed_ms) >= self.limits.directory_refresh_ms;
        if !old && !known.is_empty() {
            return known;
        }
        service.refreshed_ms.store(age_ms, Ordering::Relaxed);
        let mut found: Vec<Arc<Replica>> = Vec::new();
        for replica in self.directory.replicas(service.name).await {
            let Some(address) = address_of(&replica.uri) else { continue };
            let kept = known.iter().find(|replica| replica.address == address).cloned();
            found.push(kept.unwrap_or_else(|| self.replica(address)));
        }
        service.learn(found)
    }

    fn replica(&self, address: SocketAddr) -> Arc<Replica> {
        let unary = (0..self.limits.unary_connections).map(|_| Lane::new(address)).collect();
        let (next, passed_over_until_ms) = (AtomicUsize::new(0), AtomicU64::new(0));
        Arc::new(Replica { address, unary, next, passed_over_until_ms })
    }

    /// Milliseconds since the start.
    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Service {
    fn new(name: &'static str) -> Self {
        Self { name, replicas: RwLock::default(), refreshed_ms: AtomicU64::new(0) }
    }

    fn known(&self) -> Arc<[Arc<Replica>]> {
        Arc::clone(&self.replicas.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, found: Vec<Arc<Replica>>) -> Arc<[Arc<Replica>]> {
        let found: Arc<[Arc<Replica>]> = found.into();
        *self.replicas.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
        found
    }
}

impl Replica {
    /// The next of the shared connections in turn.
    fn lane(&self) -> &Lane {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.unary[turn % self.unary.len()]
    }

    /// Whether others come before it: it could not be reached or could not answer a moment ago,
    /// or is silent.
    fn is_passed_over(&self, now_ms: u64) -> bool {
        self.passed_over_until_ms.load(Ordering::Relaxed) > now_ms
            || self.unary.iter().any(Lane::is_silent)
    }
}

/// The replicas in the order in which to try them: the preferred one, then from the next in
/// turn those that could be reached, then the others.
fn in_turn<'a>(
    replicas: &'a [Arc<Replica>],
    next: &AtomicUsize,
    preferred: Option<&str>,
    now_ms: u64,
) -> impl Iterator<Item = &'a Arc<Replica>> + use<'a> {
    let preferred = preferred
        .and_then(address_of)
        .and_then(|address| replicas.iter().position(|replica| replica.address == address));
    let first = match preferred {
        Some(position) => position,
        None if replicas.len() < 2 => 0,
        None => {
            let turn = next.fetch_add(1, Ordering::Relaxed) % replicas.len();
            let around = (0..replicas.len()).map(|step| (turn + step) % replicas.len());
            around.clone().find(|at| !replicas[*at].is_passed_over(now_ms)).unwrap_or(turn)
        }
    };
    let around = (1..replicas.len()).map(|step| (first + step) % replicas.len());
    let (last, then): (Vec<usize>, Vec<usize>) =
        around.partition(|at| replicas[*at].is_passed_over(now_ms));
    let order = replicas.get(first).map(|_| first).into_iter().chain(then).chain(last);
    order.map(move |at| &replicas[at])
}

fn unavailable(service: &'static str, why: &str) -> Refusal {
    Refusal::UpstreamUnavailable { service, why: why.to_owned() }
}

/// From `http://address:port` or `address:port`.
fn address_of(uri: &str) -> Option<SocketAddr> {
    uri.strip_prefix("http://").unwrap_or(uri).trim_end_matches('/').parse().ok()
}
