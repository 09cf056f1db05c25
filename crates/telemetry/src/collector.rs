//! For tests: a collector that keeps what it is told, by OpenTelemetry's own messages.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

type Told = Arc<Mutex<Vec<(String, Span)>>>;

/// Listens on a port of its own.
#[derive(Debug)]
pub struct Collector {
    /// Where it takes spans.
    pub url: String,
    address: SocketAddr,
    told: Told,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

struct Service {
    told: Told,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = text(&attributes, "service.name");
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            told.extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// One that listens.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let url = format!("http://{address}");
        let mut collector = Self { url, address, told: Told::default(), running: None };
        collector.serve(listener);
        collector
    }

    fn serve(&mut self, listener: TcpListener) {
        let (stop, stopped) = oneshot::channel();
        let service = TraceServiceServer::new(Service { told: Arc::clone(&self.told) });
        let served = Server::builder().add_service(service).serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            async move {
                drop(stopped.await);
            },
        );
        let running = tokio::spawn(async move { served.await.expect("it serves") });
        self.running = Some((stop, running));
    }

    /// Listens no more.
    ///
    /// # Panics
    /// It broke before.
    pub async fn stop(&mut self) {
        if let Some((stop, running)) = self.running.take() {
            drop(stop);
            running.await.expect("it ends");
        }
    }

    /// Listens again, where it did.
    ///
    /// # Panics
    /// Somebody else does.
    pub async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("its port is free");
        self.serve(listener);
    }

    /// Services and their spans, so far.
    #[must_use]
    pub fn told(&self) -> Vec<(String, Span)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An attribute of a span, as text.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> String {
    text(&span.attributes, key)
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        // No test expects this.
        other => format!("{other:?}"),
    }
}
