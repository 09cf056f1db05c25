//! An orchestrator of its own on a port of its own, and what tests ask it.

use std::path::PathBuf;
use std::time::Duration;

use planaria_orchestrator::Config;
use planaria_proto::flow::v1::flow_service_client::FlowServiceClient;
use planaria_proto::orchestrator::v1::log_record::Body;
use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::{
    GetStatisticsRequest, LogPosition, LogRecord, ReadLogRequest,
};
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::types::v1::{CloudEvent, DefinitionReference, Healing, Payload, Phase};
use planaria_proto::workflow::v1::definition_service_client::DefinitionServiceClient;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_proto::workflow::v1::*;
use planaria_runtime::ReplicaChannel as Channel;
use planaria_runtime::{ClientLimits, Deps, Directory, ServerLimits, StoreSettings, serve};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// After that long a test that waits for something has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An orchestrator with its files.
pub(crate) struct World {
    config: Config,
    directory: TempDir,
    store: StoreSettings,
    /// Where a retry engine answers, if there is one.
    retry_engine: Option<String>,
    running: Option<Running>,
    channel: Channel,
}

/// One start of it, with threads of its own that a kill takes away.
struct Running {
    runtime: Runtime,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self::at(config, StoreSettings::default()).await
    }

    /// One of several on the database that `store` names.
    pub(crate) async fn at(config: Config, store: StoreSettings) -> Self {
        Self::beside(config, store, None).await
    }

    /// One that finds a retry engine there.
    pub(crate) async fn beside(
        config: Config,
        store: StoreSettings,
        retry_engine: Option<String>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_owned();
        let (running, channel) =
            Running::start(config.clone(), path, store.clone(), retry_engine.clone()).await;
        Self { config, directory, store, retry_engine, running: Some(running), channel }
    }

    /// The store's file.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("orchestrator.db")
    }

    /// The database that it is on, if that is not the file.
    pub(crate) fn database(&self) -> Option<&str> {
        self.store.is_postgres().then_some(&*self.store.url)
    }

    /// Ends the orchestrator as a crash would: nothing that runs goes on.
    pub(crate) fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
    }

    /// Ends the orchestrator in order.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            running.served.await.expect("the orchestrator ends without a panic");
            running.runtime.shutdown_background();
        }
    }

    /// Starts the orchestrator again on the same files.
    pub(crate) async fn start(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let path = self.directory.path().to_owned();
        let (store, retry_engine) = (self.store.clone(), self.retry_engine.clone());
        let (running, channel) =
            Running::start(self.config.clone(), path, store, retry_engine).await;
        self.running = Some(running);
        self.channel = channel;
    }

    pub(crate) async fn restart_killed(&mut self) {
        self.kill();
        self.start().await;
    }

    pub(crate) fn definitions(&self) -> DefinitionServiceClient<Channel> {
        DefinitionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn workflows(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tasks(&self) -> TaskServiceClient<Channel> {
        TaskServiceClient::new(self.channel.clone())
    }

    pub(crate) fn flow(&self) -> FlowServiceClient<Channel> {
        FlowServiceClient::new(self.channel.clone())
    }

    pub(crate) fn mesh(&self) -> OrchestratorServiceClient<Channel> {
        OrchestratorServiceClient::new(self.channel.clone())
    }

    /// Publishes a definition whose tasks are the given YAML, a list.
    pub(crate) async fn publish(&self, name: &str, tasks: &str) {
        let request = PutDefinitionRequest { source: document(name, tasks).into() };
        self.definitions().put_definition(request).await.expect("a valid definition");
    }

    pub(crate) async fn start_workflow(&self, name: &str, input: Value) -> String {
        let request = StartWorkflowRequest { start: Some(start(name, input)) };
        let response = self.workflows().start_workflow(request).await.expect("started");
        response.into_inner().workflow_id
    }

    pub(crate) async fn run(&self, name: &str, input: Value) -> RunWorkflowResponse {
        let request = RunWorkflowRequest { start: Some(start(name, input)) };
        self.workflows().run_workflow(request).await.expect("ran").into_inner()
    }

    pub(crate) async fn get(&self, id: &str) -> Workflow {
        let request = GetWorkflowRequest { workflow_id: id.to_owned() };
        let response = self.workflows().get_workflow(request).await.expect("the workflow");
        response.into_inner().workflow.expect("the workflow")
    }

    /// Waits until a workflow is in a phase.
    pub(crate) async fn until(&self, id: &str, phase: Phase) -> Workflow {
        eventually(&format!("{id} is {phase:?}"), async || {
            let workflow = self.get(id).await;
            (workflow.phase() == phase).then_some(workflow)
        })
        .await
    }

    /// Waits until a workflow has completed, and answers its output.
    pub(crate) async fn output(&self, id: &str) -> Value {
        let workflow = self.until(id, Phase::Completed).await;
        json(workflow.output)
    }

    /// The whole history, page by page; checks that no number is missing.
    pub(crate) async fn history(&self, id: &str) -> Vec<HistoryEvent> {
        let mut events: Vec<HistoryEvent> = Vec::new();
        loop {
            let request = GetHistoryRequest {
                workflow_id: id.to_owned(),
                after_seq: events.len() as u64,
                page_size: 3,
            };
            let page = self.workflows().get_history(request).await.expect("a page").into_inner();
            events.extend(page.events);
            for (position, event) in events.iter().enumerate() {
                assert_eq!(event.seq, position as u64 + 1, "{id}: the history has a gap");
            }
            if !page.more {
                return events;
            }
        }
    }

    pub(crate) async fn suspend(&self, id: &str) {
        let request = SuspendWorkflowRequest { workflow_id: id.to_owned(), reason: String::new() };
        self.workflows().suspend_workflow(request).await.expect("suspended");
    }

    /// Starts a workflow with an idempotency key.
    pub(crate) async fn start_with_key(&self, name: &str, key: &str) -> String {
        let keyed = start(name, Value::from(1));
        let start = Some(WorkflowStart { idempotency_key: key.to_owned(), ..keyed });
        let response = self.workflows().start_workflow(StartWorkflowRequest { start }).await;
        response.expect("started").into_inner().workflow_id
    }

    pub(crate) async fn cancel(&self, id: &str) {
        let request = CancelWorkflowRequest { workflow_id: id.to_owned(), reason: String::new() };
        self.workflows().cancel_workflow(request).await.expect("cancelled");
    }

    pub(crate) async fn signal(&self, id: &str, event: CloudEvent) -> Result<bool, Status> {
        let request = SignalWorkflowRequest { workflow_id: id.to_owned(), event: Some(event) };
        Ok(self.workflows().signal_workflow(request).await?.into_inner().consumed)
    }

    /// How far the commits are.
    pub(crate) async fn log_end(&self) -> LogPosition {
        // There is none while its shard is being opened.
        eventually("there is a log", async || {
            let statistics = self.mesh().get_statistics(GetStatisticsRequest {}).await;
            statistics.expect("counts").into_inner().log_end
        })
        .await
    }

    /// Everything that the log has up to now; checks that it stands in order without a gap.
    pub(crate) async fn log(&self) -> Vec<LogRecord> {
        self.read_log(true).await
    }

    async fn read_log(&self, is_whole: bool) -> Vec<LogRecord> {
        let end = self.log_end().await;
        let request = ReadLogRequest::default();
        let mut stream = self.mesh().read_log(request).await.expect("the log").into_inner();
        let mut records: Vec<LogRecord> = Vec::new();
        let mut at = LogPosition::default();
        while (at.log, at.seq) < (end.log, end.seq) {
            let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
            let response = next.expect("readable").expect("endless");
            for record in response.records {
                let position = record.position.expect("a position");
                let follows = position.log > at.log && position.seq == 1
                    || position.log == at.log && position.seq == at.seq + 1;
                assert!(follows || !is_whole, "{position:?} follows {at:?}");
                at = position;
                records.push(record);
            }
            at = response.position.expect("a position");
        }
        records
    }

    pub(crate) async fn healings(&self) -> Vec<Healing> {
        Self::healings_in(self.log().await)
    }

    /// The same where somebody has taken entries out of the log.
    pub(crate) async fn healings_in_what_is_left(&self) -> Vec<Healing> {
        Self::healings_in(self.read_log(false).await)
    }

    fn healings_in(records: Vec<LogRecord>) -> Vec<Healing> {
        let records = records.into_iter();
        let healings = records.filter_map(|record| match record.body {
            Some(Body::Healing(healing)) => Some(healing),
            _ => None,
        });
        healings.collect()
    }

    /// Waits for the healing of a workflow that is complete.
    pub(crate) async fn healing(&self, id: &str) -> Healing {
        eventually(&format!("a healing of {id}"), async || {
            let mut healings = self.healings().await.into_iter();
            healings.find(|healing| healing.workflow_id == id && healing.healed_at.is_some())
        })
        .await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    async fn start(
        config: Config,
        data_dir: PathBuf,
        store: StoreSettings,
        retry_engine: Option<String>,
    ) -> (Self, Channel) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let listener = listener.into_std().expect("a listener");
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let token = stop.clone();
        let served = runtime.spawn(async move {
            let directory = Directory::new(ClientLimits::default());
            directory.set("retry-engine", retry_engine).expect("an address");
            let deps = Deps::new(directory, data_dir, token.clone());
            let deps = Deps { address: format!("http://{address}"), store, ..deps };
            let service = planaria_orchestrator::build(config, deps).await.expect("builds");
            let listener = TcpListener::from_std(listener).expect("a listener");
            let _ = ready.send(());
            let limits = ServerLimits::default();
            serve(service, listener, None, limits, token).await.expect("serves");
        });
        is_ready.await.expect("the orchestrator is built");
        let directory = Directory::new(ClientLimits::default());
        let channel = directory.connect(&format!("http://{address}")).expect("an address");
        (Self { runtime, stop, served }, channel)
    }
}

/// A document around tasks.
pub(crate) fn document(name: &str, tasks: &str) -> String {
    let header =
        format!("document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: 1.0.0 }}");
    format!("{header}\ndo:\n{tasks}\n")
}

/// The version of a definition that [`World::publish`] makes.
pub(crate) fn reference(name: &str) -> DefinitionReference {
    DefinitionReference {
        namespace: "test".to_owned(),
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "its callers make the value in place")]
pub(crate) fn start(name: &str, input: Value) -> WorkflowStart {
    WorkflowStart {
        definition: Some(reference(name)),
        input: Some(payload(&input)),
        idempotency_key: String::new(),
    }
}

pub(crate) fn payload(value: &Value) -> Payload {
    Payload { content_type: String::new(), data: value.to_string().into() }
}

pub(crate) fn json(payload: Option<Payload>) -> Value {
    let data = payload.expect("a payload").data;
    serde_json::from_slice(&data).expect("a JSON document")
}

pub(crate) fn event(kind: &str, id: &str, data: &Value) -> CloudEvent {
    CloudEvent {
        id: id.to_owned(),
        r#type: kind.to_owned(),
        data: data.to_string().into(),
        ..CloudEvent::default()
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let mut looks = looks();
    let until_there = async {
        loop {
            looks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, until_there).await;
    assert!(answer.is_ok(), "in vain: {what}");
    answer.expect("it was asserted")
}

/// When to look at a state that must come: at once, and then again and again.
pub(crate) fn looks() -> tokio::time::Interval {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    looks
}

/// The length of a fault.
pub(crate) async fn outage_of(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Lets time pass for something that happens at a time of its own.
pub(crate) async fn pause_of(length: Duration) {
    tokio::time::sleep(length).await;
}

/// Checks code and stable reason of a refusal, and answers its field violations.
pub(crate) fn refused(status: &Status, code: Code, reason: &str) -> Vec<(String, String)> {
    let info = status.get_details_error_info();
    let told = info.as_ref().map_or("", |info| &info.reason);
    assert_eq!((status.code(), told), (code, reason), "{status:?}");
    assert_eq!(info.expect("an ErrorInfo").domain, "planaria.dev");
    let request = status.get_details_bad_request();
    let violations = request.map(|request| request.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// The name of what an event tells, e.g. `TaskCompleted`.
pub(crate) fn kind(event: &HistoryEvent) -> String {
    let text = format!("{:?}", event.event.as_ref().expect("a known event"));
    text.split('(').next().unwrap_or_default().to_owned()
}
