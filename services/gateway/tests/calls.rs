//! Calls and streams pass unchanged, in both directions, and what cannot pass is said quickly.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod mesh;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mesh::*;
use planaria_gateway::{Config, UpstreamLimits};
use planaria_proto::failure_detector::v1::{
    HeartbeatRequest, failure_detector_service_client as failure_detector_client,
};
use planaria_proto::monitoring::v1::monitoring_service_server::MonitoringServiceServer;
use planaria_proto::monitoring::v1::*;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::task::v1::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_types::StatusExt;

#[tokio::test]
async fn a_unary_call_passes_with_metadata_both_ways_but_not_the_meshs_own() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    let mut request = Request::new(GetOverviewRequest {});
    request.set_timeout(Duration::from_secs(7));
    for name in ["x-color", "planaria-namespace"] {
        request.metadata_mut().insert(name, "red".parse().unwrap());
    }
    let response = soon(client.get_overview(request)).await.unwrap();
    assert_eq!(response.metadata().get("x-answer").unwrap(), "yes");
    let seen = response.into_inner().overview.unwrap().findings;
    assert!(seen.contains(&"x-color=red".to_owned()), "{seen:?}");
    assert!(seen.contains(&"te=trailers".to_owned()), "{seen:?}");
    assert!(seen.iter().any(|header| header.starts_with("grpc-timeout=")), "{seen:?}");
    let own: Vec<_> = seen.iter().filter(|header| header.starts_with("planaria-")).collect();
    assert!(own.contains(&&"planaria-hop=gateway".to_owned()), "{own:?}");
    let identity = own.iter().find_map(|header| header.strip_prefix("planaria-identity="));
    assert!(identity.unwrap().starts_with("1:admin:nobody:*:"), "{own:?}");
    assert_eq!(own.len(), 2, "{own:?}");
}

#[tokio::test]
async fn an_answer_that_is_nothing_but_a_status_passes_with_its_details() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    let status = soon(client.list_healings(ListHealingsRequest::default())).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.message(), "no such workflow: 100 % gone");
    assert_eq!(reason(&status), "WORKFLOW_NOT_FOUND");
}

#[tokio::test]
async fn a_server_stream_passes_to_its_end_and_its_status() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    let request = WatchOverviewRequest::default();
    let mut stream = soon(client.watch_overview(request)).await.unwrap().into_inner();
    for expected in 1..=3 {
        let message = soon(stream.next()).await.unwrap().unwrap();
        assert_eq!(message.overview.unwrap().tasks_queued, expected);
    }
    let status = soon(stream.next()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DataLoss, "the end"));
}

#[tokio::test]
async fn a_bidirectional_stream_passes_message_by_message() {
    let detector = failure_detector().await;
    let gateway = gateway(Config::default(), &[("failure-detector", detector.address)]).await;
    let mut client =
        failure_detector_client::FailureDetectorServiceClient::new(connect(&gateway.uri()).await);
    let (sender, receiver) = mpsc::channel(1);
    // The answer's head comes before any message is sent.
    let answers = soon(client.heartbeat(ReceiverStream::new(receiver))).await.unwrap();
    let mut answers = answers.into_inner();
    for sequence in 1..=100 {
        sender.send(HeartbeatRequest { sequence, ..Default::default() }).await.unwrap();
        assert_eq!(soon(answers.next()).await.unwrap().unwrap().sequence, sequence);
    }
    drop(sender);
    assert!(soon(answers.next()).await.is_none(), "the end of the request passes too");
}

