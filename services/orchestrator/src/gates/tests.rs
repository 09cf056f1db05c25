//! Gates as a retry engine tells them, and while there is none.

use std::sync::atomic::AtomicU32;

use planaria_proto::retry::v1::retry_gate_service_server::{
    RetryGateService, RetryGateServiceServer,
};
use planaria_proto::retry::v1::{TakeProbesResponse, WatchGatesResponse};
use planaria_runtime::{ServerLimits, Service};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, Response};

use super::*;

/// A retry engine that says what the test says.
#[derive(Clone)]
struct Engine {
    told: broadcast::Sender<WatchGatesResponse>,
    probes: Arc<AtomicU32>,
}

#[tonic::async_trait]
impl RetryGateService for Engine {
    type WatchGatesStream = std::pin::Pin<
        Box<dyn tokio_stream::Stream<Item = Result<WatchGatesResponse, Status>> + Send>,
    >;

    async fn watch_gates(
        &self,
        _request: Request<WatchGatesRequest>,
    ) -> Result<Response<Self::WatchGatesStream>, Status> {
        let told = BroadcastStream::new(self.told.subscribe());
        Ok(Response::new(Box::pin(told.filter_map(|told| told.ok().map(Ok)))))
    }

    async fn take_probes(
        &self,
        request: Request<TakeProbesRequest>,
    ) -> Result<Response<TakeProbesResponse>, Status> {
        let wanted = request.into_inner().wanted;
        let take = |left: u32| left.checked_sub(wanted);
        let taken = self.probes.fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
        Ok(Response::new(TakeProbesResponse { granted: taken.map_or(0, |_| wanted) }))
    }
}

fn gate(phase: BreakerPhase, until_ms: u64) -> Gate {
    let key = BreakerKey {
        namespace: "shop".into(),
        function: "charge".into(),
        destination: String::new(),
    };
    let until = Some(crate::convert::timestamp(until_ms));
    Gate { key: Some(key), phase: phase.into(), until, revision: 1 }
}

fn admit(gates: &Gates) -> Admission {
    gates.admit("shop", "charge", None)
}

/// Waits until it is so, looking whenever something may have changed.
async fn eventually(gates: &Gates, what: impl Fn(&Gates) -> bool) {
    let looking = async {
        while !what(gates) {
            gates.freed().await;
        }
    };
    timeout(Duration::from_secs(20), looking).await.expect("it came to be");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_gate_lets_exactly_the_granted_probes_through() {
    let told = broadcast::Sender::new(16);
    let probes = Arc::new(AtomicU32::new(5));
    let engine = Engine { told: told.clone(), probes };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = Directory::new(planaria_runtime::ClientLimits::default());
    let uris = [format!("http://{}", listener.local_addr().unwrap())];
    directory.set(RETRY_ENGINE, uris).unwrap();
    let mut service = Service::new(RETRY_ENGINE);
    service.routes = tonic::service::Routes::new(RetryGateServiceServer::new(engine));
    let stop = CancellationToken::new();
    let serving =
        planaria_runtime::serve(service, listener, None, ServerLimits::default(), stop.clone());
    tokio::spawn(serving);
    let gates = Gates::default();
    tokio::spawn(gates.clone().follow(directory, stop.clone()));
    assert_eq!(admit(&gates), Admission::Open);

    let say = |phase, complete| {
        let gates = vec![gate(phase, now_ms() + 60_000)];
        let told = told.send(WatchGatesResponse { gates, complete });
        told.is_ok()
    };
    // The follower comes when it comes; who is told nothing asks again.
    let follower_came = async {
        while !say(BreakerPhase::Open, true) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), follower_came).await.unwrap();
    eventually(&gates, |gates| !gates.passes("shop", "charge", None)).await;
    assert_eq!(admit(&gates), Admission::Held);
    assert!(gates.passes("shop", "charge", Some("elsewhere")));
    assert!(gates.passes("other", "charge", None));

    say(BreakerPhase::HalfOpen, false);
    for _ in 0..5 {
        eventually(&gates, |gates| gates.passes("shop", "charge", None)).await;
        assert_eq!(admit(&gates), Admission::Probe);
    }
    // Told again, it grants no more than there are.
    say(BreakerPhase::HalfOpen, true);
    gates.freed().await;
    gates.freed().await;
    assert_eq!(admit(&gates), Admission::Held);
    say(BreakerPhase::Closed, false);
    eventually(&gates, |gates| gates.passes("shop", "charge", None)).await;
    assert_eq!(admit(&gates), Admission::Open);
    stop.cancel();
}

#[test]
fn without_a_retry_engine_the_last_word_holds_and_nothing_waits_for_ever() {
    let mut held = Held {
        is_half_open: false,
        until_ms: 10_000,
        probes: 0,
        is_wanted: false,
        ask_ms: 0,
        orphan_probe_ms: 0,
    };
    let orphaned = Some(5_000);
    assert_eq!(held.admission(None, 50_000), Admission::Held);
    assert_eq!(held.admission(orphaned, 9_999), Admission::Held);
    assert_eq!(held.admission(orphaned, 10_500), Admission::Held);
    assert_eq!(held.admission(orphaned, 11_000), Admission::Probe);
    held.orphan_probe_ms = 11_000;
    assert_eq!(held.admission(orphaned, 11_900), Admission::Held);
    assert_eq!(held.admission(orphaned, 12_000), Admission::Probe);
    assert_eq!(held.admission(orphaned, 40_000), Admission::Open);
}

#[test]
fn destinations_are_told_by_the_arguments() {
    for (function, arguments, expected) in [
        ("http", r#"{"endpoint":"https://Shop.example:443/x?y"}"#, Some("shop.example")),
        ("http", r#"{"endpoint":{"uri":"http://u:p@10.0.0.1:8080"}}"#, Some("10.0.0.1:8080")),
        ("grpc", r#"{"service":{"host":"pay","port":50051}}"#, Some("pay:50051")),
        ("openapi", r#"{"document":{"endpoint":"http://a/b.json"}}"#, Some("a")),
        ("charge", r#"{"endpoint":"http://a"}"#, None),
        ("http", r#"{"endpoint":"nonsense"}"#, None),
        ("http", "not json", None),
    ] {
        let found = destination(function, arguments.as_bytes());
        assert_eq!(found.as_deref(), expected, "{function} {arguments}");
    }
}
