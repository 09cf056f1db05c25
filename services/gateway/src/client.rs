//! One connection of a client, as far as its calls need it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;

use crate::access::Caller;
use crate::handler::Gateway;
use crate::refusal::Refusal;
use crate::upstream::Lane;
use crate::watch::Watched;

/// One place in so many is for workers alone.
const WORKERS_SHARE: usize = 8;

/// Its own upstream connections for streams, and whether it is in use.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) gateway: Arc<Gateway>,
    /// One per service address that it has streams to.
    lanes: Mutex<HashMap<SocketAddr, Arc<Lane>>>,
    /// Calls under way.
    open: AtomicUsize,
    /// Calls that ever began.
    begun: AtomicU64,
}

impl Client {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        let (open, begun) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { gateway, lanes: Mutex::default(), open, begun }
    }

    /// The client's own way to an address.
    pub(crate) fn lane(&self, address: SocketAddr) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(address).or_insert_with(|| Arc::new(Lane::new(address))))
    }

    /// Counts a call for as long as the result lives. Health is nobody's call.
    ///
    /// # Errors
    /// Too many are under way.
    pub(crate) fn begin(
        self: &Arc<Self>,
        caller: Option<&Arc<Caller>>,
        is_workers: bool,
    ) -> Result<Counted, Refusal> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        let before = self.gateway.counters.open.inc();
        let own = caller.map_or(Ok(()), |caller| caller.begin());
        let caller = caller.map(Arc::clone);
        let counted = Counted { client: Arc::clone(self), caller, watched: None };
        own.map_err(|max| Refusal::Overloaded { what: "calls of this key under way", max })?;
        let max = places(self.gateway.config.calls_max, is_workers);
        if usize::try_from(before).is_ok_and(|before| before >= max) {
            return Err(Refusal::Overloaded { what: "calls under way", max });
        }
        Ok(counted)
    }

    /// Calls under way, and calls that ever began.
    pub(crate) fn activity(&self) -> (usize, u64) {
        (self.open.load(Ordering::Relaxed), self.begun.load(Ordering::Relaxed))
    }

    /// Called after the connection's end: its streams are being reset now, and the resets must
    /// reach the services before the upstream connections end.
    pub(crate) fn linger(self: Arc<Self>, linger: Duration) {
        if self.lanes.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        tokio::spawn(async move {
            tokio::time::sleep(linger).await;
            drop(self);
        });
    }
}

/// How many of `max` places a call may find taken. Calls that wait for the end of work must not
/// keep out those that bring it about.
pub(crate) const fn places(max: usize, is_workers: bool) -> usize {
    if is_workers { max } else { max - max / WORKERS_SHARE }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Counted {
    client: Arc<Client>,
    caller: Option<Arc<Caller>>,
    watched: Option<Watched>,
}

impl Counted {
    pub(crate) fn gateway(&self) -> &Gateway {
        &self.client.gateway
    }

    /// From here on its outcome counts, and its trace knows of it.
    pub(crate) fn watch(&mut self, request: &mut Parts) {
        self.watched = Some(self.client.gateway.watch.begin(request));
    }

    /// Part of its answer is there: the status, if it is in these headers or trailers.
    pub(crate) fn answered(&mut self, headers: &HeaderMap) {
        if let Some(watched) = &mut self.watched {
            watched.answered(headers);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.client.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(caller) = &self.caller {
            caller.end();
        }
        self.client.gateway.counters.open.dec();
    }
}
