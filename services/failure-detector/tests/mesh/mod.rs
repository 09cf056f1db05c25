//! A detector on a port of its own, a fake orchestrator that records, and workers that beat.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use planaria_failure_detector::{Config, build};
use planaria_proto::failure_detector::v1::evidence_service_client::EvidenceServiceClient;
use planaria_proto::failure_detector::v1::failure_detector_service_client as client;
use planaria_proto::failure_detector::v1::{HeartbeatRequest, HeartbeatResponse, RunningAttempt};
use planaria_proto::orchestrator::v1::observe_sessions_request::Observation;
use planaria_proto::orchestrator::v1::observe_sessions_response::Answer;
use planaria_proto::orchestrator::v1::orchestrator_service_server::{
    OrchestratorService, OrchestratorServiceServer,
};
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::orchestrator::v1::*;
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory, ReplicaChannel, ServerLimits, Service};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for what must happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it must happen soon")
}

/// A task that is gone when this is dropped.
pub(crate) struct Running<T = ()>(pub(crate) JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves as the services of the mesh do.
pub(crate) async fn serve(service: Service, listener: TcpListener) -> Running {
    Running(tokio::spawn(async move {
        let limits = ServerLimits::default();
        let stop = CancellationToken::new();
        planaria_runtime::serve(service, listener, None, limits, stop).await.unwrap();
    }))
}

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// What the fake orchestrator was told, and what it says.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) observations: Mutex<Vec<Observation>>,
    /// By session; others get a lease of 9 s.
    pub(crate) answers: Mutex<HashMap<String, Answer>>,
    /// So many calls of each kind fail first.
    pub(crate) failures: Mutex<usize>,
}

