//! A receiver of webhooks that answers what a test says, and keeps what it got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use planaria_fake_mesh::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn event(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a request gets.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    /// With a header.
    Header(u16, &'static str, &'static str),
    Body(u16, String),
    /// None, ever.
    Nothing,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    count: watch::Sender<usize>,
}

impl Sink {
    /// Answers by the number of the request, from 0.
    pub(crate) async fn start(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Self { address, received: Arc::default(), count: watch::Sender::new(0) };
        let serving = sink.clone();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sink, answer) = (serving.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (sink, answer) = (sink.clone(), Arc::clone(&answer));
                        async move { sink.respond(request, &*answer).await }
                    });
                    // A sender that goes away is none of the test's.
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _gone = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        sink
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// By a name that is looked up.
    pub(crate) fn url_by_name(&self) -> String {
        format!("http://localhost:{}/hook", self.address.port())
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until so many requests came.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut counted = self.count.subscribe();
        let waiting = counted.wait_for(|now| *now >= count);
        tokio::time::timeout(PATIENCE, waiting).await.expect("the requests came").unwrap();
        self.received()
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        answer: &(impl Fn(usize) -> Answer + ?Sized),
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let number = {
            let mut received = self.received.lock().unwrap();
            received.push(Received { headers: parts.headers, body });
            received.len() - 1
        };
        self.count.send_replace(number + 1);
        let status = |status: u16| Response::builder().status(status);
        let response = match answer(number) {
            Answer::Status(code) => status(code).body(Full::default()),
            Answer::Header(code, name, value) => {
                status(code).header(name, value).body(Full::default())
            }
            Answer::Body(code, body) => status(code).body(Full::from(body)),
            Answer::Nothing => std::future::pending().await,
        };
        Ok(response.unwrap())
    }
}
