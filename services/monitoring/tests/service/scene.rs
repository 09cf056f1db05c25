//! Monitoring, an orchestrator, a retry engine that counts dead letters, and a client.

use std::time::Duration;

use planaria_fake_mesh::FakeOrchestrator;
use planaria_monitoring::Config;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::monitoring::v1::{GetOverviewRequest, Overview};
use planaria_runtime::{Deps, ServerLimits};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// Longer than anything here may take; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Client = MonitoringServiceClient<Channel>;

pub(crate) struct Scene {
    pub(crate) mesh: FakeOrchestrator,
    pub(crate) config: Config,
    data_dir: TempDir,
    service: Option<JoinHandle<()>>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let mut config = Config { check_interval_ms: 10, ..Config::default() };
        config.tail.reconnect_ms_min = 5;
        config.cursor_save_ms = 5;
        let data_dir = tempfile::tempdir().unwrap();
        Self { mesh: FakeOrchestrator::start().await, config, data_dir, service: None }
    }

    pub(crate) async fn start(&mut self) -> Client {
        let stop = CancellationToken::new();
        let directory = self.mesh.directory();
        let data_dir = self.data_dir.path().to_owned();
        let deps = Deps::new(directory, data_dir, stop.clone());
        let service = planaria_monitoring::build(self.config.clone(), deps).await.unwrap();
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
}

pub(crate) async fn overview(client: &Client) -> Overview {
    let answer = client.clone().get_overview(GetOverviewRequest {}).await.unwrap();
    answer.into_inner().overview.unwrap()
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
