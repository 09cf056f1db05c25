//! A gateway in front of small servers of the contract, all on ports of their own.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod hostile;
pub(crate) mod keys;
pub(crate) mod plain;
pub(crate) mod record;

use std::net::SocketAddr;
use std::pin::Pin;
use std::result::Result;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use planaria_gateway::{Config, Dashboard, Door};
use planaria_proto::failure_detector::v1::failure_detector_service_server::{
    FailureDetectorService, FailureDetectorServiceServer,
};
use planaria_proto::failure_detector::v1::*;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::monitoring::v1::monitoring_service_server::{
    MonitoringService, MonitoringServiceServer,
};
use planaria_proto::monitoring::v1::*;
use planaria_proto::task::v1::task_service_server::{TaskService, TaskServiceServer};
use planaria_proto::task::v1::*;
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory, ServerLimits, Service};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it must happen soon")
}

/// Something that is served in the background; dropped, it is gone as after a crash.
pub(crate) struct Running<T> {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    task: JoinHandle<T>,
    /// What it keeps, as long as it runs.
    folder: Option<TempDir>,
}

impl<T> Running<T> {
    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gone at once, and its port free.
    pub(crate) async fn crash(mut self) {
        self.task.abort();
        let _aborted = (&mut self.task).await;
    }

    /// Ends in order.
    pub(crate) async fn drain(mut self) -> T {
        self.stop.cancel();
        soon(&mut self.task).await.expect("it must not panic")
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Serves routes as the services of the mesh do.
pub(crate) fn serve(listener: TcpListener, routes: Routes) -> Running<()> {
    let mut service = Service::new("fake");
    service.routes = routes;
    let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let limits = ServerLimits { drain_ms: 100, ..ServerLimits::default() };
    let served = planaria_runtime::serve(service, listener, None, limits, stop.clone());
    let task = tokio::spawn(async move { served.await.unwrap() });
    Running { address, stop, task, folder: None }
}

pub(crate) async fn monitoring() -> Running<()> {
    serve(listen().await, Routes::new(MonitoringServiceServer::new(Fake::default())))
}

pub(crate) async fn failure_detector() -> Running<()> {
    serve(listen().await, Routes::new(FailureDetectorServiceServer::new(Fake::default())))
}

/// An orchestrator that answers with its name.
pub(crate) async fn orchestrator(name: &str) -> Running<()> {
    let fake = Fake { name: name.to_owned(), ..Fake::default() };
    serve(listen().await, Routes::new(TaskServiceServer::new(fake)))
}

/// A gateway before some addresses of services.
pub(crate) async fn gateway(
    config: Config,
    upstreams: &[(&str, SocketAddr)],
) -> Running<Result<(), planaria_gateway::Error>> {
    let directory = Directory::new(ClientLimits::default());
    let mut names: Vec<&str> = upstreams.iter().map(|(name, _)| *name).collect();
    names.dedup();
    for name in names {
        let addresses = upstreams.iter().filter(|(other, _)| *other == name);
        directory.set(name, addresses.map(|(_, address)| format!("http://{address}"))).unwrap();
    }
    let stop = CancellationToken::new();
    let folder = tempfile::tempdir().unwrap();
    let deps = Deps::new(directory, folder.path(), stop);
    let mut gateway = gateway_with(config, deps).await;
    gateway.folder = Some(folder);
    gateway
}

/// A gateway with a dashboard of these files, and nothing behind it.
pub(crate) async fn gateway_showing(
    files: &[(&'static str, &'static [u8])],
) -> Running<Result<(), planaria_gateway::Error>> {
    let (stop, folder) = (CancellationToken::new(), tempfile::tempdir().unwrap());
    let deps = Deps::new(Directory::new(ClientLimits::default()), folder.path(), stop.clone());
    let dashboard = Dashboard::new(files);
    let door = planaria_gateway::build_with(keys::guarded(), deps, dashboard).await.unwrap();
    let mut gateway = open(door, stop).await;
    gateway.folder = Some(folder);
    gateway
}

/// A gateway over what it is given.
pub(crate) async fn gateway_with(
    config: Config,
    deps: Deps,
) -> Running<Result<(), planaria_gateway::Error>> {
    let stop = deps.stop.clone();
    open(planaria_gateway::build(config, deps).await.unwrap(), stop).await
}

async fn open(door: Door, stop: CancellationToken) -> Running<Result<(), planaria_gateway::Error>> {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(door.serve(listener, None));
    Running { address, stop, task, folder: None }
}

pub(crate) async fn connect(uri: &str) -> Channel {
    Endpoint::from_shared(uri.to_owned()).unwrap().connect().await.unwrap()
}

/// A client of monitoring behind a gateway.
pub(crate) async fn watcher(uri: &str) -> MonitoringServiceClient<Channel> {
    MonitoringServiceClient::new(connect(uri).await)
}

/// The reason in a status.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// A replica with this name cannot answer.
pub(crate) const CUT_OFF: &str = "cut off";

#[derive(Default)]
pub(crate) struct Fake {
    name: String,
    /// Never told: who waits for it waits for ever.
    never: Arc<Notify>,
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl MonitoringService for Fake {
    type WatchOverviewStream = Boxed<WatchOverviewResponse>;
    type WatchHealingsStream = Boxed<WatchHealingsResponse>;

    /// Echoes the request's metadata, one finding per header.
    async fn get_overview(
        &self,
        request: Request<GetOverviewRequest>,
    ) -> Answer<GetOverviewResponse> {
        let headers = request.metadata().clone().into_headers();
        let findings = headers
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.as_bytes())));
        let overview = Overview { findings: findings.collect(), ..Overview::default() };
        let mut response = Response::new(GetOverviewResponse { overview: Some(overview) });
        response.metadata_mut().insert("x-answer", "yes".parse().unwrap());
        Ok(response)
    }

