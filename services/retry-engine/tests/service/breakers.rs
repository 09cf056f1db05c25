//! What is held back, who is told, and what retries may cost.

use planaria_fake_mesh::{attempt_failed, record_at, workflow_events};
use planaria_proto::retry::v1::retry_gate_service_client::RetryGateServiceClient;
use planaria_proto::retry::v1::{
    Breaker, BreakerChange, BreakerKey, BreakerPhase, Gate, ListBreakerChangesRequest,
    ListBreakersRequest, ListRetriesRequest, ResetBreakerRequest, TakeProbesRequest,
    WatchGatesRequest, WatchGatesResponse,
};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{Execution, TaskCompleted};
use planaria_runtime::{ReplicaChannel, clock};
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use crate::scene::{PATIENCE, Scene, eventually};

const FUNCTION: &str = "charge-card:1.0.0";

fn key() -> BreakerKey {
    let (namespace, function) = ("shop".to_owned(), FUNCTION.to_owned());
    BreakerKey { namespace, function, destination: String::new() }
}

/// So many attempts of one function fail just now, each of another workflow.
fn fail(scene: &Scene, count: u32) {
    let now_ms = clock::now_ms();
    let failures = (0..count).map(|number| {
        let mut failed = attempt_failed(4, 1, true);
        failed.execution = Some(execution(1));
        let workflow = format!("w{number}-{now_ms}");
        record_at(workflow_events(&workflow, 5, [Event::AttemptFailed(failed)]), now_ms)
    });
    scene.mesh.push_all(failures);
}

fn execution(attempt: u32) -> Execution {
    let now_ms = i64::try_from(clock::now_ms()).unwrap();
    Execution {
        attempt,
        function: FUNCTION.into(),
        started_at: Some(prost_types::Timestamp { seconds: now_ms / 1_000, nanos: 999_999_999 }),
        ..Execution::default()
    }
}

fn answer(scene: &Scene, count: u32) {
    for number in 0..count {
        let completed =
            TaskCompleted { frame: 4, execution: Some(execution(2)), ..TaskCompleted::default() };
        scene.happened(&format!("answered-{number}"), Event::TaskCompleted(completed));
    }
}

async fn breakers(scene: &Scene, all: bool) -> Vec<Breaker> {
    let request = ListBreakersRequest { all, ..ListBreakersRequest::default() };
    let answer = scene.client().list_breakers(request).await.unwrap();
    answer.into_inner().breakers
}

async fn watch(scene: &Scene) -> Streaming<WatchGatesResponse> {
    gates(scene).watch_gates(WatchGatesRequest {}).await.unwrap().into_inner()
}

fn gates(scene: &Scene) -> RetryGateServiceClient<ReplicaChannel> {
    RetryGateServiceClient::new(scene.channel())
}

