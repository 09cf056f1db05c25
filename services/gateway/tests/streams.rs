//! What a service sees of the end of a client, and of the end of the gateway: a reset of the
//! stream is evidence that the client went; the loss of the connection is not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod mesh;

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use mesh::record::*;
use mesh::*;
use planaria_gateway::Config;
use planaria_proto::monitoring::v1::GetOverviewRequest;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::task::v1::{PullTasksRequest, PullTasksResponse};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

const PULL: &str = "/planaria.task.v1.TaskService/PullTasks";

/// A client with an open stream.
async fn pull(uri: &str) -> (TaskServiceClient<Channel>, Streaming<PullTasksResponse>) {
    let mut client = TaskServiceClient::new(connect(uri).await);
    let request = PullTasksRequest::default();
    let mut stream = soon(client.pull_tasks(request)).await.unwrap().into_inner();
    soon(stream.next()).await.unwrap().unwrap();
    (client, stream)
}

fn called(number: usize) -> Seen {
    Seen::Called(number, PULL.to_owned())
}

#[tokio::test]
async fn a_stream_that_its_client_leaves_is_reset_and_its_connection_lives_on() {
    let (address, mut seen) = record().await;
    let gateway = gateway(Config::default(), &[("orchestrator", address)]).await;
    let (mut client, stream) = pull(&gateway.uri()).await;
    assert_eq!(next(&mut seen).await, called(0));
    drop(stream);
    assert_eq!(next(&mut seen).await, Seen::Reset(0, Reason::CANCEL));
    // The next stream of the same client takes the same connection.
    let _stream = soon(client.pull_tasks(PullTasksRequest::default())).await.unwrap();
    assert_eq!(next(&mut seen).await, called(0));
}

#[tokio::test]
async fn a_client_that_dies_is_seen_as_resets_before_its_connection_ends() {
    let (address, mut seen) = record().await;
    let mut config = Config::default();
    config.upstream.linger_ms = 50;
    let gateway = gateway(config, &[("orchestrator", address)]).await;
    // A client whose socket is dropped while two streams are open.
    let (mut requests, streams, death) = raw_client(gateway.address, 2).await;
    assert_eq!((next(&mut seen).await, next(&mut seen).await), (called(0), called(0)));
    death.abort();
    let reset = Seen::Reset(0, Reason::CANCEL);
    assert_eq!((next(&mut seen).await, next(&mut seen).await), (reset.clone(), reset));
    assert_eq!(next(&mut seen).await, Seen::Closed(0));
    drop((requests.take(), streams));
}

type Bodies = Vec<h2::RecvStream>;

/// An HTTP/2 client that can die: aborting its task drops the socket without a word.
async fn raw_client(
    address: SocketAddr,
    streams: usize,
) -> (Option<h2::client::SendRequest<Bytes>>, Bodies, tokio::task::AbortHandle) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
    let task = tokio::spawn(connection);
    let mut bodies = Vec::new();
    for _ in 0..streams {
        sender = sender.ready().await.unwrap();
        let request = http::Request::post(format!("http://{address}{PULL}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(());
        let (response, mut body) = sender.send_request(request.unwrap(), false).unwrap();
        body.send_data(framed(&PullTasksRequest::default()), true).unwrap();
        bodies.push(soon(response).await.unwrap().into_body());
    }
    (Some(sender), bodies, task.abort_handle())
}

#[tokio::test]
async fn each_client_has_its_own_connection_for_streams_and_shares_those_for_calls() {
    let (address, mut seen) = record().await;
    let mut config = Config::default();
    config.upstream.unary_connections = 1;
    let upstreams = [("orchestrator", address), ("monitoring", address)];
    let gateway = gateway(config, &upstreams).await;
    let (_first, _first_stream) = pull(&gateway.uri()).await;
    let (_second, _second_stream) = pull(&gateway.uri()).await;
    assert_eq!((next(&mut seen).await, next(&mut seen).await), (called(0), called(1)));
    for _ in 0..2 {
        let mut client = watcher(&gateway.uri()).await;
        soon(client.get_overview(GetOverviewRequest {})).await.unwrap();
        let Seen::Called(number, _) = next(&mut seen).await else { panic!("not called") };
        assert_eq!(number, 2);
    }
}

#[tokio::test]
async fn a_gateway_that_drains_drops_the_connections_of_streams_whole() {
    let (address, mut seen) = record().await;
    let gateway = gateway(Config::default(), &[("orchestrator", address)]).await;
    let (_client, mut stream) = pull(&gateway.uri()).await;
    let (_other, _other_stream) = pull(&gateway.uri()).await;
    assert_eq!((next(&mut seen).await, next(&mut seen).await), (called(0), called(1)));
    let draining = tokio::spawn(gateway.drain());
    let status = soon(stream.next()).await.unwrap().unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "GATEWAY_DRAINING"));
    assert_whole(&mut seen, 2).await;
    soon(draining).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gateway_that_crashes_drops_the_connections_of_streams_whole() {
    let (address, mut seen) = record().await;
    let gateway = gateway(Config::default(), &[("orchestrator", address)]).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(pull(&gateway.uri()).await);
        assert_eq!(next(&mut seen).await, called(number));
    }
    gateway.crash().await;
    assert_whole(&mut seen, CLIENTS).await;
}

/// The more, the likelier that one of them is in the middle of something.
const CLIENTS: usize = 16;

/// Streams on connections of their own ended with them, none by a reset.
async fn assert_whole(seen: &mut mpsc::UnboundedReceiver<Seen>, connections: usize) {
    let mut ends = Vec::new();
    for _ in 0..connections * 2 {
        ends.push(next(seen).await);
    }
    for number in 0..connections {
        assert!(ends.contains(&Seen::Broken(number)), "{ends:?}");
        assert!(ends.contains(&Seen::Closed(number)), "{ends:?}");
    }
}
