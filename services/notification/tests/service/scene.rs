//! Notification, an orchestrator, and readers.

use planaria_fake_mesh::{FakeOrchestrator, PATIENCE, Stage, workflow_events};
use planaria_notification::Config;
use planaria_proto::notification::v1::notification_service_client::NotificationServiceClient;
use planaria_proto::notification::v1::subscribe_response::Delivery;
use planaria_proto::notification::v1::{EventFilter, SubscribeRequest, SubscribeResponse};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{TaskCompleted, TaskStarted, WorkflowStarted};
use planaria_runtime::{ReplicaChannel, StoreSettings};
use tonic::{Status, Streaming};

pub(crate) type Client = NotificationServiceClient<ReplicaChannel>;

pub(crate) struct Scene {
    stage: Stage,
    pub(crate) config: Config,
    pub(crate) store: StoreSettings,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let mut config = Config { linger_ms: 1, retry_ms: 5, ..Config::default() };
        config.tail.reconnect_ms_min = 5;
        Self { stage: Stage::new().await, config, store: StoreSettings::default() }
    }

    pub(crate) fn mesh(&self) -> &FakeOrchestrator {
        &self.stage.mesh
    }

    /// Starts a replica.
    pub(crate) async fn start(&mut self) -> Client {
        let mut deps = self.stage.deps();
        deps.store = self.store.clone();
        let stop = deps.stop.clone();
        let service = planaria_notification::build(self.config.clone(), deps).await.unwrap();
        Client::new(self.stage.serve(service, stop).await)
    }

    /// Ends the oldest replica as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.stage.kill().await;
    }

    /// A workflow starts, with one task; three facts in one record.
    pub(crate) fn workflow_starts(&self, workflow: &str) {
        let task =
            |frame| TaskStarted { frame, task: format!("/do/{frame}"), ..Default::default() };
        let events = [
            Event::WorkflowStarted(WorkflowStarted::default()),
            Event::TaskStarted(task(1)),
            Event::TaskStarted(task(2)),
        ];
        self.mesh().push(workflow_events(workflow, 1, events));
    }

    /// One of its tasks ends.
    pub(crate) fn task_completes(&self, workflow: &str, frame: u32) {
        let completed = TaskCompleted { frame, ..TaskCompleted::default() };
        self.mesh().push(workflow_events(workflow, 4, [Event::TaskCompleted(completed)]));
    }
}

/// An open subscription.
pub(crate) struct Reader {
    stream: Streaming<SubscribeResponse>,
    unread: Vec<Delivery>,
}

pub(crate) async fn subscribe(
    client: &Client,
    cursor: &str,
    types: &[&str],
) -> Result<Reader, Status> {
    let types = types.iter().map(|text| (*text).to_owned()).collect();
    subscribe_by(client, cursor, EventFilter { types, ..EventFilter::default() }).await
}

pub(crate) async fn subscribe_by(
    client: &Client,
    cursor: &str,
    filter: EventFilter,
) -> Result<Reader, Status> {
    let request = SubscribeRequest { cursor: cursor.to_owned(), filter: Some(filter) };
    let stream = client.clone().subscribe(request).await?.into_inner();
    Ok(Reader { stream, unread: Vec::new() })
}

impl Reader {
    pub(crate) async fn next(&mut self) -> Result<Delivery, Status> {
        let reading = async {
            while self.unread.is_empty() {
                let message = self.stream.message().await?.expect("the stream goes on");
                self.unread = message.deliveries;
                self.unread.reverse();
            }
            Ok::<_, Status>(())
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an event came")?;
        Ok(self.unread.pop().unwrap())
    }

    /// Ids and short types of the next events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<(String, String)> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let event = self.next().await.unwrap().event.unwrap();
            let kind = event.r#type.trim_start_matches("io.serverlessworkflow.").to_owned();
            taken.push((event.id, kind));
        }
        taken
    }
}
