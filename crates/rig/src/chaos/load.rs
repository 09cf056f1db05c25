//! The clients: they start workflows of all kinds at a steady rate, signal and cancel some, ask
//! for some, and write down what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use planaria_sdk::Client;
use planaria_sdk::contract::types::v1::Phase;
use planaria_sdk::contract::types::v1::{CloudEvent, DefinitionReference, Payload};
use planaria_sdk::contract::workflow::v1::{
    CancelWorkflowRequest, GetWorkflowRequest, ListWorkflowsRequest, PutDefinitionRequest,
    SignalWorkflowRequest, StartWorkflowRequest, WorkflowStart, list_workflows_request,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::call::{Call, is_final, limited};
use super::kind::{KINDS, Kind, NAMESPACE, SIGNAL};
use crate::Error;
use crate::journal::{Journal, now_ms};

/// A call may take so long in all, and a single try of it.
const CALL_MS_MAX: u64 = 5_000;
const TRY_MS_MAX: u64 = 1_600;
/// Before the second try and before the third: who is told that something moves waits a little.
const PAUSES_MS: [u64; 2] = [100, 1_000];
/// So many of a hundred starts are told again with the same key.
const AGAIN_PERCENT: u8 = 5;
const GET_PERCENT: u8 = 10;
const POLL_MS: u64 = 250;
/// Pauses of steps are drawn from this; of so many of a hundred workflows from the longer ones, so
/// that a worker that dies has something in hand.
const STEP_MS: std::ops::Range<u64> = 1..100;
const LONG_STEP_PERCENT: u8 = 10;
const LONG_STEP_MS: std::ops::Range<u64> = 1_000..3_000;
/// What one function calls is away so long after the load began: its breaker opens.
const DOWN_MS: u64 = 15_000;

/// The clients; cheap to clone.
#[derive(Clone)]
pub(super) struct Load {
    clients: Arc<[Client]>,
    journal: Journal,
    operations: Arc<AtomicU64>,
    /// Only workflows whose functions behave.
    gentle: bool,
    /// Starts of which nobody knows whether they happened.
    unknown: Arc<Mutex<BTreeMap<String, Start>>>,
}

/// A workflow to be started.
#[derive(Debug, Clone)]
struct Start {
    kind: &'static Kind,
    key: String,
    n: i64,
    ms: u64,
    until_ms: u64,
}

impl Load {
    pub(super) fn new(gateways: &[String], journal: Journal, gentle: bool) -> Result<Self, Error> {
        let unusable = |error: planaria_sdk::Error| Error::Failed(error.to_string());
        let clients: Result<Vec<_>, _> =
            gateways.iter().map(|gateway| Client::connect(gateway).map_err(unusable)).collect();
        Ok(Self {
            clients: clients?.into(),
            journal,
            operations: Arc::default(),
            gentle,
            unknown: Arc::default(),
        })
    }

    /// Publishes the definitions.
    pub(super) async fn publish(&self) -> Result<(), Error> {
        for kind in &KINDS {
            let source = kind.document().into_bytes().into();
            let request = PutDefinitionRequest { source };
            let deadline = Instant::now() + Duration::from_secs(30);
            loop {
                let mut service = self.clients[0].definition_service();
                match service.put_definition(request.clone()).await {
                    Ok(_) => break,
                    Err(status)
                        if Instant::now() > deadline || status.code() != Code::Unavailable =>
                    {
                        return Err(Error::Failed(format!("{}: {status}", kind.name)));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(POLL_MS)).await,
                }
            }
        }
        Ok(())
    }

    /// Starts workflows at a rate, whatever the answers, until the stop; then waits for the
    /// answers.
    pub(super) async fn run(&self, rate: f64, seed: u64, stop: CancellationToken) {
        let mut random = Rng::with_seed(seed);
        let mut under_way = JoinSet::new();
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let mut n = 0;
        let until_ms = now_ms() + DOWN_MS;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            n += 1;
            let kind = Kind::draw(&mut random, self.gentle);
            let long = random.u8(..100) < LONG_STEP_PERCENT;
            let ms = random.u64(if long { LONG_STEP_MS } else { STEP_MS });
            let start = Start { kind, key: format!("{seed}-{n}"), n, ms, until_ms };
            let again = random.u8(..100) < AGAIN_PERCENT;
            let get = random.u8(..100) < GET_PERCENT;
            under_way.spawn(self.clone().story(start, again, get));
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
    }

    /// One workflow, from its start to what its kind needs.
    async fn story(self, start: Start, again: bool, get: bool) {
        let Some(id) = self.start(&start).await else { return };
        if again {
            self.start(&start).await;
        }
        if get {
            let call = Call::Get(GetWorkflowRequest { workflow_id: id.clone() });
            let _told = self.call(json!({ "call": "get", "workflow": id }), &call).await;
        }
        self.touch(&start, &id).await;
    }

    /// What a workflow needs to end.
    async fn touch(&self, start: &Start, id: &str) {
        let workflow_id = id.to_owned();
        match start.kind.name {
            "signal" => {
                let event_id = format!("event-{}", start.key);
                let event = CloudEvent {
                    id: event_id.clone(),
                    source: "chaos".into(),
                    r#type: SIGNAL.into(),
                    data_content_type: "application/json".into(),
                    data: json!({ "n": start.n * 7 }).to_string().into(),
                    ..CloudEvent::default()
                };
                let request = SignalWorkflowRequest { workflow_id, event: Some(event) };
                let what = json!({ "call": "signal", "workflow": id, "event": event_id });
                self.insist(what, &Call::Signal(request)).await;
            }
            "cancel" => {
                let request = CancelWorkflowRequest { workflow_id, reason: "chaos".to_owned() };
                let what = json!({ "call": "cancel", "workflow": id });
                self.insist(what, &Call::Cancel(request)).await;
            }
            _ => (),
        }
    }

    /// Calls until it is known what came of it.
    async fn insist(&self, what: Value, call: &Call) {
        for _ in 0..20 {
            match self.call(what.clone(), call).await {
                Ok(_) => return,
                // A second cancel of a cancelled workflow may be refused: it is cancelled.
                Err(status) if is_final(&status) => return,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn start(&self, start: &Start) -> Option<String> {
        let (name, expected) = (start.kind.name, (start.kind.expected)(start.n));
        let what = json!({
            "call": "start", "key": start.key, "kind": name, "n": start.n,
            "phase": expected.0, "output": expected.1,
        });
        let data = json!({ "n": start.n, "ms": start.ms, "until_ms": start.until_ms });
        let data = data.to_string().into();
        let definition = DefinitionReference {
            namespace: NAMESPACE.into(),
            name: name.into(),
            version: String::new(),
        };
        let call = Call::Start(StartWorkflowRequest {
            start: Some(WorkflowStart {
                definition: Some(definition),
                input: Some(Payload { data, ..Payload::default() }),
                idempotency_key: start.key.clone(),
            }),
        });
        let outcome = self.call(what, &call).await;
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(id) => {
                unknown.remove(&start.key);
                Some(id)
            }
            Err(status) => {
                if !is_final(&status) {
                    unknown.insert(start.key.clone(), start.clone());
                }
                None
            }
        }
    }

    /// Asks again for every start whose outcome is unknown, with the same key.
    pub(super) async fn resolve(&self) {
        let lock = || self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<_> = lock().values().cloned().collect();
        for start in unknown {
            if let Some(id) = self.start(&start).await {
                self.touch(&start, &id).await;
            }
        }
    }

    /// One call: up to three tries within five seconds, each at the next gateway.
    async fn call(&self, mut what: Value, call: &Call) -> Result<String, Status> {
        let operation = self.operations.fetch_add(1, Ordering::Relaxed);
        what["op"] = operation.into();
        what["what"] = "invoke".into();
        what["at_ms"] = now_ms().into();
        self.journal.write(&what).await;
        let deadline = Instant::now() + Duration::from_millis(CALL_MS_MAX);
        let mut first = usize::try_from(operation).unwrap_or_default();
        let mut tries: usize = 0;
        let outcome = loop {
            tries += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = left.min(Duration::from_millis(TRY_MS_MAX));
            let client = &self.clients[first % self.clients.len()];
            let status = match tokio::time::timeout(limit, call.send(client, limit)).await {
                Ok(Ok(id)) => break Ok(id),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer"),
            };
            let Some(pause_ms) = PAUSES_MS.get(tries - 1).filter(|_| !is_final(&status)) else {
                break Err(status);
            };
            first += 1;
            tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
        };
        let mut line = match &outcome {
            Ok(id) => json!({ "workflow": id }),
            Err(status) => {
                json!({ "reason": format!("{:?}: {}", status.code(), status.message()) })
            }
        };
        line["op"] = operation.into();
        line["at_ms"] = now_ms().into();
        line["tries"] = tries.into();
        line["what"] = match &outcome {
            Ok(_) => "ok",
            Err(status) if is_final(status) => "fail",
            Err(_) => "info",
        }
        .into();
        self.journal.write(&line).await;
        outcome
    }

    /// Waits until no workflow of the load is open; how many are still open at the deadline.
    pub(super) async fn quiesce(&self, deadline: Instant) -> usize {
        loop {
            let open = self.open().await;
            if open == Some(0) || Instant::now() > deadline {
                return open.unwrap_or(usize::MAX);
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    async fn open(&self) -> Option<usize> {
        let phases = [Phase::Pending, Phase::Running, Phase::Waiting, Phase::Suspended];
        let filter = list_workflows_request::Filter {
            phases: phases.map(Into::into).into(),
            ..Default::default()
        };
        let request =
            ListWorkflowsRequest { filter: Some(filter), page_size: 100, ..Default::default() };
        let limit = Duration::from_millis(CALL_MS_MAX);
        let mut service = self.clients.first()?.workflow_service();
        let call = service.list_workflows(limited(request, limit));
        let answer = tokio::time::timeout(limit, call).await.ok()?.ok()?;
        Some(answer.into_inner().workflows.len())
    }
}
