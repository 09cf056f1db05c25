//! A retry engine that has gates held, and grants no probes.

use std::sync::Arc;

use planaria_proto::retry::v1::retry_gate_service_server::{
    RetryGateService, RetryGateServiceServer,
};
use planaria_proto::retry::v1::*;
use planaria_runtime::{ServerLimits, Service};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

const NAME: &str = "retry-engine";

/// The retry engine.
pub(crate) struct Gatekeeper {
    /// Where it answers.
    pub(crate) uri: String,
    gates: watch::Sender<Vec<Gate>>,
    /// How often somebody asked for a probe.
    pub(crate) asked: watch::Receiver<u32>,
    _stop: DropGuard,
}

#[derive(Clone)]
struct Served {
    gates: watch::Receiver<Vec<Gate>>,
    asked: Arc<watch::Sender<u32>>,
}

#[tonic::async_trait]
impl RetryGateService for Served {
    type WatchGatesStream = std::pin::Pin<
        Box<dyn tokio_stream::Stream<Item = Result<WatchGatesResponse, Status>> + Send>,
    >;

    async fn watch_gates(
        &self,
        _request: Request<WatchGatesRequest>,
    ) -> Result<Response<Self::WatchGatesStream>, Status> {
        let all = WatchStream::new(self.gates.clone());
        let told = all.map(|gates| Ok(WatchGatesResponse { gates, complete: true }));
        Ok(Response::new(Box::pin(told)))
    }

    async fn take_probes(
        &self,
        _request: Request<TakeProbesRequest>,
    ) -> Result<Response<TakeProbesResponse>, Status> {
        self.asked.send_modify(|asked| *asked += 1);
        Ok(Response::new(TakeProbesResponse { granted: 0 }))
    }
}

impl Gatekeeper {
    /// One that holds the destinations of a function in the namespace of tests.
    pub(crate) async fn new(function: &str, destinations: &[&str]) -> Self {
        let gates = destinations.iter().map(|destination| Gate {
            key: Some(BreakerKey {
                namespace: "test".to_owned(),
                function: function.to_owned(),
                destination: (*destination).to_owned(),
            }),
            phase: BreakerPhase::HalfOpen.into(),
            ..Gate::default()
        });
        let (gates, told) = watch::channel(gates.collect());
        let (asking, asked) = watch::channel(0);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("an address"));
        let mut service = Service::new(NAME);
        let served = Served { gates: told, asked: Arc::new(asking) };
        service.routes = tonic::service::Routes::new(RetryGateServiceServer::new(served));
        let stop = CancellationToken::new();
        let (limits, token) = (ServerLimits::default(), stop.clone());
        tokio::spawn(planaria_runtime::serve(service, listener, None, limits, token));
        Self { uri, gates, asked, _stop: stop.drop_guard() }
    }

    /// Nothing is held any more.
    pub(crate) fn open_all(&self) {
        self.gates.send_replace(Vec::new());
    }
}
