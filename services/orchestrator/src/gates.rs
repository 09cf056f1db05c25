//! Gates: what the retry engine holds back, and what it lets through.
//!
//! A follower keeps the gates as the retry engine last told them; whoever hands tasks out asks
//! [`Gates::passes`] of a task that waits, and [`Gates::admit`] of the one that is handed out. A
//! half-open gate lets through exactly the probes that the retry engine grants, over all
//! orchestrators: they are asked for one by one, as tasks want them. While no retry engine is
//! there, its last word holds; once the time it named is over, one task a second goes through, and
//! a while later everything does: nothing waits for ever because a service is away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use planaria_proto::retry::v1::retry_gate_service_client::RetryGateServiceClient;
use planaria_proto::retry::v1::{
    BreakerKey, BreakerPhase, Gate, TakeProbesRequest, WatchGatesRequest,
};
use planaria_runtime::clock::now_ms;
use planaria_runtime::{Directory, ServiceChannel};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::convert::milliseconds;

#[cfg(test)]
mod tests;

/// The retry engine's name in the directory.
const RETRY_ENGINE: &str = "retry-engine";
/// A call of the retry engine.
const CALL_MS_MAX: u64 = 2_000;
/// First and longest pause before the gates are followed again.
const RECONNECT_MS_MIN: u64 = 100;
const RECONNECT_MS_MAX: u64 = 2_000;
/// While something is held, whoever hands out looks again at least this often.
const LOOK_AGAIN_MS: u64 = 1_000;
/// After a probe was not granted, the next is asked for this much later.
const REFUSED_MS: u64 = 1_000;
/// While no retry engine is there and the time it named is over, a task goes through this often.
const ORPHAN_PROBE_MS: u64 = 1_000;
/// After this, everything does.
const ORPHAN_MS_MAX: u64 = 30_000;

/// Whether a task may be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may: nothing is held back.
    Open,
    /// It may, as a probe: it is one of the few that do.
    Probe,
    /// It waits.
    Held,
}

/// The gates as they are known. All clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    /// How many are not open: almost always none, which costs no lock.
    held: AtomicUsize,
    /// Something may go through that did not before.
    freed: Notify,
    /// A task waits for a probe.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Known {
    gates: HashMap<Key, Held>,
    /// Since when no retry engine is there.
    orphaned_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: String,
    function: String,
    destination: String,
}

/// A gate that is not open.
#[derive(Clone, Copy, Debug)]
struct Held {
    is_half_open: bool,
    until_ms: u64,
    /// Probes that were granted and not made yet.
    probes: u32,
    /// A task waits for a probe.
    is_wanted: bool,
    /// No probe is asked for before this.
    ask_ms: u64,
    /// Without a retry engine: when the last task went through.
    orphan_probe_ms: u64,
}

impl Gates {
    /// Whether a task that waits could be handed out. Asks for a probe where that is what it
    /// takes; [`Gates::freed`] tells when it is there.
    pub(crate) fn passes(
        &self,
        namespace: &str,
        function: &str,
        destination: Option<&str>,
    ) -> bool {
        if self.shared.held.load(Ordering::Acquire) == 0 {
            return true;
        }
        let mut known = self.known();
        let orphaned_ms = known.orphaned_ms;
        let Some(held) = known.gates.get_mut(&key(namespace, function, destination)) else {
            return true;
        };
        let admission = held.admission(orphaned_ms, now_ms());
        if admission == Admission::Held && held.is_half_open && !held.is_wanted {
            held.is_wanted = true;
            self.shared.wanted.notify_one();
        }
        admission != Admission::Held
    }

