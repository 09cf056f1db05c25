//! What the outside may see, and how it is told about the rest.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod mesh;

use std::collections::BTreeSet;

use mesh::*;
use planaria_gateway::{Config, Error, PUBLIC};
use planaria_proto::monitoring::v1::{GetOverviewRequest, WatchHealingsRequest};
use planaria_proto::orchestrator::v1::GetStatisticsRequest;
use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

/// The answer of one version of reflection to one question.
macro_rules! ask {
    ($version:ident, $channel:expr, $question:ident($text:expr)) => {{
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::{ServerReflectionRequest, server_reflection_response};
        let mut client = ServerReflectionClient::new($channel.clone());
        let message_request = Some(MessageRequest::$question($text.to_owned()));
        let request = ServerReflectionRequest { message_request, ..Default::default() };
        let stream = client.server_reflection_info(tokio_stream::once(request));
        let mut stream = soon(stream).await.unwrap().into_inner();
        let answer = soon(stream.next()).await.unwrap();
        match answer.map(|answer| answer.message_response.unwrap()) {
            Ok(server_reflection_response::MessageResponse::ListServicesResponse(list)) => {
                Ok(list.service.into_iter().map(|service| service.name).collect())
            }
            Ok(server_reflection_response::MessageResponse::FileDescriptorResponse(files)) => {
                Ok(files.file_descriptor_proto.iter().map(|file| file.len().to_string()).collect())
            }
            Ok(other) => panic!("not asked for: {other:?}"),
            Err(status) => Err(status),
        }
    }};
}

fn expected(reflection: &str) -> BTreeSet<String> {
    let own = ["grpc.health.v1.Health", reflection].map(str::to_owned);
    PUBLIC.iter().map(|(service, _)| (*service).to_owned()).chain(own).collect()
}

#[tokio::test]
async fn reflection_lists_exactly_the_public_services() {
    let gateway = gateway(Config::default(), &[]).await;
    let channel: Channel = connect(&gateway.uri()).await;
    let listed: Result<BTreeSet<String>, _> = ask!(v1, channel, ListServices(""));
    assert_eq!(listed.unwrap(), expected("grpc.reflection.v1.ServerReflection"));
    let listed: Result<BTreeSet<String>, _> = ask!(v1alpha, channel, ListServices(""));
    assert_eq!(listed.unwrap(), expected("grpc.reflection.v1alpha.ServerReflection"));
}

#[tokio::test]
async fn reflection_describes_public_services_and_hides_internal_ones() {
    let gateway = gateway(Config::default(), &[]).await;
    let channel: Channel = connect(&gateway.uri()).await;
    for (service, _) in PUBLIC {
        let files: Result<Vec<String>, _> = ask!(v1, channel, FileContainingSymbol(service));
        assert!(!files.unwrap().is_empty(), "{service}");
    }
    for internal in [
        "planaria.orchestrator.v1.OrchestratorService",
        "planaria.orchestrator.v1.ReadLogRequest",
        "planaria.failure_detector.v1.EvidenceService",
    ] {
        let files: Result<Vec<String>, _> = ask!(v1, channel, FileContainingSymbol(internal));
        assert_eq!(files.unwrap_err().code(), Code::NotFound, "{internal}");
    }
}

#[tokio::test]
async fn internal_services_do_not_exist_for_the_outside() {
    let gateway = gateway(Config::default(), &[]).await;
    let mut client = OrchestratorServiceClient::new(connect(&gateway.uri()).await);
    let status = soon(client.get_statistics(GetStatisticsRequest {})).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::Unimplemented, "UNKNOWN_METHOD"));
}

#[tokio::test]
async fn health_is_told_until_the_gateway_drains() {
    let gateway = gateway(Config::default(), &[]).await;
    let mut client = HealthClient::new(connect(&gateway.uri()).await);
    for service in ["", "gateway"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = soon(client.check(request)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = soon(client.watch(request)).await.unwrap().into_inner();
    assert_eq!(soon(watch.next()).await.unwrap().unwrap().status(), ServingStatus::Serving);
    gateway.stop.cancel();
    assert_eq!(soon(watch.next()).await.unwrap().unwrap().status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn beyond_loopback_it_is_refused_to_listen_unless_told_in_so_many_words() {
    let directory = || Directory::new(ClientLimits::default());
    let folder = tempfile::tempdir().unwrap();
    let stop = tokio_util::sync::CancellationToken::new;
    let deps = || Deps::new(directory(), folder.path(), stop());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let door = planaria_gateway::build(Config::default(), deps()).await.unwrap();
    let error = soon(door.serve(listener, None)).await.unwrap_err();
    assert!(matches!(error, Error::Insecure { .. }), "{error}");
    assert!(error.to_string().contains("insecure = true"), "{error}");

    for config in [
        Config { insecure: true, ..Config::default() },
        Config { authentication: true, ..Config::default() },
    ] {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let deps = deps();
        deps.stop.cancel();
        let door = planaria_gateway::build(config, deps).await.unwrap();
        soon(door.serve(listener, None)).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_so() {
    let monitoring = monitoring().await;
    let mut config = Config::default();
    config.listener.connections_max = 1;
    let gateway = gateway(config, &[("monitoring", monitoring.address)]).await;
    let mut first = watcher(&gateway.uri()).await;
    soon(first.get_overview(GetOverviewRequest {})).await.unwrap();
    let mut second = watcher(&gateway.uri()).await;
    let status = soon(second.get_overview(GetOverviewRequest {})).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "GATEWAY_OVERLOADED"));
    soon(first.get_overview(GetOverviewRequest {})).await.unwrap();
}

#[tokio::test]
async fn a_call_over_the_limit_is_told_so() {
    let monitoring = monitoring().await;
    let config = Config { calls_max: 1, ..Config::default() };
    let gateway = gateway(config, &[("monitoring", monitoring.address)]).await;
    let mut client = watcher(&gateway.uri()).await;
    let stream = soon(client.watch_healings(WatchHealingsRequest {})).await.unwrap();
    let status = soon(client.get_overview(GetOverviewRequest {})).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "GATEWAY_OVERLOADED"));
    drop(stream);
    // The place is free again once the gateway has seen the stream's end.
    while let Err(status) = soon(client.get_overview(GetOverviewRequest {})).await {
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let mut config = Config::default();
    config.listener.first_byte_ms_max = 50;
    config.listener.idle_ms_max = 50;
    let gateway = gateway(config, &[]).await;
    for request in ["", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(socket.read_to_string(&mut answer)).await.expect("it ends in order");
        assert_eq!(answer.starts_with("HTTP/1.1 200 OK"), !request.is_empty(), "{answer}");
    }
}
