//! A real server can tell how a worker's stream ended, by every way that it can.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mesh;

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use mesh::{Running, listen, soon};
use planaria_failure_detector::classify;
use planaria_kernel::liveness::Loss;
use planaria_proto::failure_detector::v1::failure_detector_service_server::*;
use planaria_proto::failure_detector::v1::*;
use planaria_runtime::Service;
use planaria_runtime::identity::{HEADER, Secret, Signer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// Tells how each stream of heartbeats ends.
struct Listener(mpsc::UnboundedSender<Option<Loss>>);

#[tonic::async_trait]
impl FailureDetectorService for Listener {
    type HeartbeatStream = ReceiverStream<Result<HeartbeatResponse, Status>>;
    type WatchWorkersStream = ReceiverStream<Result<WatchWorkersResponse, Status>>;

    async fn heartbeat(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let ends = self.0.clone();
        let (answers, answered) = mpsc::channel(1);
        let behind_hop = request.metadata().contains_key("planaria-hop");
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            let _open = answers;
            let end = loop {
                match requests.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Some(Loss::Closed),
                    Err(status) => break classify(&status, behind_hop),
                }
            };
            let _test_is_over = ends.send(end);
        });
        Ok(Response::new(ReceiverStream::new(answered)))
    }

    async fn list_workers(
        &self,
        _: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn watch_workers(
        &self,
        _: Request<WatchWorkersRequest>,
    ) -> Result<Response<Self::WatchWorkersStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn drain_worker(
        &self,
        _: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

/// A heartbeat stream by hand, as a worker or a gateway has it.
struct Raw {
    stream: h2::SendStream<Bytes>,
    sender: h2::client::SendRequest<Bytes>,
    connection: Running,
    _answers: h2::RecvStream,
}

enum End {
    Reset(Reason),
    HalfClose,
    /// The process was killed: the kernel closes its connection.
    Killed,
    /// The client says goodbye to the connection and closes it.
    GoAway,
    Malformed,
}

async fn open(address: std::net::SocketAddr, hop: bool) -> Raw {
    let socket = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    let connection = Running(tokio::spawn(async move {
        let _ended = connection.await;
    }));
    let mut sender = sender.ready().await.unwrap();
    let path = "planaria.failure_detector.v1.FailureDetectorService/Heartbeat";
    let mut request = http::Request::post(format!("http://{address}/{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header(HEADER, Signer::for_service(Secret::default(), "gateway").header().unwrap());
    if hop {
        request = request.header("planaria-hop", "gateway");
    }
    let (answer, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    // An empty message: five bytes of zero.
    stream.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
    let answers = soon(answer).await.unwrap().into_body();
    Raw { stream, sender, connection, _answers: answers }
}

async fn end_of(end: End, hop: bool) -> Option<Loss> {
    let (ends_in, mut ends) = mpsc::unbounded_channel();
    let mut service = Service::new("fake");
    service.routes = Routes::new(FailureDetectorServiceServer::new(Listener(ends_in)));
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let _server = mesh::serve(service, listener).await;
    let mut raw = open(address, hop).await;
    match end {
        End::Reset(reason) => raw.stream.send_reset(reason),
        End::HalfClose => raw.stream.send_data(Bytes::new(), true).unwrap(),
        End::Killed => raw.connection.0.abort(),
        End::GoAway => {
            drop(raw.sender);
            raw.connection.0.abort();
        }
        End::Malformed => raw.stream.send_data(Bytes::from_static(&[9; 50]), false).unwrap(),
    }
    let seen = tokio::time::timeout(Duration::from_millis(500), ends.recv()).await;
    seen.expect("the end is seen at once").unwrap()
}

#[tokio::test]
async fn every_end_is_told_apart() {
    for hop in [false, true] {
        let lost = if hop { Loss::Hop } else { Loss::Connection };
        for (end, expected) in [
            (End::Reset(Reason::INTERNAL_ERROR), Some(Loss::Reset)),
            (End::Reset(Reason::REFUSED_STREAM), Some(Loss::Reset)),
            // These arrive as an end in order, which is evidence just as well.
            (End::Reset(Reason::CANCEL), Some(Loss::Closed)),
            (End::Reset(Reason::NO_ERROR), Some(Loss::Closed)),
            (End::HalfClose, Some(Loss::Closed)),
            (End::Killed, Some(lost)),
            (End::GoAway, Some(lost)),
            (End::Malformed, None),
        ] {
            assert_eq!(end_of(end, hop).await, expected, "behind a hop: {hop}");
        }
    }
}
