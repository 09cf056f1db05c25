//! Channels to the other services: by name, to every replica, following their addresses.
//!
//! A channel of tonic connects lazily and again after a loss, but never looks up its host a second
//! time and knows one address only. The directory therefore resolves host names periodically and
//! keeps one channel per address; [`ServiceChannel`] spreads requests over them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::identity::Signer;
use crate::{ClientLimits, Error, Secret};

mod channel;

pub use channel::{ReplicaChannel, ServiceChannel, was_never_sent};

/// Where each service listens, and the channels to it; cheap to clone, all clones are one.
///
/// It may be filled and changed while channels from it are in use. What goes through a channel
/// says who calls, unless the request passes somebody's identity on already.
#[derive(Debug, Clone)]
pub struct Directory {
    inner: Arc<Inner>,
    signer: Signer,
}

#[derive(Debug)]
struct Inner {
    limits: ClientLimits,
    services: RwLock<HashMap<String, Arc<Entry>>>,
}

/// One address of a service and the channel to it.
#[derive(Debug, Clone)]
pub struct Replica {
    /// `http://address:port`, with the address resolved: it names the replica.
    pub uri: String,
    /// The channel that all users of the directory share.
    pub channel: ReplicaChannel,
    /// The host of the directory's address that this replica was resolved from.
    origin: String,
    /// Not before this many milliseconds of the entry's life, while others are there.
    passed_over_until_ms: Arc<AtomicU64>,
}

/// A service of the directory.
#[derive(Debug)]
struct Entry {
    name: String,
    limits: ClientLimits,
    born: Instant,
    next: AtomicUsize,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    addresses: Arc<[Address]>,
    replicas: Arc<[Replica]>,
    /// Whether a task resolves the host names of this entry.
    resolving: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    /// As it was given: `http://host:port`.
    uri: String,
    host: String,
    port: u16,
}

impl Directory {
    /// A directory without entries, whose channels sign with the secret that everybody knows.
    #[must_use]
    pub fn new(limits: ClientLimits) -> Self {
        let signer = Signer::for_service(Secret::default(), "mesh");
        Self { inner: Arc::new(Inner { limits, services: RwLock::default() }), signer }
    }

    /// The same directory, whose channels say from here on that this one calls.
    #[must_use]
    pub fn signed(&self, signer: Signer) -> Self {
        Self { inner: Arc::clone(&self.inner), signer }
    }

    /// Says where a service listens, instead of what was said before: a list of
    /// `http://host:port`. Channels to addresses that stay are kept. Must be called inside a
    /// tokio runtime. In names, `_` is the same as `-`, so that they can come from variables.
    ///
    /// # Errors
    /// An address that is not `http://host:port`; nothing is changed then.
    pub fn set<A: AsRef<str>>(
        &self,
        service: &str,
        addresses: impl IntoIterator<Item = A>,
    ) -> Result<(), Error> {
        let parsed: Result<Arc<[Address]>, Error> = addresses
            .into_iter()
            .map(|address| Address::parse(service, address.as_ref()))
            .collect();
        self.entry(service).set(parsed?);
        Ok(())
    }

    /// A channel to whichever replica of the service; usable before the directory is filled.
    #[must_use]
    pub fn channel(&self, service: &str) -> ServiceChannel {
        ServiceChannel::new(self.entry(service), self.signer.clone())
    }

    /// Every replica that is known now. Host names that were never resolved are looked up first.
    pub async fn replicas(&self, service: &str) -> Vec<Replica> {
        let replicas = self.entry(service).replicas().await;
        let signed = |replica: &Replica| {
            let channel = replica.channel.signed(self.signer.clone());
            Replica { channel, ..replica.clone() }
        };
        replicas.iter().map(signed).collect()
    }

    /// A connection of its own to one replica, shared with nobody: for long-lived streams whose
    /// loss must mean something, and whose slow reader must delay no one.
    ///
    /// # Errors
    /// The address is not `http://host:port`.
    pub fn connect(&self, uri: &str) -> Result<ReplicaChannel, Error> {
        let address = Address::parse("replica", uri)?;
        let channel = open(&address.uri, &self.inner.limits)?;
        Ok(ReplicaChannel::unsigned(channel).signed(self.signer.clone()))
    }

    fn entry(&self, service: &str) -> Arc<Entry> {
        let name = service.replace('_', "-");
        let services = self.inner.services.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = services.get(&name) {
            return Arc::clone(entry);
        }
        drop(services);
        let mut services = self.inner.services.write().unwrap_or_else(PoisonError::into_inner);
        let limits = &self.inner.limits;
        let entry = services.entry(name).or_insert_with_key(|name| Entry::new(name, limits));
        Arc::clone(entry)
    }
}

