//! A namespace with something of everything in it that has a name.

use std::time::Duration;

use planaria_proto::failure_detector::v1::{
    HeartbeatRequest, Liveness, RunningAttempt, Worker as Listed, WorkerFacts,
};
use planaria_proto::flow::v1::flow_service_client::FlowServiceClient;
use planaria_proto::flow::v1::{Limit, ListLimitsRequest, PutLimitRequest};
use planaria_proto::gateway::v1::access_service_client::AccessServiceClient;
use planaria_proto::gateway::v1::{CreateApiKeyRequest, ListApiKeysRequest, Role};
use planaria_proto::monitoring::v1::ListHealingsRequest;
use planaria_proto::notification::v1::{
    CreateWebhookRequest, EventFilter, GetWebhookRequest, TestWebhookRequest,
};
use planaria_proto::retry::v1::{
    DeadLetterFilter, GetRedriveRequest, ListDeadLettersRequest, ListRetriesRequest,
    StartRedriveRequest,
};
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::{
    Assignment, CloseSessionRequest, Failure, Function, OpenSessionRequest, PullTasksRequest,
    PullTasksResponse, RenewSessionRequest, ReportResultsRequest, Result as TaskResult,
};
use planaria_proto::types::v1::{RetryPolicy, WorkflowError};
use planaria_proto::workflow::v1::{GetWorkflowRequest, ListDefinitionsRequest};
use planaria_sdk::{Client, Start};
use tokio::time::interval;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;
use tokio_util::task::AbortOnDropHandle;

use super::{ADMIN, CANARY};
use crate::ask;
use crate::binary::Mesh;

pub(super) const VAULT: &str = "
document: { dsl: '1.0.3', namespace: bank, name: vault, version: '1.0.0', title: canary-5e1f }
do:
  - way:
      switch:
        - waits: { when: '.way == \"waits\"', then: waits }
        - faults: { when: '.way == \"faults\"', then: faults }
        - ledger: { when: '.way == \"ledger\"', then: ledger }
        - errand: { when: '.way == \"errand\"', then: errand }
        - ends: { then: ends }
  - waits: { listen: { to: { one: { with: { type: bank.opened } } } }, then: end }
  - faults: { raise: { error: { type: 'https://bank.example/canary-5e1f', status: 500 } } }
  - ledger: { call: ledger, then: end }
  - errand: { call: errand, then: end }
  - ends: { set: { output: canary-5e1f } }
";

/// Between two heartbeats of the bank's worker.
const BEAT: Duration = Duration::from_millis(200);

/// Everything of the bank that has a name.
pub(super) struct Bank {
    pub(super) client: Client,
    /// Whatever could be put into a field that names something.
    pub(super) names: Vec<String>,
    /// The right to report an attempt that is under way.
    pub(super) token: Vec<u8>,
    /// The worker that has it.
    teller: Worker,
    webhook: String,
    redrive: String,
    /// Those that nothing should happen to.
    still: Vec<String>,
    _beating: AbortOnDropHandle<()>,
}

/// A client with a key for one namespace.
pub(super) async fn client_of(mesh: &Mesh, namespace: &str) -> Client {
    let admin = Client::connect(&mesh.uri).unwrap().api_key(ADMIN).unwrap();
    let secret = key_of(&admin, namespace, Role::Admin, namespace).await.1;
    Client::connect(&mesh.uri).unwrap().api_key(&secret).unwrap()
}

/// A new key: its id and the whole of it.
async fn key_of(by: &Client, namespace: &str, role: Role, label: &str) -> (String, String) {
    let request = CreateApiKeyRequest {
        role: role.into(),
        namespace: namespace.into(),
        label: label.into(),
        ..CreateApiKeyRequest::default()
    };
    let mut access = AccessServiceClient::new(by.channel());
    let created = access.create_api_key(request).await.unwrap().into_inner();
    (created.key.unwrap().id, created.secret)
}

/// The bank's ledger is limited.
async fn limit(client: &Client) {
    let (function, concurrency) = ("ledger".to_owned(), 100);
    let limit = Some(Limit { function, concurrency, ..Limit::default() });
    let mut flow = FlowServiceClient::new(client.channel());
    flow.put_limit(PutLimitRequest { limit }).await.unwrap();
}