    /// Three messages and an end in trouble.
    async fn watch_overview(
        &self,
        _request: Request<WatchOverviewRequest>,
    ) -> Answer<Self::WatchOverviewStream> {
        let message = |tasks_queued| {
            let overview = Some(Overview { tasks_queued, ..Overview::default() });
            Ok(WatchOverviewResponse { overview })
        };
        let end = Err(Status::data_loss("the end"));
        Ok(Response::new(Box::pin(tokio_stream::iter((1..=3).map(message).chain([end])))))
    }

    /// An error without a message: a trailers-only answer.
    async fn list_healings(
        &self,
        request: Request<ListHealingsRequest>,
    ) -> Answer<ListHealingsResponse> {
        if request.get_ref().workflow_id == "never" {
            self.never.notified().await;
        }
        let bytes = request.get_ref().workflow_id.len().to_string();
        let details = ErrorDetails::with_error_info(
            "WORKFLOW_NOT_FOUND",
            "planaria.dev",
            [("bytes".into(), bytes)],
        );
        let text = "no such workflow: 100 % gone";
        Err(Status::with_error_details(tonic::Code::NotFound, text, details))
    }

    async fn get_series(&self, _request: Request<GetSeriesRequest>) -> Answer<GetSeriesResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn get_distribution(
        &self,
        _request: Request<GetDistributionRequest>,
    ) -> Answer<GetDistributionResponse> {
        Ok(Response::new(Default::default()))
    }

    /// As much as anybody reads.
    async fn watch_healings(
        &self,
        _request: Request<WatchHealingsRequest>,
    ) -> Answer<Self::WatchHealingsStream> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let healing = planaria_proto::types::v1::Healing {
                id: "x".repeat(64 * 1024),
                ..Default::default()
            };
            let message = WatchHealingsResponse { healings: vec![healing] };
            while sender.send(Ok(message.clone())).await.is_ok() {}
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

#[tonic::async_trait]
impl FailureDetectorService for Fake {
    type HeartbeatStream = Boxed<HeartbeatResponse>;
    type WatchWorkersStream = Boxed<WatchWorkersResponse>;

    async fn heartbeat(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Answer<Self::HeartbeatStream> {
        let answers = request.into_inner().map(|request| {
            let sequence = request?.sequence;
            Ok(HeartbeatResponse { sequence, ..HeartbeatResponse::default() })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_workers(
        &self,
        _request: Request<ListWorkersRequest>,
    ) -> Answer<ListWorkersResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn watch_workers(
        &self,
        _request: Request<WatchWorkersRequest>,
    ) -> Answer<Self::WatchWorkersStream> {
        Ok(Response::new(Box::pin(tokio_stream::pending())))
    }

    async fn drain_worker(
        &self,
        _request: Request<DrainWorkerRequest>,
    ) -> Answer<DrainWorkerResponse> {
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl TaskService for Fake {
    type PullTasksStream = Boxed<PullTasksResponse>;

    async fn open_session(
        &self,
        _request: Request<OpenSessionRequest>,
    ) -> Answer<OpenSessionResponse> {
        Ok(Response::new(Default::default()))
    }

    /// One assignment that names this replica.
    async fn pull_tasks(
        &self,
        _request: Request<PullTasksRequest>,
    ) -> Answer<Self::PullTasksStream> {
        let assignment = Assignment { name: self.name.clone(), ..Assignment::default() };
        let message = PullTasksResponse { assignments: vec![assignment] };
        let stream = tokio_stream::once(Ok(message)).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(stream)))
    }

    /// One verdict that names this replica; the one that is called `cut off` has no answer.
    async fn report_results(
        &self,
        _request: Request<ReportResultsRequest>,
    ) -> Answer<ReportResultsResponse> {
        if self.name == CUT_OFF {
            return Err(Status::unavailable("the store failed"));
        }
        let verdict =
            report_results_response::Verdict { detail: self.name.clone(), ..Default::default() };
        Ok(Response::new(ReportResultsResponse { verdicts: vec![verdict] }))
    }

    async fn renew_session(
        &self,
        _request: Request<RenewSessionRequest>,
    ) -> Answer<RenewSessionResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn close_session(
        &self,
        _request: Request<CloseSessionRequest>,
    ) -> Answer<CloseSessionResponse> {
        Ok(Response::new(Default::default()))
    }
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl prost::Message) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes.into()
}
