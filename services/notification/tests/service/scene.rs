//! Notification, an orchestrator, and readers.

use std::time::Duration;

use planaria_fake_mesh::{FakeOrchestrator, workflow_events};
use planaria_notification::Config;
use planaria_proto::notification::v1::notification_service_client::NotificationServiceClient;
use planaria_proto::notification::v1::subscribe_response::Delivery;
use planaria_proto::notification::v1::{SubscribeRequest, SubscribeResponse};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{TaskCompleted, TaskStarted, WorkflowStarted};
use planaria_runtime::{Deps, ServerLimits};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

/// Longer than anything here may take; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Client = NotificationServiceClient<Channel>;

pub(crate) struct Scene {
    pub(crate) mesh: FakeOrchestrator,
    pub(crate) config: Config,
    data_dir: TempDir,
    service: Option<JoinHandle<()>>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let mut config = Config { linger_ms: 1, retry_ms: 5, ..Config::default() };
        config.tail.reconnect_ms_min = 5;
        let data_dir = tempfile::tempdir().unwrap();
        Self { mesh: FakeOrchestrator::start().await, config, data_dir, service: None }
    }

    pub(crate) async fn start(&mut self) -> Client {
        let stop = CancellationToken::new();
        let directory = self.mesh.directory();
        let data_dir = self.data_dir.path().to_owned();
        let deps = Deps::new(directory, data_dir, stop.clone());
        let service = planaria_notification::build(self.config.clone(), deps).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.service = Some(tokio::spawn(async move {
            let limits = ServerLimits::default();
            planaria_runtime::serve(service, listener, None, limits, stop).await.unwrap();
        }));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Client::new(endpoint.connect().await.unwrap())
    }

    /// Ends the service as a crash would.
    pub(crate) async fn kill(&mut self) {
        if let Some(service) = self.service.take() {
            service.abort();
            let _aborted = service.await;
        }
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
        self.mesh.push(workflow_events(workflow, 1, events));
    }

    /// One of its tasks ends.
    pub(crate) fn task_completes(&self, workflow: &str, frame: u32) {
        let completed = TaskCompleted { frame, ..TaskCompleted::default() };
        self.mesh.push(workflow_events(workflow, 4, [Event::TaskCompleted(completed)]));
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
    let request = SubscribeRequest {
        cursor: cursor.to_owned(),
        types: types.iter().map(|text| (*text).to_owned()).collect(),
        workflow_id: String::new(),
    };
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