    /// Takes the right to hand a task out. To be asked when nothing else stands in its way: a
    /// probe that was taken is gone.
    pub(crate) fn admit(
        &self,
        namespace: &str,
        function: &str,
        destination: Option<&str>,
    ) -> Admission {
        if self.shared.held.load(Ordering::Acquire) == 0 {
            return Admission::Open;
        }
        let now_ms = now_ms();
        let mut known = self.known();
        let orphaned_ms = known.orphaned_ms;
        let Some(held) = known.gates.get_mut(&key(namespace, function, destination)) else {
            return Admission::Open;
        };
        let admission = held.admission(orphaned_ms, now_ms);
        if admission == Admission::Probe {
            if held.probes > 0 {
                held.probes -= 1;
            } else {
                held.orphan_probe_ms = now_ms;
            }
        }
        admission
    }

    /// Resolves when something may go through that did not before. One waits for it.
    pub(crate) async fn freed(&self) {
        self.shared.freed.notified().await;
    }

    /// Follows the retry engine until `stop`.
    pub(crate) async fn follow(self, directory: Directory, stop: CancellationToken) {
        let client = RetryGateServiceClient::new(directory.channel(RETRY_ENGINE));
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep_following(&client) => {}
            () = self.ask_for_probes(&client) => {}
            () = self.look_again() => {}
        }
    }

    async fn keep_following(&self, client: &RetryGateServiceClient<ServiceChannel>) {
        let mut pause_ms = RECONNECT_MS_MIN;
        loop {
            if let Err(status) = self.watch(client.clone(), &mut pause_ms).await {
                tracing::debug!(%status, "the retry engine is out of reach");
            }
            self.known().orphaned_ms.get_or_insert_with(now_ms);
            sleep(Duration::from_millis(rand::random_range(pause_ms / 2..=pause_ms))).await;
            pause_ms = (pause_ms * 2).min(RECONNECT_MS_MAX);
        }
    }

    async fn watch(
        &self,
        mut client: RetryGateServiceClient<ServiceChannel>,
        pause_ms: &mut u64,
    ) -> Result<(), Status> {
        let opened = client.watch_gates(WatchGatesRequest {});
        let opened = timeout(Duration::from_millis(CALL_MS_MAX), opened).await;
        let opened = opened.map_err(|_| Status::unavailable("no answer in time"))?;
        let mut stream = opened?.into_inner();
        while let Some(told) = stream.message().await? {
            *pause_ms = RECONNECT_MS_MIN;
            self.take(told.gates, told.complete);
        }
        Ok(())
    }

    /// What the retry engine says.
    fn take(&self, gates: Vec<Gate>, complete: bool) {
        let mut known = self.known();
        known.orphaned_ms = None;
        let before = if complete { std::mem::take(&mut known.gates) } else { HashMap::new() };
        for gate in gates {
            let phase = gate.phase();
            let Some(BreakerKey { namespace, function, destination }) = gate.key else { continue };
            let key = Key { namespace, function, destination };
            if !matches!(phase, BreakerPhase::Open | BreakerPhase::HalfOpen) {
                known.gates.remove(&key);
                continue;
            }
            let was = known.gates.get(&key).or_else(|| before.get(&key)).copied();
            let is_half_open = phase == BreakerPhase::HalfOpen;
            // What was granted stays granted while the phase is the same one.
            let same = was.filter(|was| was.is_half_open && is_half_open);
            known.gates.insert(
                key,
                Held {
                    is_half_open,
                    until_ms: milliseconds(gate.until.as_ref()),
                    probes: same.map_or(0, |was| was.probes),
                    is_wanted: same.is_some_and(|was| was.is_wanted),
                    ask_ms: 0,
                    orphan_probe_ms: was.map_or(0, |was| was.orphan_probe_ms),
                },
            );
        }
        self.shared.held.store(known.gates.len(), Ordering::Release);
        drop(known);
        self.shared.wanted.notify_one();
        self.shared.freed.notify_one();
    }

    /// One probe for each gate at a time, so that those of a mesh are spread over its
    /// orchestrators.
    async fn ask_for_probes(&self, client: &RetryGateServiceClient<ServiceChannel>) {
        loop {
            self.shared.wanted.notified().await;
            let now_ms = now_ms();
            let mut known = self.known();
            let wanting = known
                .gates
                .iter_mut()
                .filter(|(_, held)| held.is_wanted && held.probes == 0 && held.ask_ms <= now_ms);
            let wanting: Vec<Key> = wanting
                .map(|(key, held)| {
                    // Until the answer is there.
                    held.ask_ms = now_ms + CALL_MS_MAX;
                    key.clone()
                })
                .collect();
            drop(known);
            for key in wanting {
                tokio::spawn(self.clone().ask_for_probe(key, client.clone()));
            }
        }
    }

    async fn ask_for_probe(self, key: Key, mut client: RetryGateServiceClient<ServiceChannel>) {
        let named = BreakerKey {
            namespace: key.namespace.clone(),
            function: key.function.clone(),
            destination: key.destination.clone(),
        };
        let mut request = tonic::Request::new(TakeProbesRequest { key: Some(named), wanted: 1 });
        request.set_timeout(Duration::from_millis(CALL_MS_MAX));
        let granted = client.take_probes(request).await;
        let granted = granted.map_or(0, |answer| answer.into_inner().granted);
        let mut known = self.known();
        let Some(held) = known.gates.get_mut(&key).filter(|held| held.is_half_open) else { return };
        held.probes += granted;
        held.is_wanted = false;
        held.ask_ms = if granted > 0 { 0 } else { now_ms() + REFUSED_MS };
        drop(known);
        if granted > 0 {
            self.shared.freed.notify_one();
        }
    }

    /// Where something is held, time alone may free it, and a probe that was not granted is asked
    /// for again.
    async fn look_again(&self) {
        loop {
            sleep(Duration::from_millis(LOOK_AGAIN_MS)).await;
            if self.shared.held.load(Ordering::Acquire) > 0 {
                self.shared.wanted.notify_one();
                self.shared.freed.notify_one();
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held; were it so, what is known is still whole.
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn admission(&self, orphaned_ms: Option<u64>, now_ms: u64) -> Admission {
        if self.probes > 0 {
            return Admission::Probe;
        }
        let Some(orphaned_ms) = orphaned_ms else { return Admission::Held };
        // The engine's last word holds until the time that it named.
        let alone_ms = now_ms.saturating_sub(orphaned_ms.max(self.until_ms));
        if now_ms < self.until_ms || alone_ms < ORPHAN_PROBE_MS {
            Admission::Held
        } else if alone_ms >= ORPHAN_MS_MAX {
            Admission::Open
        } else if now_ms >= self.orphan_probe_ms.saturating_add(ORPHAN_PROBE_MS) {
            Admission::Probe
        } else {
            Admission::Held
        }
    }
}

fn key(namespace: &str, function: &str, destination: Option<&str>) -> Key {
    Key {
        namespace: namespace.to_owned(),
        function: function.to_owned(),
        destination: destination.unwrap_or_default().to_owned(),
    }
}

/// The far side that a function calls, where its arguments name one: the address of an HTTP, gRPC
/// or OpenAPI call.
pub(crate) fn destination(function: &str, arguments: &[u8]) -> Option<String> {
    let arguments: serde_json::Value = match function {
        "http" | "openapi" | "grpc" => serde_json::from_slice(arguments).ok()?,
        _ => return None,
    };
    let uri = match function {
        "http" => arguments.get("endpoint")?,
        "openapi" => arguments.pointer("/document/endpoint")?,
        _ => {
            let service = arguments.get("service")?;
            let host = service.get("host")?.as_str()?;
            return Some(match service.get("port").and_then(serde_json::Value::as_u64) {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            });
        }
    };
    authority(uri.as_str().or_else(|| uri.get("uri")?.as_str())?)
}

/// Host and port of a URI, in lower case and without credentials.
fn authority(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let default = match scheme.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(default).filter(|_| !default.is_empty()).unwrap_or(&host);
    (!host.is_empty() && host.len() <= 255).then(|| host.to_owned())
}
