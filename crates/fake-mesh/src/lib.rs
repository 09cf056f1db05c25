//! An orchestrator for the tests of services that follow one.
//!
//! It serves the real contract on a real socket: a log that tests append to, the answers that
//! tests set, and a note of everything it was told. It decides nothing. It can be stopped, keeps
//! what it has like a store would, and comes back at the same address.

mod log;
mod orchestrator;
mod records;
mod stage;
mod workflows;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision;
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::orchestrator::v1::orchestrator_service_server::OrchestratorServiceServer;
use planaria_proto::orchestrator::v1::{GetStatisticsResponse, LogPosition, log_record};
use planaria_proto::workflow::v1::workflow_service_server::WorkflowServiceServer;
use planaria_proto::workflow::v1::{HistoryEvent, Workflow};
use planaria_runtime::{ClientLimits, Directory, ServerLimits, Service};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use records::{
    attempt_failed, definition, event, healing, record_at, session_closed, session_opened,
    workflow_events,
};
pub use stage::{PATIENCE, Stage, eventually};

/// A running fake; all clones are one.
#[derive(Debug, Clone)]
pub struct FakeOrchestrator {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    running: Arc<tokio::sync::Mutex<Option<Running>>>,
    address: SocketAddr,
    directory: Directory,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

/// What the fake answers, and what it was told.
#[derive(Debug, Default)]
pub struct State {
    log: log::Log,
    /// Answered by `GetStatistics`.
    pub statistics: GetStatisticsResponse,
    /// How often `GetStatistics` was called.
    pub statistics_calls: u64,
    /// Answered by `ListFaulted`, in the order of their ids.
    pub faulted: Vec<Faulted>,
    /// The most of them that one answer has, whatever is asked for.
    pub faulted_page_max: Option<usize>,
    /// How often `ListFaulted` was called.
    pub faulted_calls: u64,
    /// Answered by `GetHistory`, by workflow.
    pub histories: HashMap<String, Vec<HistoryEvent>>,
    /// Answered by `GetWorkflow`, by workflow.
    pub workflows: HashMap<String, Workflow>,
    /// Every decision of `ApplyRetryDecisions`, and when it came (Unix milliseconds).
    pub decisions: Vec<(Decision, u64)>,
    /// How many `ReadLog` streams were opened.
    pub log_streams: u64,
    /// How many of them are open.
    pub log_streams_open: u64,
    /// Workflows that `RetryWorkflow` was called for, with the reason.
    pub retried: Vec<(String, String)>,
    /// Workflows that `RerunWorkflow` was called for, with the task and its input.
    pub rerun: Vec<(String, String, Vec<u8>)>,
    /// `RetryWorkflow` refuses these, so.
    pub retry_refusals: HashMap<String, Status>,
    /// The next calls of `ApplyRetryDecisions` fail so, the last first.
    pub decision_failures: Vec<Status>,
}

impl FakeOrchestrator {
    /// Serves on a free port of the loopback.
    ///
    /// # Panics
    /// There is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let directory = Directory::new(ClientLimits { pass_over_ms: 1, ..ClientLimits::default() });
        let uris = [format!("http://{address}")];
        directory.set("orchestrator", uris).expect("the address is well formed");
        let fake = Self {
            state: Arc::default(),
            changed: watch::Sender::new(0),
            running: Arc::default(),
            address,
            directory,
        };
        fake.serve(listener).await;
        fake
    }

    /// Ends as a crash would: every connection is cut. What it has is kept.
    pub async fn stop(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.stop.cancel();
            running.ended.abort();
            // Cut: the listener and all connections are gone when the task is.
            let _aborted = running.ended.await;
        }
    }

    /// Serves again at the same address.
    ///
    /// # Panics
    /// Somebody else took the port meanwhile.
    pub async fn restart(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the port is still free");
        self.serve(listener).await;
    }

    async fn serve(&self, listener: TcpListener) {
        let mut service = Service::new("orchestrator");
        let message_bytes_max = 64 * 1024 * 1024;
        let orchestrator = OrchestratorServiceServer::new(self.clone());
        service.routes =
            tonic::service::Routes::new(orchestrator.max_encoding_message_size(message_bytes_max))
                .add_service(WorkflowServiceServer::new(self.clone()));
        let stop = CancellationToken::new();
        let token = stop.clone();
        let ended = tokio::spawn(async move {
            let limits = ServerLimits::default();
            // Its end is the test's wish, or shows as refused connections.
            let _ended = planaria_runtime::serve(service, listener, None, limits, token).await;
        });
        *self.running.lock().await = Some(Running { stop, ended });
    }

    /// Knows this fake as `orchestrator`; tests add what else they need.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// Where it serves.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Appends a record to the log; readers get it at once.
    pub fn push(&self, body: log_record::Body) -> LogPosition {
        self.push_all([record_at(body, planaria_runtime::clock::now_ms())])[0]
    }

    /// Appends records at once, which readers get in one message.
    pub fn push_all(
        &self,
        records: impl IntoIterator<Item = planaria_proto::orchestrator::v1::LogRecord>,
    ) -> Vec<LogPosition> {
        let positions = self.state().log.append(records);
        self.changed.send_modify(|version| *version += 1);
        positions
    }

    /// Forgets the records before this sequence number.
    pub fn trim_before(&self, seq: u64) {
        self.state().log.trim_before(seq);
    }

    /// What it answers and was told. Do not hold it over an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something holds of what it was told. Tests bound their own time.
    pub async fn wait_until(&self, mut holds: impl FnMut(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        while !holds(&self.state()) {
            // The sender lives in self, so the channel cannot close while this waits.
            let _closed = changes.changed().await;
        }
    }

    /// Notes that it was told something.
    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_modify(|version| *version += 1);
    }
}
