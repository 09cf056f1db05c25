//! The end of a key is the end of its calls, whatever their client does: go on sending, read
//! nothing, or take its time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod mesh;

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use mesh::keys::*;
use mesh::record::*;
use mesh::*;
use planaria_gateway::Config;
use planaria_proto::failure_detector::v1::HeartbeatRequest;
use planaria_proto::gateway::v1::access_service_client::AccessServiceClient;
use planaria_proto::gateway::v1::{CreateApiKeyRequest, RevokeApiKeyRequest, Role};
use planaria_proto::monitoring::v1::GetOverviewRequest;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::task::v1::ReportResultsRequest;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory};
use planaria_store::testing::TestDatabase;
use sqlx::Connection;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

const BEAT: &str = "/planaria.failure_detector.v1.FailureDetectorService/Heartbeat";
const REPORT: &str = "/planaria.task.v1.TaskService/ReportResults";
/// How long a key that was revoked may still be good.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

struct Scene {
    gateway: Running<Result<(), planaria_gateway::Error>>,
    seen: mpsc::UnboundedReceiver<Seen>,
    id: String,
    key: String,
}

impl Scene {
    /// A guarded gateway before a service that tells what it saw, and a worker's key.
    async fn new() -> Self {
        let (address, seen) = record().await;
        let upstreams = [("failure-detector", address), ("orchestrator", address)];
        // As it is set by default.
        let config = Config { key_refresh_ms: Config::default().key_refresh_ms, ..guarded() };
        let gateway = gateway(config, &upstreams).await;
        let (id, key) = create(&gateway.uri(), ADMIN, Role::Worker, "shop").await;
        Self { gateway, seen, id, key }
    }

