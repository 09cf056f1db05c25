//! Monitoring on a stage, and a client.

use planaria_fake_mesh::{FakeOrchestrator, Stage};
use planaria_monitoring::Config;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::monitoring::v1::{GetOverviewRequest, Overview};
use planaria_runtime::{ReplicaChannel, StoreSettings};

pub(crate) type Client = MonitoringServiceClient<ReplicaChannel>;

pub(crate) struct Scene {
    stage: Stage,
    pub(crate) config: Config,
    pub(crate) store: StoreSettings,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let mut config = Config { check_interval_ms: 10, save_ms: 5, ..Config::default() };
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
        let service = planaria_monitoring::build(self.config.clone(), deps).await.unwrap();
        Client::new(self.stage.serve(service, stop).await)
    }

    /// Ends the oldest replica as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.stage.kill().await;
    }
}

pub(crate) async fn overview(client: &Client) -> Overview {
    let answer = client.clone().get_overview(GetOverviewRequest {}).await.unwrap();
    answer.into_inner().overview.unwrap()
}