/// Reads until a gate has a phase.
async fn told(stream: &mut Streaming<WatchGatesResponse>, phase: BreakerPhase) -> Gate {
    let reading = async {
        loop {
            let told = stream.message().await.unwrap().unwrap();
            if let Some(gate) = told.gates.into_iter().find(|gate| gate.phase() == phase) {
                return gate;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it was told")
}

async fn take(scene: &Scene, wanted: u32) -> u32 {
    let request = TakeProbesRequest { key: Some(key()), wanted };
    gates(scene).take_probes(request).await.unwrap().into_inner().granted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_survives_a_kill_and_closes_when_its_probes_are_answered() {
    let mut scene = Scene::new().await;
    scene.config.breaker.open_ms = 300;
    let _client = scene.start().await;
    // What has no breaker goes through.
    assert_eq!(take(&scene, 7).await, 7);
    let mut stream = watch(&scene).await;
    let first = stream.message().await.unwrap().unwrap();
    assert!(first.complete && first.gates.is_empty());
    fail(&scene, 9);
    eventually(|| async {
        let closed = breakers(&scene, true).await.pop()?;
        (closed.failures_in_row == 9).then_some(())
    })
    .await;
    assert!(breakers(&scene, false).await.is_empty());

    // Long enough open to be killed meanwhile.
    scene.kill().await;
    scene.config.breaker.open_ms = 3_600_000;
    scene.config.breaker.open_ms_max = 3_600_000;
    let _client = scene.start().await;
    let mut stream = watch(&scene).await;
    fail(&scene, 1);
    let open = told(&mut stream, BreakerPhase::Open).await;
    assert_eq!(open.key, Some(key()));
    assert_eq!(take(&scene, 1).await, 0);
    scene.kill().await;
    let mut client = scene.start().await;
    let mut stream = watch(&scene).await;
    assert_eq!(told(&mut stream, BreakerPhase::Open).await, open);

    let unknown = BreakerKey { function: "other".into(), ..key() };
    let reset = ResetBreakerRequest { key: Some(unknown) };
    let status = client.reset_breaker(reset).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_details_error_info().unwrap().reason, "BREAKER_NOT_FOUND");
    let reset = ResetBreakerRequest { key: Some(key()) };
    client.reset_breaker(reset).await.unwrap();
    told(&mut stream, BreakerPhase::Closed).await;

    scene.kill().await;
    scene.config.breaker.open_ms = 100;
    scene.config.breaker.open_ms_max = 100;
    let mut client = scene.start().await;
    let mut stream = watch(&scene).await;
    fail(&scene, 10);
    let half_open = told(&mut stream, BreakerPhase::HalfOpen).await;
    assert!(half_open.revision > open.revision);
    assert_eq!([take(&scene, 2).await, take(&scene, 9).await, take(&scene, 1).await], [2, 3, 0]);
    answer(&scene, 4);
    told(&mut stream, BreakerPhase::Closed).await;
    let changes = client.list_breaker_changes(ListBreakerChangesRequest::default()).await.unwrap();
    let became: Vec<_> = changes.into_inner().changes.iter().map(BreakerChange::to).collect();
    let (closed, open, half) = (BreakerPhase::Closed, BreakerPhase::Open, BreakerPhase::HalfOpen);
    assert_eq!(became, [closed, half, open, closed, open]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_beyond_the_budget_come_later_and_the_orchestrator_knows() {
    let mut scene = Scene::new().await;
    scene.config.policy.base_ms = 100;
    scene.config.breaker.failures_in_row = 1_000;
    scene.config.breaker.failures_percent = 200;
    // One a second and a fifth of five: twelve in ten seconds.
    scene.config.budget.per_second = 1;
    scene.config.budget.percent = 20;
    let mut client = scene.start().await;
    fail(&scene, 15);
    let mesh = &scene.mesh;
    let told = mesh.wait_until(|state| {
        let deferred = state.decisions.iter().filter(|(told, _)| told.deferred_until.is_some());
        deferred.count() >= 2
    });
    tokio::time::timeout(PATIENCE, told).await.expect("somebody was put off");
    let (now, later): (Vec<_>, Vec<_>) = {
        let state = mesh.state();
        let told: Vec<_> = state.decisions.iter().map(|(told, _)| told.clone()).collect();
        told.into_iter().partition(|told| told.deferred_until.is_none())
    };
    assert!(now.len() <= 13, "{}", now.len());
    let names =
        |told: &[planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision]| {
            told.iter()
                .map(|told| told.workflow_id.clone())
                .collect::<std::collections::BTreeSet<_>>()
        };
    assert!(names(&now).is_disjoint(&names(&later)));
    assert!(later.iter().all(|told| told.give_up_reason.is_empty()));
    let waiting = client.list_retries(ListRetriesRequest::default()).await.unwrap().into_inner();
    let deferred = waiting.retries.iter().find(|retry| retry.deferrals > 0).unwrap();
    assert_eq!(deferred.namespace, "shop");
    // By hand it starts at once.
    let id = deferred.id.clone();
    let workflow = deferred.workflow_id.clone();
    client.retry_now(planaria_proto::retry::v1::RetryNowRequest { id }).await.unwrap();
    let started = mesh.wait_until(|state| {
        state
            .decisions
            .iter()
            .any(|(told, _)| told.workflow_id == workflow && told.deferred_until.is_none())
    });
    tokio::time::timeout(PATIENCE, started).await.expect("it started");
}