    /// A connection whose client takes as much as this of an answer.
    async fn connect(&self, window: u32) -> SendRequest<Bytes> {
        let socket = TcpStream::connect(self.gateway.address).await.unwrap();
        let mut client = h2::client::Builder::new();
        let (sender, connection) =
            client.initial_window_size(window).handshake(socket).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn call(
        &self,
        client: &SendRequest<Bytes>,
        path: &str,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = http::Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {}", self.key))
            .body(())
            .unwrap();
        soon(client.clone().ready()).await.unwrap().send_request(request, false).unwrap()
    }

    async fn revoke(&self) {
        let mut access = AccessServiceClient::new(showing(&self.gateway.uri(), ADMIN).await);
        soon(access.revoke_api_key(RevokeApiKeyRequest { id: self.id.clone() })).await.unwrap();
    }

    /// The service sees the end of the stream that it was called on.
    async fn is_reset(&mut self) {
        let seen = tokio::time::timeout(ENDED_WITHIN, next(&mut self.seen)).await;
        assert_eq!(seen.expect("it ends with its key"), Seen::Reset(0, Reason::CANCEL));
    }
}

async fn status_of(body: &mut RecvStream) -> Status {
    while let Some(chunk) = soon(body.data()).await {
        body.flow_control().release_capacity(chunk.unwrap().len()).unwrap();
    }
    let trailers = soon(body.trailers()).await.unwrap().unwrap();
    Status::from_header_map(&trailers).unwrap()
}

fn assert_ended(status: &Status) {
    let told = (status.code(), reason(status));
    assert_eq!(told, (Code::Unauthenticated, "API_KEY_ENDED".to_owned()));
}

#[tokio::test]
async fn what_a_client_goes_on_to_send_does_not_pass() {
    let mut scene = Scene::new().await;
    let client = scene.connect(65_535).await;
    let (answer, mut body) = scene.call(&client, BEAT).await;
    body.send_data(framed(&HeartbeatRequest::default()), false).unwrap();
    let mut answer = soon(answer).await.unwrap().into_body();
    assert_eq!(next(&mut scene.seen).await, Seen::Called(0, BEAT.to_owned()));
    scene.revoke().await;
    assert_ended(&status_of(&mut answer).await);
    // The client's side of the stream is still open.
    scene.is_reset().await;
    drop(body);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_waited_for() {
    let mut scene = Scene::new().await;
    let client = scene.connect(0).await;
    let (answer, mut body) = scene.call(&client, BEAT).await;
    body.send_data(framed(&HeartbeatRequest::default()), false).unwrap();
    let answer = soon(answer).await.unwrap().into_body();
    assert_eq!(next(&mut scene.seen).await, Seen::Called(0, BEAT.to_owned()));
    scene.revoke().await;
    scene.is_reset().await;
    let reset = soon(std::future::poll_fn(|context| body.poll_reset(context))).await;
    assert_eq!(reset.unwrap(), Reason::CANCEL);
    drop(answer);
}

#[tokio::test]
async fn a_request_that_is_still_on_its_way_is_refused() {
    let mut scene = Scene::new().await;
    let client = scene.connect(65_535).await;
    let (answer, mut body) = scene.call(&client, REPORT).await;
    // The answer of a second call shows that the gateway has let the first one in.
    let (other, mut whole) = scene.call(&client, REPORT).await;
    whole.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
    soon(other).await.unwrap();
    assert_eq!(next(&mut scene.seen).await, Seen::Called(0, REPORT.to_owned()));
    scene.revoke().await;
    let answer = tokio::time::timeout(ENDED_WITHIN, answer).await.expect("it ends with its key");
    assert_ended(&Status::from_header_map(answer.unwrap().headers()).unwrap());
    // What comes now is too late for any service.
    let _over = body.send_data(Bytes::from_static(&[0; 5]), true);
    let (late, _late) = scene.call(&client, REPORT).await;
    let head = soon(late).await.unwrap();
    assert_eq!(reason(&Status::from_header_map(head.headers()).unwrap()), "API_KEY_REVOKED");
    assert!(scene.seen.try_recv().is_err());
}

#[tokio::test]
async fn keys_that_come_and_go_change_nothing_for_one_that_is_in_use() {
    let mut scene = Scene::new().await;
    let client = scene.connect(65_535).await;
    let (answer, body) = scene.call(&client, BEAT).await;
    let mut answer = soon(answer).await.unwrap().into_body();
    assert_eq!(next(&mut scene.seen).await, Seen::Called(0, BEAT.to_owned()));
    let uri = scene.gateway.uri();
    let request = CreateApiKeyRequest {
        role: Role::Worker.into(),
        requests_per_second: 1,
        requests_burst: 2,
        ..CreateApiKeyRequest::default()
    };
    let slow = create_with(&uri, ADMIN, request).await.unwrap().1;
    let report = async || {
        let mut tasks = TaskServiceClient::new(showing(&uri, &slow).await);
        soon(tasks.report_results(ReportResultsRequest::default())).await
    };
    // What is left of a burst is not given back by a new look at the keys.
    report().await.unwrap();
    create(&uri, ADMIN, Role::Reader, "*").await;
    report().await.unwrap();
    create(&uri, ADMIN, Role::Reader, "*").await;
    let status = report().await.unwrap_err();
    assert_eq!(reason(&status), "RATE_LIMITED");
    // And the end of a key is that of the streams from before.
    scene.revoke().await;
    assert_ended(&status_of(&mut answer).await);
    drop(body);
}

#[tokio::test]
async fn while_the_keys_cannot_be_read_those_known_are_good_for_a_while_and_then_none() {
    let database = TestDatabase::create().await;
    let monitoring = monitoring().await;
    let directory = Directory::new(ClientLimits::default());
    directory.set("monitoring", [monitoring.uri()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut deps = Deps::new(directory, folder.path(), CancellationToken::new());
    deps.store.url.clone_from(&database.url);
    let config = Config { keys_stale_ms_max: 1_500, ..guarded() };
    let gateway = gateway_with(config, deps).await;
    let (_, key) = create(&gateway.uri(), ADMIN, Role::Reader, "*").await;
    let mut client = MonitoringServiceClient::new(showing(&gateway.uri(), &key).await);
    let mut stranger =
        MonitoringServiceClient::new(showing(&gateway.uri(), "planaria_no_body").await);
    soon(client.get_overview(GetOverviewRequest {})).await.unwrap();

    let mut connection = sqlx::PgConnection::connect(&database.url).await.unwrap();
    sqlx::query("DROP TABLE gateway.revision").execute(&mut connection).await.unwrap();
    let began = Instant::now();
    soon(client.get_overview(GetOverviewRequest {})).await.unwrap();
    let status = soon(stranger.get_overview(GetOverviewRequest {})).await.unwrap_err();
    assert_eq!(reason(&status), "API_KEY_INVALID");
    let ended = async {
        loop {
            if let Err(status) = client.get_overview(GetOverviewRequest {}).await {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    let status = soon(ended).await;
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "ACCESS_UNKNOWN"));
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
}
