//! A service that tells what it saw of its callers: whom it answered, and how their streams ended.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use planaria_proto::monitoring::v1::GetOverviewResponse;
use planaria_proto::task::v1::PullTasksResponse;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{framed, listen, soon};

/// What a service saw, with the number of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Called(usize, String),
    Reset(usize, Reason),
    /// The stream ended with its connection, not by a reset.
    Broken(usize),
    /// The connection ended.
    Closed(usize),
}

/// A service that answers every call with one empty message and leaves streams open.
pub(crate) async fn record() -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(record_connection(stream, number, sender.clone()));
        }
    });
    (address, receiver)
}

async fn record_connection(stream: TcpStream, number: usize, seen: mpsc::UnboundedSender<Seen>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let path = request.uri().path().to_owned();
        tokio::spawn(record_call(respond, path, number, seen.clone()));
    }
    let _ = seen.send(Seen::Closed(number));
}

async fn record_call(
    mut respond: SendResponse<Bytes>,
    path: String,
    number: usize,
    seen: mpsc::UnboundedSender<Seen>,
) {
    let streaming = ["Pull", "Watch", "Heartbeat"].iter().any(|word| path.contains(word));
    seen.send(Seen::Called(number, path)).unwrap();
    let head = http::Response::builder().header("content-type", "application/grpc").body(());
    let mut stream = respond.send_response(head.unwrap(), false).unwrap();
    if streaming {
        stream.send_data(framed(&PullTasksResponse::default()), false).unwrap();
        let end = std::future::poll_fn(|context| stream.poll_reset(context)).await;
        let _ = seen.send(match end {
            Ok(reason) => Seen::Reset(number, reason),
            Err(_) => Seen::Broken(number),
        });
    } else {
        stream.send_data(framed(&GetOverviewResponse::default()), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        stream.send_trailers(trailers).unwrap();
    }
}

/// What it saw next.
pub(crate) async fn next(seen: &mut mpsc::UnboundedReceiver<Seen>) -> Seen {
    soon(seen.recv()).await.unwrap()
}
