use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Wire;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::{ClientLimits, Directory, ServiceChannel};

pub(super) struct World {
    stop: CancellationToken,
    pub(super) client: HealthClient<ServiceChannel>,
    running: JoinHandle<Result<(), Error>>,
    pub(super) uri: String,
}

async fn start(service: Service, drain_ms: u64) -> World {
    start_with(service, ServerLimits { drain_ms, ..ServerLimits::default() }).await
}

pub(super) async fn start_with(service: Service, limits: ServerLimits) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let directory = Directory::new(ClientLimits::default());
    directory.set("sample", [&uri]).unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(serve(service, listener, None, limits, stop.clone()));
    let client = HealthClient::new(directory.channel("sample"));
    World { stop, client, running, uri }
}

pub(super) fn whole() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

#[tokio::test]
async fn health_follows_readiness_and_the_service_drains_when_told() {
    let service = Service::new("sample");
    let store = service.health.part("store");
    let mut world = start(service, 5_000).await;
    let before = world.client.check(whole()).await.unwrap().into_inner();
    assert_eq!(before.status(), Wire::NotServing);

    let mut watch = world.client.watch(whole()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Wire::NotServing);
    store.set(true);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Wire::Serving);

    world.stop.cancel();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Wire::NotServing);
    drop(watch);
    world.running.await.unwrap().unwrap();
    let after = world.client.check(whole()).await.unwrap_err();
    assert_eq!(after.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_stream_that_stays_open_is_cut_at_the_end_of_the_drain() {
    let mut world = start(Service::new("sample"), 20).await;
    let mut watch = world.client.watch(whole()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    world.stop.cancel();
    world.running.await.unwrap().unwrap();
    // The last status may have been sent before the cut; after it there is only the error.
    let error = loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended as if it were complete"),
            Err(error) => break error,
        }
    };
    assert_ne!(error.code(), Code::Ok);
}

#[tokio::test]
async fn dropping_the_future_is_a_crash() {
    let mut world = start(Service::new("sample"), 60_000).await;
    let mut watch = world.client.watch(whole()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    world.running.abort();
    assert!(watch.message().await.is_err());
}

#[tokio::test]
async fn a_lost_background_task_brings_the_service_down() {
    let mut ends = Service::new("sample");
    ends.spawn("loop", async {});
    let error = start(ends, 5_000).await.running.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "background task `loop` of sample ended before the stop");

    let mut panics = Service::new("sample");
    panics.spawn("loop", async { panic!("out of {}", "luck") });
    let error = start(panics, 5_000).await.running.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "background task `loop` of sample panicked: out of luck");
}

#[tokio::test]
async fn a_background_task_may_end_after_the_stop() {
    let mut service = Service::new("sample");
    let (input, fed) = oneshot::channel::<()>();
    let (ended, has_ended) = oneshot::channel();
    service.spawn("loop", async move {
        fed.await.unwrap();
        ended.send(()).unwrap();
    });
    let world = start(service, 60_000).await;
    world.stop.cancel();
    input.send(()).unwrap();
    has_ended.await.unwrap();
    world.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_takes_too_long() {
    let mut service = Service::new("sample");
    type Answer = Result<http::Response<tonic::body::Body>, std::convert::Infallible>;
    let path = "/planaria.sample.v1.SampleService/Hang";
    let router = std::mem::take(&mut service.routes).into_axum_router();
    let hang = tower::service_fn(|_| std::future::pending::<Answer>());
    service.routes = router.route_service(path, hang).into();
    let limits = ServerLimits { request_ms_max: 10, ..ServerLimits::default() };
    let world = start_with(service, limits).await;
    let channel = Directory::new(ClientLimits::default()).connect(&world.uri).unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let request = tonic::Request::new(whole());
    let path = http::uri::PathAndQuery::from_static(path);
    let codec = tonic_prost::ProstCodec::<_, HealthCheckRequest>::default();
    let answer = client.unary(request, path, codec).await;
    assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_stated_limits_are_announced_to_the_peer() {
    let limits = ServerLimits { streams_max: 7, ..ServerLimits::default() };
    let world = start_with(Service::new("sample"), limits).await;
    let stream = TcpStream::connect(world.uri.trim_start_matches("http://")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::get("http://sample/").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    answer.await.unwrap();
    assert_eq!(client.current_max_send_streams(), 7);
    driver.abort();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let limits = ServerLimits { connections_max: 1, ..ServerLimits::default() };
    let mut world = start_with(Service::new("sample"), limits).await;
    world.client.check(whole()).await.unwrap();
    let directory = Directory::new(ClientLimits::default());
    let mut second = HealthClient::new(directory.connect(&world.uri).unwrap());
    assert!(second.check(whole()).await.is_err());
    world.client.check(whole()).await.unwrap();
}

#[tokio::test]
async fn calls_are_counted_by_method_and_outcome() {
    let service = Service::new("sample");
    let metrics = service.metrics.clone();
    let mut world = start(service, 5_000).await;
    world.client.check(whole()).await.unwrap();
    let unknown = HealthCheckRequest { service: "unknown".into() };
    assert_eq!(world.client.check(unknown).await.unwrap_err().code(), Code::NotFound);
    let mut watch = world.client.watch(whole()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();
    let of = |method: &str| format!("service=\"sample\",method=\"grpc.health.v1.Health/{method}\"");
    let (check, watched) = (of("Check"), of("Watch"));
    let text = metrics.encode();
    for line in [
        format!("planaria_rpc_calls_total{{{check},code=\"Ok\"}} 1"),
        format!("planaria_rpc_calls_total{{{check},code=\"NotFound\"}} 1"),
        format!("planaria_rpc_seconds_count{{{check}}} 2"),
        format!("planaria_rpc_open{{{check}}} 0"),
        format!("planaria_rpc_open{{{watched}}} 1"),
    ] {
        assert!(text.contains(&line), "{line} is missing in:\n{text}");
    }
}
