//! A retry engine, an orchestrator, and a client.

use std::time::Duration;

use planaria_fake_mesh::{FakeOrchestrator, record_at, workflow_events};
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_retry_engine::Config;
use planaria_runtime::{Deps, ReplicaChannel, ServerLimits, clock};
use prost_types::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here may take; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Scene {
    pub(crate) mesh: FakeOrchestrator,
    pub(crate) config: Config,
    data_dir: TempDir,
    engine: Option<JoinHandle<()>>,
    channel: Option<ReplicaChannel>,
}

impl Scene {
    /// Quick where the defaults are patient.
    pub(crate) async fn new() -> Self {
        let mut config = Config::default();
        config.tail.reconnect_ms_min = 5;
        config.hand_off.pause_ms_min = 5;
        config.hand_off.pause_ms_max = 20;
        config.reconcile.interval_ms = 10;
        config.reconcile.grace_ms = 0;
        config.cursor_save_ms = 5;
        let data_dir = tempfile::tempdir().unwrap();
        Self {
            mesh: FakeOrchestrator::start().await,
            config,
            data_dir,
            engine: None,
            channel: None,
        }
    }

    pub(crate) async fn start(&mut self) -> RetryServiceClient<ReplicaChannel> {
        let stop = CancellationToken::new();
        let deps = Deps::new(self.mesh.directory(), self.data_dir.path(), stop.clone());
        let service = planaria_retry_engine::build(self.config.clone(), deps).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.engine = Some(tokio::spawn(async move {
            let limits = ServerLimits::default();
            planaria_runtime::serve(service, listener, None, limits, stop).await.unwrap();
        }));
        let channel = self.mesh.directory().connect(&format!("http://{address}")).unwrap();
        self.channel = Some(channel.clone());
        RetryServiceClient::new(channel)
    }

    /// To the engine that was started last.
    pub(crate) fn channel(&self) -> ReplicaChannel {
        self.channel.clone().unwrap()
    }

    pub(crate) fn client(&self) -> RetryServiceClient<ReplicaChannel> {
        RetryServiceClient::new(self.channel())
    }

    /// Ends the engine as a crash would.
    pub(crate) async fn kill(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.abort();
            let _aborted = engine.await;
        }
    }

    /// One step of a workflow that happened just now. Tells when. A workflow that faults is
    /// faulted, until somebody takes it off that list.
    pub(crate) fn happened(&self, workflow: &str, event: Event) -> u64 {
        let now_ms = clock::now_ms();
        if let Event::WorkflowFaulted(fault) = &event {
            let at = i64::try_from(now_ms).unwrap();
            let faulted = Faulted {
                workflow_id: workflow.to_owned(),
                at: Some(Timestamp {
                    seconds: at / 1_000,
                    nanos: i32::try_from(at % 1_000).unwrap() * 1_000_000,
                }),
                task: fault.task.clone(),
                error: fault.error.clone(),
                ..Faulted::default()
            };
            let mut state = self.mesh.state();
            state.faulted.retain(|known| known.workflow_id != workflow);
            state.faulted.push(faulted);
            state.faulted.sort_by(|left, right| left.workflow_id.cmp(&right.workflow_id));
        }
        self.mesh.push_all([record_at(workflow_events(workflow, 5, [event]), now_ms)]);
        now_ms
    }

    /// Waits for a decision about a workflow.
    pub(crate) async fn decision_of(&self, workflow: &str) {
        let wait = self.mesh.wait_until(|state| {
            state.decisions.iter().any(|(decision, _)| decision.workflow_id == workflow)
        });
        tokio::time::timeout(PATIENCE, wait).await.expect("the decision came");
    }

    /// Waits for so many decisions and returns them as (workflow, frame, attempt, reason, when).
    pub(crate) async fn decisions(&self, count: usize) -> Vec<(String, u32, u32, String, u64)> {
        let wait = self.mesh.wait_until(|state| state.decisions.len() >= count);
        tokio::time::timeout(PATIENCE, wait).await.expect("the decisions came");
        let state = self.mesh.state();
        let decisions = state.decisions.iter();
        decisions
            .map(|(decision, at_ms)| {
                let reason = decision.give_up_reason.clone();
                (decision.workflow_id.clone(), decision.frame, decision.attempt, reason, *at_ms)
            })
            .collect()
    }
}

/// Asks again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it came to be")
}
