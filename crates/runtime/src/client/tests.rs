use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::{ServerLimits, Service, serve};

/// A served replica; it ends with the token.
async fn replica(host: &str) -> (String, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{host}:{}", listener.local_addr().unwrap().port());
    let stop = CancellationToken::new();
    let limits = ServerLimits { drain_ms: 0, ..ServerLimits::default() };
    tokio::spawn(serve(Service::new("sample"), listener, None, limits, stop.clone()));
    (uri, stop)
}

async fn ask(channel: ServiceChannel) -> Result<(), Code> {
    let request = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel).check(request).await.map(|_| ()).map_err(|status| status.code())
}

async fn uris(directory: &Directory) -> Vec<String> {
    directory.replicas("sample").await.into_iter().map(|replica| replica.uri).collect()
}

#[tokio::test]
async fn a_channel_works_as_soon_as_the_directory_is_filled() {
    let directory = Directory::new(ClientLimits::default());
    let channel = directory.channel("fail_er");
    assert_eq!(ask(channel.clone()).await, Err(Code::Unavailable));
    let (uri, _stop) = replica("127.0.0.1").await;
    directory.set("fail-er", [uri]).unwrap();
    assert_eq!(ask(channel).await, Ok(()));
}

#[tokio::test]
async fn host_names_are_resolved() {
    let directory = Directory::new(ClientLimits::default());
    let (uri, _stop) = replica("localhost").await;
    directory.set("sample", [&uri]).unwrap();
    let port = uri.rsplit(':').next().unwrap();
    assert!(uris(&directory).await.contains(&format!("http://127.0.0.1:{port}")));
    // ::1 may be among the addresses and refuse; it is passed over from then on.
    let channel = directory.channel("sample");
    let first = ask(channel.clone()).await;
    assert!(first.is_ok() || ask(channel).await.is_ok());
}

#[tokio::test]
async fn a_name_that_no_longer_resolves_keeps_its_replicas() {
    let directory = Directory::new(ClientLimits::default());
    directory.set("sample", ["http://localhost:1"]).unwrap();
    let before = uris(&directory).await;
    assert!(!before.is_empty());
    let entry = directory.entry("sample");
    let address = Address { host: "no.such.host.invalid".into(), ..entry.snapshot().1[0].clone() };
    entry.state.write().unwrap().addresses = [address].into();
    entry.refresh().await;
    assert_eq!(uris(&directory).await, before);
}

#[tokio::test]
async fn a_dead_replica_is_passed_over() {
    let directory = Directory::new(ClientLimits { pass_over_ms: 600_000, ..Default::default() });
    let (alive, _stop) = replica("127.0.0.1").await;
    let unbound = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", unbound.local_addr().unwrap());
    drop(unbound);
    directory.set("sample", [dead, alive]).unwrap();
    let mut failures = 0;
    for _ in 0..20 {
        failures += usize::from(ask(directory.channel("sample")).await.is_err());
    }
    assert_eq!(failures, 1);
}

#[tokio::test]
async fn a_changed_list_keeps_the_channels_that_stay() {
    let directory = Directory::new(ClientLimits::default());
    let (first, _first_stop) = replica("127.0.0.1").await;
    let (second, second_stop) = replica("127.0.0.1").await;
    directory.set("sample", [&first, &second, &first]).unwrap();
    assert_eq!(uris(&directory).await, [first.clone(), second.clone()]);
    let kept = Arc::as_ptr(&directory.replicas("sample").await[0].passed_over_until_ms);
    directory.set("sample", [&first]).unwrap();
    second_stop.cancel();
    let replicas = directory.replicas("sample").await;
    assert_eq!(replicas.len(), 1);
    assert_eq!(Arc::as_ptr(&replicas[0].passed_over_until_ms), kept);
    assert_eq!(ask(directory.channel("sample")).await, Ok(()));
}

#[tokio::test]
async fn a_restarted_replica_is_reached_again() {
    let directory = Directory::new(ClientLimits::default());
    let (uri, stop) = replica("127.0.0.1").await;
    directory.set("sample", [&uri]).unwrap();
    let channel = directory.channel("sample");
    assert_eq!(ask(channel.clone()).await, Ok(()));
    stop.cancel();
    while ask(channel.clone()).await.is_ok() {}
    let port_is_free = uri.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind(port_is_free).await.unwrap();
    let limits = ServerLimits::default();
    tokio::spawn(serve(Service::new("sample"), listener, None, limits, CancellationToken::new()));
    while ask(channel.clone()).await.is_err() {}
}

#[tokio::test]
async fn addresses_are_checked() {
    let directory = Directory::new(ClientLimits::default());
    for (address, reason) in [
        ("https://host:1", "it must start with http://"),
        ("host:1", "it must start with http://"),
        ("http://host", "it must name a port"),
        ("http://host:1/path", "it must end after the port"),
        ("http://ho st:1", "it is not a URI"),
    ] {
        let error = directory.set("sample", [address]).unwrap_err().to_string();
        assert_eq!(error, format!("address `{address}` of sample is not valid: {reason}"));
    }
    directory.set("sample", ["http://[::1]:80/"]).unwrap();
    assert_eq!(uris(&directory).await, ["http://[::1]:80"]);
}