#[tokio::test]
async fn a_long_message_passes_whole() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    let length = 4 * 1024 * 1024 - 16;
    let workflow_id = "x".repeat(length);
    let request = ListHealingsRequest { workflow_id, ..Default::default() };
    let status = soon(client.list_healings(request)).await.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["bytes"], length.to_string());
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_a_reason() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    let workflow_id = "x".repeat(4 * 1024 * 1024 + 1);
    let request = ListHealingsRequest { workflow_id, ..Default::default() };
    let status = soon(client.list_healings(request)).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    // The connection is as good as before.
    soon(client.get_overview(GetOverviewRequest {})).await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_ends_a_stream_with_a_reason() {
    let detector = failure_detector().await;
    let config = Config { message_bytes_max: 1_000, ..Config::default() };
    let gateway = gateway(config, &[("failure-detector", detector.address)]).await;
    let mut client =
        failure_detector_client::FailureDetectorServiceClient::new(connect(&gateway.uri()).await);
    let (sender, receiver) = mpsc::channel(1);
    let answers = soon(client.heartbeat(ReceiverStream::new(receiver))).await.unwrap();
    let mut answers = answers.into_inner();
    sender.send(HeartbeatRequest { sequence: 1, ..Default::default() }).await.unwrap();
    assert_eq!(soon(answers.next()).await.unwrap().unwrap().sequence, 1);
    let worker_id = "x".repeat(1_001);
    sender.send(HeartbeatRequest { worker_id, ..Default::default() }).await.unwrap();
    let status = soon(answers.next()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn a_worker_reaches_the_replica_that_it_names() {
    let replicas = [orchestrator("first").await, orchestrator("second").await];
    let upstreams = [0, 1].map(|at| ("orchestrator", replicas[at].address));
    let gateway = gateway(Config::default(), &upstreams).await;
    let mut client = TaskServiceClient::new(connect(&gateway.uri()).await);
    for (at, name) in ["first", "second", "second", "first"].iter().enumerate() {
        let uri = replicas[usize::from(*name == "second")].uri();
        // With and without the scheme.
        let uri = if at < 2 { uri.as_str() } else { uri.trim_start_matches("http://") };
        let mut pull = Request::new(PullTasksRequest::default());
        pull.metadata_mut().insert("planaria-replica", uri.parse().unwrap());
        let mut stream = soon(client.pull_tasks(pull)).await.unwrap().into_inner();
        let message = soon(stream.next()).await.unwrap().unwrap();
        assert_eq!(message.assignments[0].name, *name);

        let mut report = Request::new(ReportResultsRequest::default());
        report.metadata_mut().insert("planaria-replica", uri.parse().unwrap());
        let report = soon(client.report_results(report)).await.unwrap().into_inner();
        assert_eq!(report.verdicts[0].detail, *name);
    }
    let mut report = Request::new(ReportResultsRequest::default());
    report.metadata_mut().insert("planaria-replica", "127.0.0.1:1".parse().unwrap());
    soon(client.report_results(report)).await.expect("an unknown replica is any replica");
}

#[tokio::test]
async fn another_replica_is_tried_when_one_cannot_be_reached() {
    let replicas = [orchestrator("first").await, orchestrator("second").await];
    let upstreams = [0, 1].map(|at| ("orchestrator", replicas[at].address));
    let gateway = gateway(Config::default(), &upstreams).await;
    let mut client = TaskServiceClient::new(connect(&gateway.uri()).await);
    let [first, second] = replicas;
    first.crash().await;
    for _ in 0..10 {
        let report = soon(client.report_results(ReportResultsRequest::default())).await.unwrap();
        assert_eq!(report.into_inner().verdicts[0].detail, "second");
    }
    drop(second);
}

#[tokio::test]
async fn a_replica_that_cannot_answer_is_passed_over_for_a_while() {
    let replicas = [orchestrator(CUT_OFF).await, orchestrator("second").await];
    let upstreams = [0, 1].map(|at| ("orchestrator", replicas[at].address));
    let config = Config {
        upstream: UpstreamLimits { pass_over_ms: 60_000, ..UpstreamLimits::default() },
        ..Config::default()
    };
    let gateway = gateway(config, &upstreams).await;
    let mut client = TaskServiceClient::new(connect(&gateway.uri()).await);
    let mut failures = 0;
    for _ in 0..10 {
        match soon(client.report_results(ReportResultsRequest::default())).await {
            Ok(report) => assert_eq!(report.into_inner().verdicts[0].detail, "second"),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable);
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 1, "it is not asked again");
}

/// So many reports, each of which must be answered within a client's patience; by whom.
async fn reports(client: &mut TaskServiceClient<Channel>, count: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let report = client.report_results(ReportResultsRequest::default());
        let answer =
            timeout(Duration::from_millis(1_600), report).await.expect("it is not held up");
        names.insert(answer.unwrap().into_inner().verdicts[0].detail.clone());
    }
    names
}

fn both() -> BTreeSet<String> {
    ["first", "second"].map(str::to_owned).into()
}

#[tokio::test]
async fn a_replica_that_is_stopped_is_passed_over_and_used_again_when_it_goes_on() {
    let replicas = [orchestrator("first").await, orchestrator("second").await];
    let stopped = watch::Sender::new(false);
    let first = stoppable(replicas[0].address, stopped.subscribe()).await;
    let upstreams = [("orchestrator", first), ("orchestrator", replicas[1].address)];
    let gateway = gateway(Config::default(), &upstreams).await;
    let mut client = TaskServiceClient::new(connect(&gateway.uri()).await);
    assert_eq!(reports(&mut client, 10).await, both());
    stopped.send_replace(true);
    // Whoever calls it first waits in vain, and so shows that it is silent.
    let vain = (0..4).map(|_| {
        let mut client = client.clone();
        tokio::spawn(async move { client.report_results(ReportResultsRequest::default()).await })
    });
    let vain: Vec<_> = vain.collect();
    outage_of(Duration::from_millis(1_200)).await;
    assert_eq!(reports(&mut client, 20).await, ["second".to_owned()].into());
    // Its connections were given up meanwhile; new ones are accepted, but not answered.
    outage_of(Duration::from_millis(3_500)).await;
    assert_eq!(reports(&mut client, 20).await, ["second".to_owned()].into());
    vain.iter().for_each(tokio::task::JoinHandle::abort);
    stopped.send_replace(false);
    soon(async { while reports(&mut client, 4).await != both() {} }).await;
}

async fn outage_of(length: Duration) {
    sleep(length).await;
}

/// A way to a service that passes nothing on while it is stopped, but accepts connections, as the
/// kernel does for a process that is stopped.
async fn stoppable(to: SocketAddr, stopped: watch::Receiver<bool>) -> SocketAddr {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((outside, _)) = listener.accept().await {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let inside = TcpStream::connect(to).await.unwrap();
                let ((from, into), (back, out)) = (outside.into_split(), inside.into_split());
                tokio::join!(pass(from, out, stopped.clone()), pass(back, into, stopped));
            });
        }
    });
    address
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut stopped: watch::Receiver<bool>) {
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        drop(stopped.wait_for(|stopped| !stopped).await);
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_service_that_is_away_is_said_to_be_at_once_and_used_as_soon_as_it_is_back() {
    let monitoring = monitoring().await;
    let address = monitoring.address;
    let gateway = gateway(Config::default(), &[("monitoring", address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    soon(client.get_overview(GetOverviewRequest {})).await.unwrap();
    for _ in 0..3 {
        let status = soon(client.list_healings(ListHealingsRequest::default())).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
    // A call under way when the service dies ends too.
    let mut other = client.clone();
    let workflow_id = "never".to_owned();
    let request = ListHealingsRequest { workflow_id, ..Default::default() };
    let waiting = tokio::spawn(async move { other.list_healings(request).await });
    let mut stream =
        soon(client.watch_healings(WatchHealingsRequest {})).await.unwrap().into_inner();
    soon(stream.next()).await.unwrap().unwrap();
    monitoring.crash().await;
    let status = soon(waiting).await.unwrap().unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    let status = loop {
        if let Err(status) = soon(stream.next()).await.unwrap() {
            break status;
        }
    };
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));

    let asked = Instant::now();
    let status = soon(client.get_overview(GetOverviewRequest {})).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert_eq!(status.get_details_error_info().unwrap().metadata["service"], "monitoring");
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());

    let listener = TcpListener::bind(address).await.unwrap();
    let _again = serve(listener, Routes::new(MonitoringServiceServer::new(Fake::default())));
    soon(client.get_overview(GetOverviewRequest {})).await.expect("the first call finds it");
    let request = WatchHealingsRequest {};
    let mut stream = soon(client.watch_healings(request)).await.unwrap().into_inner();
    soon(stream.next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_service_without_an_address_is_not_available() {
    let gateway = gateway(Config::default(), &[]).await;
    let mut client = watcher(&gateway.uri()).await;
    let status = soon(client.get_overview(GetOverviewRequest {})).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
}

#[tokio::test]
async fn a_client_that_stops_reading_delays_no_one() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    // More streams than any window holds, none of which is read.
    let mut lazy = watcher(&gateway.uri()).await;
    let mut unread = Vec::new();
    for _ in 0..40 {
        unread.push(soon(lazy.watch_healings(WatchHealingsRequest {})).await.unwrap());
    }
    let mut client = watcher(&gateway.uri()).await;
    let request = WatchHealingsRequest {};
    let mut stream = soon(client.watch_healings(request)).await.unwrap().into_inner();
    for _ in 0..200 {
        soon(client.get_overview(GetOverviewRequest {})).await.unwrap();
        soon(stream.next()).await.unwrap().unwrap();
    }
    // Not even the lazy client itself, as far as unary calls go whose answers fit the rest of
    // its own connection's window.
    drop(unread);
    soon(lazy.get_overview(GetOverviewRequest {})).await.unwrap();
}