impl Entry {
    fn new(name: &str, limits: &ClientLimits) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            limits: limits.clone(),
            born: Instant::now(),
            next: AtomicUsize::new(0),
            state: RwLock::default(),
        })
    }

    fn set(self: &Arc<Self>, addresses: Arc<[Address]>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let found = addresses.iter().map(|address| (address, address.literal())).collect();
        state.replicas = self.renew(&state.replicas, found);
        if !state.resolving && addresses.iter().any(|address| address.literal().is_none()) {
            state.resolving = true;
            let interval = Duration::from_millis(self.limits.resolve_interval_ms.max(1));
            // Ends with the directory: it holds the entry only while it looks up.
            tokio::spawn(keep_resolved(Arc::downgrade(self), interval));
        }
        state.addresses = addresses;
    }

    async fn replicas(&self) -> Arc<[Replica]> {
        let (replicas, addresses) = self.snapshot();
        if replicas.is_empty() && !addresses.is_empty() {
            self.refresh().await;
            return self.snapshot().0;
        }
        replicas
    }

    fn snapshot(&self) -> (Arc<[Replica]>, Arc<[Address]>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&state.replicas), Arc::clone(&state.addresses))
    }

    /// Looks up every host name again.
    async fn refresh(&self) {
        let (_, addresses) = self.snapshot();
        let mut found = Vec::with_capacity(addresses.len());
        for address in addresses.iter() {
            found.push((address, address.resolve().await));
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // If the addresses changed meanwhile, what was found is about the old ones.
        if Arc::ptr_eq(&state.addresses, &addresses) {
            state.replicas = self.renew(&state.replicas, found);
        }
    }

    /// The replicas at the addresses that were found. An address that could not be looked up
    /// keeps what it had: a name server that is away takes nobody down.
    fn renew(
        &self,
        old: &[Replica],
        found: Vec<(&Address, Option<Vec<SocketAddr>>)>,
    ) -> Arc<[Replica]> {
        let mut replicas: Vec<Replica> = Vec::new();
        for (address, sockets) in found {
            let Some(sockets) = sockets else {
                let kept = old.iter().filter(|replica| replica.origin == address.uri);
                replicas.extend(kept.cloned());
                continue;
            };
            for socket in sockets {
                let uri = format!("http://{socket}");
                if replicas.iter().any(|replica| replica.uri == uri) {
                    continue;
                }
                let kept = old.iter().find(|replica| replica.uri == uri).cloned();
                match kept.map_or_else(|| self.replica(uri, address), Ok) {
                    Ok(replica) => replicas.push(replica),
                    Err(error) => tracing::error!(%error, service = self.name, "skipped"),
                }
            }
        }
        replicas.into()
    }

    fn replica(&self, uri: String, address: &Address) -> Result<Replica, Error> {
        let channel = open(&uri, &self.limits)?;
        let origin = address.uri.clone();
        let channel = ReplicaChannel::unsigned(channel);
        Ok(Replica { uri, channel, origin, passed_over_until_ms: Arc::default() })
    }

    /// Milliseconds since the entry was made, never 0.
    fn age_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// The next replica in turn that is not passed over; if all are, the next in turn.
    async fn pick(&self) -> Option<Replica> {
        let replicas = self.replicas().await;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let now_ms = self.age_ms();
        let turn = |step: usize| replicas.get(first.wrapping_add(step) % replicas.len());
        (0..replicas.len())
            .filter_map(turn)
            .find(|replica| replica.passed_over_until_ms.load(Ordering::Relaxed) <= now_ms)
            .or_else(|| if replicas.is_empty() { None } else { turn(0) })
            .cloned()
    }

    fn pass_over(&self, replica: &Replica) {
        let until_ms = self.age_ms().saturating_add(self.limits.pass_over_ms);
        replica.passed_over_until_ms.store(until_ms, Ordering::Relaxed);
    }
}

async fn keep_resolved(entry: Weak<Entry>, interval: Duration) {
    // The first look-up happens when the addresses are set or first used, whichever is sooner.
    while let Some(entry) = entry.upgrade() {
        entry.refresh().await;
        drop(entry);
        tokio::time::sleep(interval).await;
    }
}

fn open(uri: &str, limits: &ClientLimits) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(uri.to_owned()).map_err(|error| Error::Address {
        service: "replica".into(),
        address: uri.to_owned(),
        reason: error.to_string(),
    })?;
    let endpoint = endpoint
        .connect_timeout(Duration::from_millis(limits.connect_ms_max))
        .tcp_nodelay(true)
        .buffer_size(limits.queue_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .http2_max_header_list_size(limits.header_bytes_max)
        .http2_keep_alive_interval(Duration::from_millis(limits.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms));
    Ok(endpoint.connect_lazy())
}

impl Address {
    fn parse(service: &str, address: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Address {
            service: service.to_owned(),
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let uri: http::Uri = address.parse().map_err(|_| refuse("it is not a URI"))?;
        if uri.scheme_str() != Some("http") {
            return Err(refuse("it must start with http://"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refuse("it must end after the port"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| refuse("no host"))?;
        let port = uri.port_u16().ok_or_else(|| refuse("it must name a port"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { uri: address.trim_end_matches('/').to_owned(), host, port })
    }

    fn literal(&self) -> Option<Vec<SocketAddr>> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(vec![SocketAddr::new(ip, self.port)])
    }

    async fn resolve(&self) -> Option<Vec<SocketAddr>> {
        if let Some(literal) = self.literal() {
            return Some(literal);
        }
        match tokio::net::lookup_host((self.host.as_str(), self.port)).await {
            Ok(addresses) => Some(addresses.collect()),
            Err(error) => {
                tracing::debug!(%error, host = self.host, "host name not resolved");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
