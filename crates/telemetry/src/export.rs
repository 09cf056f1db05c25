//! One call of the collector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::messages::{ExportTraceServiceRequest, ExportTraceServiceResponse, ResourceSpans};
use crate::{Error, Span};

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const CONNECT_MAX: Duration = Duration::from_secs(1);
const CALL_MAX: Duration = Duration::from_secs(3);

/// A span and the service that it is of.
pub(crate) type Told = (Arc<str>, Span);

/// A collector. Connects with the first call, and again whenever that broke; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    channel: Channel,
}

impl Collector {
    /// The collector at `http://host:port`. Must be called inside a tokio runtime.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Address { reason: reason.to_owned() };
        let endpoint =
            Endpoint::from_shared(url.trim().to_owned()).map_err(|_| refuse("it is not a URI"))?;
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => return Err(refuse("TLS to the collector is not supported")),
            _ => return Err(refuse("it must start with http://")),
        }
        let channel = endpoint.connect_timeout(CONNECT_MAX).timeout(CALL_MAX).connect_lazy();
        Ok(Self { channel })
    }

    /// Sends spans, once.
    pub(crate) async fn export(&self, told: Vec<Told>) -> Result<(), Error> {
        let mut by_service: BTreeMap<Arc<str>, Vec<Span>> = BTreeMap::new();
        for (service, span) in told {
            by_service.entry(service).or_default().push(span);
        }
        let spans = by_service.into_iter();
        let resource_spans = spans.map(|(service, spans)| ResourceSpans::of(&service, spans));
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        let answer = tokio::time::timeout(CALL_MAX, self.call(request)).await;
        let answer = answer.map_err(|_| Error::Refused("no answer in time".into()))?;
        let answer = answer.map_err(|status| Error::Refused(status.to_string()))?;
        match answer.partial_success {
            Some(partial) if partial.rejected_spans > 0 => {
                let (count, why) = (partial.rejected_spans, partial.error_message);
                Err(Error::Refused(format!("{count} spans: {why}")))
            }
            _ => Ok(()),
        }
    }

    async fn call(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, tonic::Status> {
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::default();
        let path = PathAndQuery::from_static(METHOD);
        let answer = client.unary(tonic::Request::new(request), path, codec).await?;
        Ok(answer.into_inner())
    }
}
