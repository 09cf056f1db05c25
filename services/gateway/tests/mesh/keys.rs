//! Clients with API keys, and a service that tells who called it.

use std::convert::Infallible;

use http::uri::PathAndQuery;
use planaria_gateway::Config;
use planaria_proto::FILE_DESCRIPTOR_SET;
use planaria_proto::gateway::v1::access_service_client::AccessServiceClient;
use planaria_proto::gateway::v1::{CreateApiKeyRequest, Role};
use planaria_runtime::identity::HEADER;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::service::Interceptor;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::{Running, connect, listen, serve, soon};

/// In the settings of the gateways here.
pub(crate) const ADMIN: &str = "the key of the first administrator of this test";

/// Whoever calls must show a key.
pub(crate) fn guarded() -> Config {
    Config {
        authentication: true,
        admin_key: ADMIN.into(),
        key_refresh_ms: 20,
        ..Config::default()
    }
}

/// Shows a key with every call.
#[derive(Clone)]
pub(crate) struct Shown(AsciiMetadataValue);

impl Interceptor for Shown {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A channel that shows a key.
pub(crate) async fn showing(uri: &str, key: &str) -> InterceptedService<Channel, Shown> {
    let shown = Shown(format!("Bearer {key}").parse().unwrap());
    InterceptedService::new(connect(uri).await, shown)
}

/// Makes a key; its id and the whole of it.
pub(crate) async fn create(uri: &str, by: &str, role: Role, namespace: &str) -> (String, String) {
    let request = CreateApiKeyRequest {
        role: role.into(),
        namespace: namespace.into(),
        ..CreateApiKeyRequest::default()
    };
    create_with(uri, by, request).await.unwrap()
}

pub(crate) async fn create_with(
    uri: &str,
    by: &str,
    request: CreateApiKeyRequest,
) -> Result<(String, String), Status> {
    let mut access = AccessServiceClient::new(showing(uri, by).await);
    let created = soon(access.create_api_key(request)).await?.into_inner();
    Ok((created.key.unwrap().id, created.secret))
}

/// Every method of the contract, as a path.
pub(crate) fn methods() -> Vec<String> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap().file;
    let mut paths = Vec::new();
    for file in files.iter().filter(|file| file.package().starts_with("planaria.")) {
        for service in &file.service {
            let name = format!("/{}.{}/", file.package(), service.name());
            paths.extend(service.method.iter().map(|method| format!("{name}{}", method.name())));
        }
    }
    assert!(paths.len() > 40, "{paths:?}");
    paths
}

/// Metadata of the mesh's own, and more that looks like it.
pub(crate) const OWN: [&str; 6] = [
    "planaria-forwarded",
    "planaria-hop",
    "planaria-namespace",
    "planaria-only-for",
    "planaria-replica",
    "planaria-request-id",
];

/// Answers every call with whom it heard that it comes from, and what else of the mesh's own.
pub(crate) async fn teller() -> Running<()> {
    let tell = tower::service_fn(|request: http::Request<_>| {
        let mut response = Status::ok("").into_http::<tonic::body::Body>();
        let header = request.headers().get(HEADER).cloned();
        response.headers_mut().insert("x-told", header.unwrap());
        for name in request.headers().keys().filter(|name| name.as_str().starts_with("planaria-")) {
            response.headers_mut().append("x-own", name.as_str().parse().unwrap());
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let router = Routes::default().into_axum_router().fallback_service(tell);
    serve(listen().await, Routes::from(router))
}

/// A call of any method with an empty message: what the answer's metadata says.
pub(crate) async fn ask(
    channel: Channel,
    path: &str,
    metadata: &[(&'static str, &str)],
) -> Result<MetadataMap, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    soon(client.ready()).await.unwrap();
    let mut request = Request::new(());
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let path: PathAndQuery = path.parse().unwrap();
    let mut answer = soon(client.server_streaming(request, path, codec)).await?;
    let metadata = std::mem::take(answer.metadata_mut());
    soon(answer.into_inner().message()).await?;
    Ok(metadata)
}
