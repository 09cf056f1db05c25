//! An engine to test workers against: it hands out what a test assigns, judges results and
//! answers heartbeats, over real sockets, on threads of its own. It can be killed and restarted on
//! its port; what it knows survives, as the engine's store does.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

mod api;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use planaria_proto::failure_detector::v1::failure_detector_service_server as detector;
use planaria_proto::failure_detector::v1::{HeartbeatRequest, RunningAttempt};
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::task_service_server::TaskServiceServer;
use planaria_proto::task::v1::{
    Acceptance, Assignment, OpenSessionRequest, PullTasksResponse, RenewSessionRequest, Result,
};
use planaria_proto::types::v1::Payload;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tonic::Status;

/// Longest wait for a state.
const PATIENCE: Duration = Duration::from_secs(20);

pub type PullSender = mpsc::Sender<std::result::Result<PullTasksResponse, Status>>;

/// What the engine knows, and how it is told to behave.
#[derive(Default)]
pub struct State {
    pub opened: Vec<OpenSessionRequest>,
    pub session: Option<String>,
    pub closed: Vec<String>,
    pub pulls: HashMap<String, PullSender>,
    pub pulls_opened: usize,
    pub beats: Vec<(Instant, HeartbeatRequest)>,
    /// Heartbeat streams that are open, and how many there were at each goodbye.
    pub beating: usize,
    pub beating_at_goodbye: Vec<usize>,
    /// So many heartbeat streams are refused first.
    pub refuse_beats: usize,
    pub renewals: Vec<RenewSessionRequest>,
    /// Results in the order of their acceptance.
    pub results: Vec<Result>,
    /// The replica that each call about a session named, by method.
    pub routed: Vec<(&'static str, String)>,
    pub reports: usize,
    pub reports_under_way: usize,
    /// How heartbeats are answered.
    pub renew: bool,
    pub lease: Duration,
    pub abandon: Vec<String>,
    pub drain: bool,
    pub gone: bool,
    /// While set, reports are not answered.
    pub hold_reports: bool,
    /// Fails `RenewSession`.
    pub refuse_renewals: bool,
    /// The verdict for outputs with this content.
    pub rejects: Option<Vec<u8>>,
    pub verdicts: Vec<Acceptance>,
}

pub struct Engine {
    pub address: SocketAddr,
    shared: Shared,
    runtime: Option<Runtime>,
    assigned: Mutex<Vec<Assignment>>,
}

/// What the services and the test share.
#[derive(Clone)]
pub struct Shared {
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

impl Shared {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.send_replace(());
        result
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        let waiting = async {
            while !holds(&self.state()) {
                changes.changed().await.unwrap();
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "waited in vain for: {what}");
    }
}

impl Engine {
    pub fn start() -> Self {
        let state = State { renew: true, lease: Duration::from_secs(9), ..State::default() };
        let shared = Shared {
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(watch::Sender::new(())),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut engine = Self { address, shared, runtime: None, assigned: Mutex::default() };
        engine.restart();
        engine
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every connection breaks; what is asked meanwhile is refused by the operating system.
    pub fn kill(&mut self) {
        let runtime = self.runtime.take().expect("it runs");
        // Waited for, so that the port is free; on a thread that may wait.
        std::thread::scope(|scope| {
            scope.spawn(|| runtime.shutdown_timeout(PATIENCE)).join().unwrap();
        });
        self.shared.change(|state| state.pulls.clear());
    }

    pub fn restart(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (shared, wanted) = (self.shared.clone(), self.address);
        let listener = std::thread::scope(|scope| {
            let bind = || runtime.block_on(api::bind(wanted));
            scope.spawn(bind).join().unwrap()
        });
        self.address = listener.local_addr().unwrap();
        let incoming =
            tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = tonic::transport::Server::builder()
            .add_service(TaskServiceServer::new(shared.clone()))
            .add_service(detector::FailureDetectorServiceServer::new(shared))
            .serve_with_incoming(incoming);
        runtime.spawn(async move { server.await.unwrap() });
        self.runtime = Some(runtime);
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        self.shared.change(change);
    }

    pub async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        self.shared.until(what, holds).await;
    }

    /// Waits for a worker that pulls and beats.
    pub async fn until_ready(&self) {
        self.until("a worker", |state| !state.pulls.is_empty() && !state.beats.is_empty()).await;
    }

    /// Assigns a first attempt with JSON arguments; returns its id.
    pub async fn assign(&self, function: &str, arguments: &str) -> String {
        self.assign_as(function, arguments, |_| {}).await
    }

    pub async fn assign_as(
        &self,
        function: &str,
        arguments: &str,
        change: impl FnOnce(&mut Assignment),
    ) -> String {
        self.until_ready().await;
        let number = self.assigned.lock().unwrap().len() + 1;
        let id = format!("attempt-{number}");
        let mut assignment = Assignment {
            attempt_id: id.clone(),
            token: id.clone().into(),
            workflow_id: "workflow".into(),
            task: format!("/do/{number}/it"),
            name: "it".into(),
            attempt: 1,
            function: function.into(),
            function_version: "1.0.0".into(),
            arguments: Some(Payload {
                content_type: String::new(),
                data: arguments.to_owned().into(),
            }),
            idempotency_key: format!("key-{number}"),
            ..Assignment::default()
        };
        change(&mut assignment);
        self.assigned.lock().unwrap().push(assignment.clone());
        self.deliver(assignment).await;
        id
    }

    /// Hands the attempt out again until the worker has it, as the real engine does when an
    /// attempt is in none of two inventories.
    pub async fn insist(&self, id: &str) {
        loop {
            let beats = self.state().beats.len();
            self.until("two inventories", |state| state.beats.len() >= beats + 2).await;
            let known = {
                let state = self.state();
                let has = |running: &RunningAttempt| running.attempt_id == id;
                find(&state, id).is_some()
                    || state.beats[beats..].iter().any(|(_, beat)| beat.attempts.iter().any(has))
            };
            if known {
                return;
            }
            let assigned = self.assigned.lock().unwrap().clone();
            let assignment = assigned.into_iter().find(|each| each.attempt_id == id);
            self.deliver(assignment.expect("it was assigned")).await;
        }
    }

    pub async fn deliver(&self, assignment: Assignment) {
        let pull = self.state().pulls.values().next().cloned().expect("a stream");
        pull.send(Ok(PullTasksResponse { assignments: vec![assignment] })).await.unwrap();
    }

    /// Waits for the attempt's result.
    pub async fn outcome(&self, id: &str) -> Outcome {
        self.until(&format!("the result of {id}"), |state| find(state, id).is_some()).await;
        find(&self.state(), id).unwrap()
    }

    /// The output of an attempt that must have one.
    pub async fn output(&self, id: &str) -> serde_json::Value {
        match self.outcome(id).await {
            Outcome::Output(output) => serde_json::from_slice(&output.data).unwrap(),
            other => panic!("{id} ended otherwise: {other:?}"),
        }
    }
}

fn find(state: &State, id: &str) -> Option<Outcome> {
    let result = state.results.iter().find(|result| result.token == id.as_bytes());
    result.and_then(|result| result.outcome.clone())
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
