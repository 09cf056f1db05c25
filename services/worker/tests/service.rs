//! The worker as a service: its functions, its own rpcs, its end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../../../crates/sdk/tests/engine/mod.rs"]
mod engine;

use std::net::SocketAddr;

use engine::Engine;
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::worker::v1::worker_service_client::WorkerServiceClient;
use planaria_proto::worker::v1::{DescribeWorkerRequest, DrainRequest};
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory, ServerLimits};
use planaria_worker::{Config, Error, build};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Served {
    address: SocketAddr,
    ended: JoinHandle<Result<(), planaria_runtime::Error>>,
    stop: CancellationToken,
}

fn deps(stop: &CancellationToken) -> Deps {
    let directory = Directory::new(ClientLimits::default());
    Deps::new(directory, "unused", stop.clone())
}

async fn serve(engine: &Engine, change: impl FnOnce(&mut Config)) -> Served {
    let mut config = Config { gateway: engine.url(), id: "built-in".into(), ..Config::default() };
    change(&mut config);
    let stop = CancellationToken::new();
    let service = build(config, deps(&stop)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ServerLimits::default();
    let ended = planaria_runtime::serve(service, listener, None, limits, stop.clone());
    Served { address, ended: tokio::spawn(ended), stop }
}

#[tokio::test]
async fn simulate_fails_as_often_as_it_is_told() {
    let engine = Engine::start();
    let _served = serve(&engine, |_| {}).await;
    for attempt in 1..=3 {
        let change = |assignment: &mut planaria_proto::task::v1::Assignment| {
            assignment.attempt = attempt;
        };
        let id = engine.assign_as("simulate", r#"{"fail": 2, "status": 418}"#, change).await;
        match engine.outcome(&id).await {
            Outcome::Failure(failure) if attempt <= 2 => {
                assert_eq!(failure.error.unwrap().status, 418);
            }
            Outcome::Output(output) => assert_eq!(output.data, r#"{"attempt":3}"#),
            other => panic!("attempt {attempt}: {other:?}"),
        }
    }
    let id = engine.assign("simulate", r#"{"probability": 1}"#).await;
    assert!(matches!(engine.outcome(&id).await, Outcome::Failure(_)));
}

#[tokio::test]
async fn simulate_works_and_says_how_far_it_is() {
    let engine = Engine::start();
    let _served = serve(&engine, |_| {}).await;
    let arguments = r#"{"sleep": "PT1S", "progress": true, "output": [1, 2]}"#;
    let id = engine.assign("simulate", arguments).await;
    engine
        .until("half of it", |state| {
            let attempts = state.beats.iter().flat_map(|(_, beat)| &beat.attempts);
            attempts.filter(|attempt| attempt.progress_count >= 5).count() > 0
        })
        .await;
    assert_eq!(engine.output(&id).await, json!([1, 2]));
}

#[tokio::test]
async fn crashes_can_be_forbidden() {
    let engine = Engine::start();
    let _served = serve(&engine, |config| config.simulate.crash_allowed = false).await;
    let id = engine.assign("simulate", r#"{"crash": true}"#).await;
    let Outcome::Failure(failure) = engine.outcome(&id).await else { panic!("no failure") };
    assert!(!failure.retryable);
}

#[tokio::test]
async fn it_describes_itself_and_leaves_when_it_is_asked_to() {
    let engine = Engine::start();
    let served = serve(&engine, |config| config.capacity = 7).await;
    let id = engine.assign("simulate", r#"{"hang": "PT1H"}"#).await;
    engine
        .until("it in a beat", |state| {
            state.beats.last().is_some_and(|(_, beat)| beat.attempts.len() == 1)
        })
        .await;
    let directory = Directory::new(ClientLimits::default());
    let channel = directory.connect(&format!("http://{}", served.address)).unwrap();
    let mut client = WorkerServiceClient::new(channel);
    let described = client.describe_worker(DescribeWorkerRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (described.worker_id.as_str(), described.session_id.as_str()),
        ("built-in", "session-1")
    );
    assert_eq!((described.capacity, described.running, described.draining), (7, 1, false));
    let names: Vec<_> = described.functions.iter().map(|function| &function.name).collect();
    assert_eq!(names, ["http", "simulate"]);
    client.drain(DrainRequest {}).await.unwrap();
    assert!(matches!(engine.outcome(&id).await, Outcome::Release(_)));
    served.ended.await.unwrap().unwrap();
    assert!(served.stop.is_cancelled());
    assert_eq!(engine.state().closed, ["session-1"]);
}

#[tokio::test]
async fn settings_without_sense_are_refused() {
    let stop = CancellationToken::new();
    let config = Config { functions: vec!["shell".into()], ..Config::default() };
    assert!(matches!(build(config, deps(&stop)).await, Err(Error::Settings(_))));
    let config = Config { capacity: 0, ..Config::default() };
    assert!(matches!(build(config, deps(&stop)).await, Err(Error::Worker(_))));
}