pub(crate) struct FakeOrchestrator {
    told: Arc<Told>,
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl FakeOrchestrator {
    fn fail(&self) -> Result<(), Status> {
        let mut failures = self.told.failures.lock().unwrap();
        if *failures == 0 {
            return Ok(());
        }
        *failures -= 1;
        Err(Status::unavailable("starting"))
    }
}

fn lease(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[tonic::async_trait]
impl OrchestratorService for FakeOrchestrator {
    type ReadLogStream = ReceiverStream<Result<ReadLogResponse, Status>>;

    async fn read_log(
        &self,
        _: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        Err(Status::unimplemented("not asked for by detectors"))
    }

    async fn observe_sessions(
        &self,
        request: Request<ObserveSessionsRequest>,
    ) -> Result<Response<ObserveSessionsResponse>, Status> {
        self.fail()?;
        let observations = request.into_inner().observations;
        let known = self.told.answers.lock().unwrap();
        let answer = |observation: &Observation| {
            let default = || Answer { lease: lease(9), ..Answer::default() };
            known.get(&observation.session_id).cloned().unwrap_or_else(default)
        };
        let answers = observations.iter().map(answer).collect();
        drop(known);
        self.told.observations.lock().unwrap().extend(observations);
        Ok(Response::new(ObserveSessionsResponse { answers }))
    }

    async fn report_verdicts(
        &self,
        request: Request<ReportVerdictsRequest>,
    ) -> Result<Response<ReportVerdictsResponse>, Status> {
        self.fail()?;
        for verdict in request.into_inner().verdicts {
            let _test_is_over = self.verdicts.send(verdict);
        }
        Ok(Response::new(ReportVerdictsResponse {}))
    }

    async fn apply_retry_decisions(
        &self,
        _: Request<ApplyRetryDecisionsRequest>,
    ) -> Result<Response<ApplyRetryDecisionsResponse>, Status> {
        Err(Status::unimplemented("not asked for by detectors"))
    }

    async fn list_shards(
        &self,
        _request: Request<ListShardsRequest>,
    ) -> Result<Response<ListShardsResponse>, Status> {
        Ok(Response::new(ListShardsResponse { shards: vec![0] }))
    }

    async fn get_statistics(
        &self,
        _: Request<GetStatisticsRequest>,
    ) -> Result<Response<GetStatisticsResponse>, Status> {
        Err(Status::unimplemented("not asked for by detectors"))
    }

    async fn list_faulted(
        &self,
        _: Request<ListFaultedRequest>,
    ) -> Result<Response<ListFaultedResponse>, Status> {
        Err(Status::unimplemented("not asked for by detectors"))
    }
}

/// A detector with its orchestrator.
pub(crate) struct Mesh {
    pub(crate) address: SocketAddr,
    pub(crate) told: Arc<Told>,
    pub(crate) verdicts: mpsc::UnboundedReceiver<Verdict>,
    pub(crate) directory: Directory,
    running: Vec<Running>,
}

pub(crate) async fn start_detector(
    config: Config,
    directory: Directory,
    on: TcpListener,
) -> Running {
    let stop = CancellationToken::new();
    let deps = Deps::new(directory, std::env::temp_dir(), stop);
    let service = build(config, deps).await.unwrap();
    serve(service, on).await
}

impl Mesh {
    pub(crate) async fn start(config: Config) -> Self {
        let told = Arc::<Told>::default();
        let (verdicts_in, verdicts) = mpsc::unbounded_channel();
        let fake = FakeOrchestrator { told: Arc::clone(&told), verdicts: verdicts_in };
        let mut orchestrator = Service::new("orchestrator");
        orchestrator.routes = Routes::new(OrchestratorServiceServer::new(fake));
        let listener = listen().await;
        let directory = Directory::new(ClientLimits::default());
        let uri = format!("http://{}", listener.local_addr().unwrap());
        directory.set("orchestrator", [uri]).unwrap();
        let fake = serve(orchestrator, listener).await;
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let detector = start_detector(config, directory.clone(), listener).await;
        Self { address, told, verdicts, directory, running: vec![fake, detector] }
    }

    /// The detector is gone as after a crash, and another one is there at the same address.
    pub(crate) async fn restart_detector(&mut self, config: Config) {
        let detector = self.running.pop().unwrap();
        detector.0.abort();
        let mut detector = detector;
        let _aborted = (&mut detector.0).await;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        self.running.push(start_detector(config, self.directory.clone(), listener).await);
    }

    pub(crate) async fn channel(&self) -> ReplicaChannel {
        connect(self.address).await
    }

    pub(crate) async fn client(&self) -> client::FailureDetectorServiceClient<ReplicaChannel> {
        client::FailureDetectorServiceClient::new(self.channel().await)
    }

    pub(crate) async fn evidence(&self) -> EvidenceServiceClient<ReplicaChannel> {
        EvidenceServiceClient::new(self.channel().await)
    }

    pub(crate) async fn verdict(&mut self) -> Verdict {
        soon(self.verdicts.recv()).await.unwrap()
    }

    /// Nothing is pronounced for this long.
    pub(crate) async fn quiet(&mut self, ms: u64) {
        let verdict = tokio::time::timeout(Duration::from_millis(ms), self.verdicts.recv()).await;
        assert!(verdict.is_err(), "{verdict:?}");
    }
}

pub(crate) async fn connect(address: SocketAddr) -> ReplicaChannel {
    Directory::new(ClientLimits::default()).connect(&format!("http://{address}")).unwrap()
}

/// A worker's heartbeat stream.
pub(crate) struct Worker {
    pub(crate) message: HeartbeatRequest,
    beats: mpsc::Sender<HeartbeatRequest>,
    answers: Streaming<HeartbeatResponse>,
}

impl Worker {
    /// Opens a stream on a connection of its own and beats once.
    pub(crate) async fn connect(address: SocketAddr, id: &str, incarnation: &str) -> Self {
        Self::open(connect(address).await, unsent(id, incarnation)).await
    }

    pub(crate) async fn open(channel: ReplicaChannel, message: HeartbeatRequest) -> Self {
        Self::open_with(channel, message, 1).await
    }

    /// Opens a stream on which so many heartbeats wait already.
    pub(crate) async fn open_with(
        channel: ReplicaChannel,
        mut message: HeartbeatRequest,
        count: usize,
    ) -> Self {
        let (beats, stream) = mpsc::channel(1_000);
        let mut client = client::FailureDetectorServiceClient::new(channel);
        for _ in 0..count {
            message.sequence += 1;
            beats.send(message.clone()).await.unwrap();
        }
        let answers = soon(client.heartbeat(ReceiverStream::new(stream))).await.unwrap();
        let mut worker = Self { message, beats, answers: answers.into_inner() };
        soon(worker.answers.message()).await.unwrap();
        worker
    }

    pub(crate) async fn send(&mut self) {
        self.message.sequence += 1;
        self.beats.send(self.message.clone()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> Result<Option<HeartbeatResponse>, Status> {
        soon(self.answers.message()).await
    }

    pub(crate) async fn beat(&mut self) -> HeartbeatResponse {
        self.send().await;
        self.answer().await.unwrap().unwrap()
    }

    /// Beats every 500 ms until the answer is as wished.
    pub(crate) async fn beat_until(
        &mut self,
        wished: impl Fn(&HeartbeatResponse) -> bool,
    ) -> HeartbeatResponse {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        soon(async {
            loop {
                ticks.tick().await;
                let answer = self.beat().await;
                if wished(&answer) {
                    return answer;
                }
            }
        })
        .await
    }

    /// Beats for ever; dropped, its stream is reset and its connection closed.
    pub(crate) fn keep_beating(mut self) -> Running {
        Running(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(500));
            loop {
                ticks.tick().await;
                self.message.sequence += 1;
                if self.beats.send(self.message.clone()).await.is_err() {
                    return;
                }
                let Ok(Some(_)) = self.answers.message().await else { return };
            }
        }))
    }

    /// Ends the stream in order, without a goodbye; the answers' end is read.
    pub(crate) async fn half_close(mut self) {
        drop(self.beats);
        while let Ok(Some(_)) = soon(self.answers.message()).await {}
    }
}

/// The heartbeat of a worker before its first.
pub(crate) fn unsent(id: &str, incarnation: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        session_id: format!("session-{id}-{incarnation}"),
        worker_id: id.into(),
        incarnation: incarnation.into(),
        ..HeartbeatRequest::default()
    }
}

pub(crate) fn attempt(id: &str, progress_count: u64) -> RunningAttempt {
    RunningAttempt { attempt_id: id.into(), progress_count, ..RunningAttempt::default() }
}
