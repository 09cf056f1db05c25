//! Plain requests of HTTP, as browsers and other programs send them.

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::soon;

/// Sends one request over a connection of its own.
pub(crate) async fn send(gateway: &str, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let address = gateway.trim_start_matches("http://");
    let socket = TcpStream::connect(address).await.unwrap();
    let response = if request.version() == Version::HTTP_2 {
        let io = TokioIo::new(socket);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        soon(sender.send_request(request)).await.unwrap()
    } else {
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        soon(sender.send_request(request)).await.unwrap()
    };
    let (head, body) = response.into_parts();
    Response::from_parts(head, soon(body.collect()).await.unwrap().to_bytes())
}