impl Bank {
    pub(super) async fn open(mesh: &Mesh) -> Self {
        let client = client_of(mesh, "bank").await;
        ask::put(&client, VAULT).await;
        limit(&client).await;
        let mut teller = Worker::open(&client, "teller", "ledger").await;
        let held = teller.starts(&client, "ledger-1").await;
        let failed = teller.starts(&client, "ledger-2").await;
        teller.fails(&failed).await;
        Worker::open(&client, "runner", "errand").await.leaves_work(&client).await;
        let mut still = vec![held.workflow_id.clone(), failed.workflow_id];
        for way in ["waits", "faults", "ends"] {
            still.push(start(&client, way, way).await);
        }
        let mut names = still.clone();
        names.extend([held.attempt_id.clone(), teller.session.clone()]);
        names.extend(letter_and_retry(&client).await);
        let (webhook, delivery) = webhook(&client).await;
        names.extend([webhook.clone(), delivery]);
        let redrive = format!("redrive-{CANARY}");
        start_redrive(&client, &redrive).await;
        names.extend([redrive.clone(), key_of(&client, "bank", Role::Reader, CANARY).await.0]);
        names.push(healing(&client).await);
        let beating = teller.beats(&client, &held).await;
        let said =
            ["bank", "vault", "bank/vault", "ledger", "teller", "bank.opened", "/do/4/ledger"];
        names.extend(said.map(str::to_owned));
        let token = held.token.to_vec();
        Self { client, names, token, teller, webhook, redrive, still, _beating: beating }
    }

    /// What nobody else may change.
    pub(super) async fn state(&self) -> Vec<String> {
        let mut state = Vec::new();
        for workflow in &self.still {
            let request = GetWorkflowRequest { workflow_id: workflow.clone() };
            let found = self.client.workflow_service().get_workflow(request).await.unwrap();
            state.push(format!("{:?}", found.into_inner().workflow));
            let events = ask::history(&self.client, workflow).await;
            state.extend(events.iter().map(|event| format!("{workflow} {event:?}")));
        }
        let mut retry = self.client.retry_service();
        let letters = retry.list_dead_letters(ListDeadLettersRequest::default()).await.unwrap();
        state.push(format!("{:?}", letters.into_inner()));
        let retries = retry.list_retries(ListRetriesRequest::default()).await.unwrap();
        state.push(format!("{:?}", retries.into_inner()));
        let request = GetRedriveRequest { redrive_id: self.redrive.clone() };
        state.push(format!("{:?}", retry.get_redrive(request).await.unwrap().into_inner()));
        let request = ListDefinitionsRequest::default();
        let listed = self.client.definition_service().list_definitions(request).await.unwrap();
        state.push(format!("{:?}", listed.into_inner()));
        let request = GetWebhookRequest { id: self.webhook.clone() };
        let found = self.client.notification_service().get_webhook(request).await.unwrap();
        let mut webhook = found.into_inner().webhook.unwrap();
        // Its deliveries are tried meanwhile.
        webhook.deliveries_pending = 0;
        state.push(format!("{webhook:?}"));
        let mut flow = FlowServiceClient::new(self.client.channel());
        let limits = flow.list_limits(ListLimitsRequest::default()).await.unwrap().into_inner();
        state.extend(limits.limits.iter().map(|state| format!("{:?}", state.limit)));
        let mut access = AccessServiceClient::new(self.client.channel());
        let keys = access.list_api_keys(ListApiKeysRequest::default()).await.unwrap();
        state.push(format!("{:?}", keys.into_inner()));
        let request = RenewSessionRequest {
            session_id: self.teller.session.clone(),
            ..RenewSessionRequest::default()
        };
        let renewed = self.client.task_service().renew_session(request).await.unwrap();
        state.push(format!("{:?}", renewed.into_inner()));
        let is_there = |worker: &Listed| {
            let is_dead = worker.liveness() == Liveness::Dead;
            format!("{} {} {is_dead}", worker.id, worker.session_id)
        };
        state.extend(ask::workers(&self.client).await.iter().map(is_there));
        state
    }
}

/// A worker of the bank that does as it is told.
struct Worker {
    client: Client,
    session: String,
    name: String,
    stream: tonic::Streaming<PullTasksResponse>,
}

impl Worker {
    async fn open(client: &Client, name: &str, function: &str) -> Self {
        let hour = prost_types::Duration { seconds: 3_600, nanos: 0 };
        let retry =
            RetryPolicy { delay: Some(hour), factor: 1.0, delay_max: Some(hour), attempts_max: 10 };
        let function =
            Function { name: function.into(), version: "1.0.0".into(), retry: Some(retry) };
        let request = OpenSessionRequest {
            worker_id: name.into(),
            incarnation: "1".into(),
            functions: vec![function],
            capacity: 10,
            ..OpenSessionRequest::default()
        };
        let mut tasks = client.task_service();
        let session = tasks.open_session(request).await.unwrap().into_inner().session_id;
        let request = PullTasksRequest { session_id: session.clone() };
        let stream = tasks.pull_tasks(request).await.unwrap().into_inner();
        Self { client: client.clone(), session, name: name.into(), stream }
    }

