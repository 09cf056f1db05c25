//! What the parts of a running worker share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use planaria_proto::failure_detector::v1::WorkerFacts;
use planaria_proto::task::v1::{OpenSessionRequest, result::Outcome};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;

use super::lease::Lease;
use crate::attempt::Attempt;
use crate::channel::Address;
use crate::clock;
use crate::function::Functions;
use crate::inventory::Inventory;

/// Who the worker is and what it offers; fixed when it is built.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) worker_id: String,
    pub(crate) incarnation: String,
    pub(crate) version: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) queues: Vec<String>,
    pub(crate) labels: HashMap<String, String>,
    pub(crate) capacity: u32,
    pub(crate) functions: Functions,
}

/// How long things may take that are the worker's own choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// After the wish to leave, attempts that end within this are not handed back.
    pub(crate) drain_grace: Duration,
    /// After the grace, the worker leaves at the latest after this.
    pub(crate) drain_max: Duration,
    /// A function that was cancelled may tidy up for so long; then its future is dropped.
    pub(crate) cancel_grace: Duration,
}

/// One session as the engine granted it.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) id: Arc<str>,
    pub(crate) replicas: Vec<String>,
    /// What everybody looks at who begins, stops or renews something of it.
    pub(crate) lease: Arc<Lease>,
    pub(crate) heartbeat_interval: Duration,
    /// Cancelled by whoever hears that the engine does not know the session (any more).
    pub(crate) gone: CancellationToken,
}

/// Names the replica that a call should reach.
const REPLICA: &str = "planaria-replica";

/// Has the gateway bring a call to a replica. Any other would take it too, and pass it on.
pub(crate) fn to_replica<T>(request: &mut Request<T>, replica: &str) {
    if let Ok(replica) = replica.parse::<AsciiMetadataValue>() {
        request.metadata_mut().insert(REPLICA, replica);
    }
}

impl Session {
    /// Whether a function may begin now: a session that is over gives its attempts to others.
    pub(crate) fn may_begin(&self) -> bool {
        !self.gone.is_cancelled() && self.lease.may_begin(clock::since_boot())
    }

    /// Has the gateway bring a call to the replica that has the session, which is the one that
    /// hands its tasks out.
    pub(crate) fn to_its_replica<T>(&self, request: &mut Request<T>) {
        if let Some(replica) = self.replicas.first() {
            to_replica(request, replica);
        }
    }
}

/// An attempt with its outcome, on its way to the engine.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) outcome: Outcome,
    /// Whether it was sent before, without an answer.
    pub(crate) sent: bool,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) address: Address,
    pub(crate) identity: Identity,
    pub(crate) patience: Patience,
    pub(crate) inventory: Inventory,
    /// One permit per attempt that executes. The engine keeps to the capacity by itself; this
    /// counts the functions that go on although their attempt was abandoned.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) session: watch::Sender<Option<Arc<Session>>>,
    /// Not bounded, for the engine bounds it: an attempt has its slot there until its end was
    /// reported, so no more ends wait than the worker has slots.
    pub(crate) reports: mpsc::UnboundedSender<Ended>,
    /// Cancelled when the worker is to leave in good order.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the worker's run is over, however it ended.
    pub(crate) over: CancellationToken,
    /// Has the next heartbeat sent early.
    pub(crate) beat_soon: Arc<Notify>,
    /// Asks for the session's replicas anew: one of them cannot be reached.
    pub(crate) replicas_stale: Notify,
}

impl Core {
    /// Gives the attempt its outcome, unless it has one already.
    pub(crate) fn end(&self, attempt: Arc<Attempt>, outcome: Outcome) {
        if attempt.end() {
            // The receiver lives as long as the run; after that nobody wants the result.
            let _unwanted = self.reports.send(Ended { attempt, outcome, sent: false });
        }
    }

    pub(crate) fn open_request(&self) -> OpenSessionRequest {
        let identity = &self.identity;
        OpenSessionRequest {
            worker_id: identity.worker_id.clone(),
            incarnation: identity.incarnation.clone(),
            functions: identity.functions.announce(),
            queues: identity.queues.clone(),
            labels: identity.labels.clone(),
            capacity: identity.capacity,
            host: identity.host.clone(),
            pid: identity.pid,
            version: identity.version.clone(),
            // The key says it.
            namespace: String::new(),
        }
    }

    pub(crate) fn facts(&self) -> WorkerFacts {
        let identity = &self.identity;
        let functions = identity.functions.announce().into_iter();
        WorkerFacts {
            host: identity.host.clone(),
            pid: identity.pid,
            version: identity.version.clone(),
            capacity: identity.capacity,
            functions: functions.map(|each| format!("{}:{}", each.name, each.version)).collect(),
            queues: identity.queues.clone(),
            labels: identity.labels.clone(),
        }
    }
}