    /// Is handed the task of a new workflow.
    async fn starts(&mut self, client: &Client, key: &str) -> Assignment {
        let way = key.split('-').next().unwrap_or_default();
        let workflow = start(client, way, key).await;
        let message = self.stream.message().await.unwrap().expect("a task");
        let assignment = message.assignments.into_iter().next().expect("a task");
        assert_eq!(assignment.workflow_id, workflow);
        assignment
    }

    /// An attempt fails; it is tried again after an hour.
    async fn fails(&self, assignment: &Assignment) {
        let title = format!("failed with {CANARY}");
        let error = WorkflowError { status: 500, title, ..WorkflowError::default() };
        let failure = Failure { error: Some(error), retryable: true, ..Failure::default() };
        let token = assignment.token.clone();
        let result = TaskResult { token, outcome: Some(Outcome::Failure(failure)) };
        let request =
            ReportResultsRequest { session_id: self.session.clone(), results: vec![result] };
        self.client.task_service().report_results(request).await.unwrap();
    }

    /// Says goodbye with work undone, which another session of it takes over: a healing.
    async fn leaves_work(mut self, client: &Client) {
        self.starts(client, "errand-1").await;
        let request = CloseSessionRequest { session_id: self.session, ..Default::default() };
        self.client.task_service().close_session(request).await.unwrap();
        let mut next = Self::open(client, &format!("{}-2", self.name), "errand").await;
        next.stream.message().await.unwrap().expect("the task again");
    }

    /// Beats until the result is dropped; returns when the failure detector knows the worker.
    async fn beats(&self, client: &Client, held: &Assignment) -> AbortOnDropHandle<()> {
        let attempt_id = held.attempt_id.clone();
        let attempt = RunningAttempt { attempt_id, ..RunningAttempt::default() };
        let beat = HeartbeatRequest {
            session_id: self.session.clone(),
            worker_id: self.name.clone(),
            incarnation: "1".into(),
            attempts: vec![attempt],
            facts: Some(WorkerFacts { host: CANARY.into(), ..WorkerFacts::default() }),
            ..HeartbeatRequest::default()
        };
        let mut detector = client.failure_detector_service();
        let beating = tokio::spawn(async move {
            let beats = IntervalStream::new(interval(BEAT)).map(move |_| beat.clone());
            let mut answers = detector.heartbeat(beats).await.unwrap().into_inner();
            while let Ok(Some(_)) = answers.message().await {}
        });
        let id = format!("bank/{}", self.name);
        ask::worker(client, &id, "known", |_| true).await;
        AbortOnDropHandle::new(beating)
    }
}

async fn start(client: &Client, way: &str, key: &str) -> String {
    let input = serde_json::json!({ "way": way, "note": CANARY });
    let start = Start::new("bank", "vault").input(&input).unwrap();
    let start = start.idempotency_key(format!("{CANARY}-{key}"));
    client.start(start).await.unwrap().workflow_id
}

/// The names of a dead letter and of a retry that waits.
async fn letter_and_retry(client: &Client) -> [String; 3] {
    let letter = ask::until("the fault is a dead letter", async || {
        let request = ListDeadLettersRequest::default();
        let listed = client.retry_service().list_dead_letters(request).await.ok()?;
        listed.into_inner().dead_letters.pop()
    });
    let letter = letter.await;
    let retry = ask::until("a failure waits for its retry", async || {
        let request = ListRetriesRequest::default();
        let listed = client.retry_service().list_retries(request).await.ok()?;
        listed.into_inner().retries.pop()
    });
    [letter.id, letter.fingerprint, retry.await.id]
}

/// A webhook, and a delivery to it.
async fn webhook(client: &Client) -> (String, String) {
    let mut notification = client.notification_service();
    let filter = EventFilter { types: vec!["nothing.is.this".into()], ..EventFilter::default() };
    let request = CreateWebhookRequest {
        url: format!("https://{CANARY}.invalid/hook"),
        filter: Some(filter),
        ..CreateWebhookRequest::default()
    };
    let created = notification.create_webhook(request).await.unwrap().into_inner();
    let id = created.webhook.unwrap().id;
    let request = TestWebhookRequest { id: id.clone() };
    let tested = notification.test_webhook(request).await.unwrap().into_inner();
    (id, tested.delivery.unwrap().id)
}

async fn start_redrive(client: &Client, redrive: &str) {
    let filter = DeadLetterFilter { function: "nothing-has-it".into(), ..Default::default() };
    let request = StartRedriveRequest {
        redrive_id: redrive.into(),
        filter: Some(filter),
        ..StartRedriveRequest::default()
    };
    client.retry_service().start_redrive(request).await.unwrap();
}

/// The incident of a healing.
async fn healing(client: &Client) -> String {
    let healing = ask::until("monitoring knows the healing", async || {
        let request = ListHealingsRequest::default();
        let listed = client.monitoring_service().list_healings(request).await.ok()?;
        listed.into_inner().healings.pop()
    });
    healing.await.incident
}
