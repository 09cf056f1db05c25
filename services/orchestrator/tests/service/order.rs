//! Who is next: priority and age, fair shares between namespaces, and what is held back.

use std::time::Duration;

use planaria_orchestrator::Config;
use planaria_proto::orchestrator::v1::GetStatisticsRequest;
use planaria_proto::task::v1::Assignment;
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::{
    PutDefinitionRequest, StartWorkflowRequest, StartWorkflowsRequest, WorkflowStart,
};
use planaria_runtime::StoreSettings;
use serde_json::json;

use crate::gatekeeper::Gatekeeper;
use crate::worker::{Worker, arguments, hello};
use crate::world::{PATIENCE, World, document, eventually, payload};

/// Publishes a definition with one task in a namespace.
async fn publish_in(world: &World, namespace: &str, tasks: &str) {
    let source =
        document("one", tasks).replace("namespace: test", &format!("namespace: {namespace}"));
    let request = PutDefinitionRequest { source: source.into() };
    world.definitions().put_definition(request).await.expect("a valid definition");
}

/// A start of it.
fn start_in(namespace: &str, input: &serde_json::Value) -> WorkflowStart {
    let definition = DefinitionReference {
        namespace: namespace.to_owned(),
        name: "one".to_owned(),
        version: "1.0.0".to_owned(),
    };
    let (definition, input) = (Some(definition), Some(payload(input)));
    WorkflowStart { definition, input, idempotency_key: String::new() }
}

async fn start_many(world: &World, count: usize, start: &WorkflowStart) {
    for chunk in (0..count).collect::<Vec<_>>().chunks(100) {
        let starts = chunk.iter().map(|_| start.clone()).collect();
        let request = StartWorkflowsRequest { starts };
        world.workflows().start_workflows(request).await.expect("started");
    }
}

/// A worker that takes one task at a time.
async fn single(world: &World, functions: &[&str]) -> Worker {
    let hello = planaria_proto::task::v1::OpenSessionRequest {
        capacity: 1,
        ..hello("single", "1", functions)
    };
    Worker::open(world, hello).await.expect("a session")
}

/// Completes what comes until so many have come; their inputs, in order.
async fn inputs(worker: &mut Worker, count: usize) -> Vec<serde_json::Value> {
    let mut got = Vec::new();
    for _ in 0..count {
        let task: Assignment = worker.next().await;
        got.push(arguments(&task));
        worker.complete(&task, json!(null)).await;
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_namespace_does_not_delay_another() {
    let world = World::new().await;
    let (many, few) = (json!("many"), json!("few"));
    // The worker offers both functions: who asks for another one is not behind either.
    publish_in(&world, "noisy", "- a: { call: echo }").await;
    publish_in(&world, "quiet", "- a: { call: other }").await;
    start_many(&world, 500, &start_in("noisy", &many)).await;
    start_many(&world, 5, &start_in("quiet", &few)).await;
    let mut worker = single(&world, &["echo", "other"]).await;
    let got = inputs(&mut worker, 11).await;
    assert_eq!(got.iter().filter(|input| **input == few).count(), 5, "{got:?}");
    // It had nothing for a while: it has no credit for that, and is not behind either.
    inputs(&mut worker, 20).await;
    start_many(&world, 5, &start_in("quiet", &few)).await;
    let got = inputs(&mut worker, 12).await;
    let few_at: Vec<usize> = (0..12).filter(|at| got[*at] == few).collect();
    assert_eq!(few_at.len(), 5, "{got:?}");
    assert!(few_at.windows(2).all(|two| two[1] == two[0] + 2), "in turn: {got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_counts_for_as_long_as_its_steps_last() {
    const TASK: &str = "- a: { call: echo, metadata: { planaria: { priority: P } } }";
    let order = async |ageing_step_ms| {
        let world = World::with(Config { ageing_step_ms, ..Config::default() }).await;
        for (name, priority) in [("low", "-1"), ("middle", "0"), ("high", "2")] {
            world.publish(name, &TASK.replace('P', priority)).await;
            world.start_workflow(name, json!(name)).await;
        }
        inputs(&mut single(&world, &["echo"]).await, 3).await
    };
    assert_eq!(order(60_000).await, [json!("high"), json!("middle"), json!("low")]);
    // A step of no length: all that counts is who came first.
    assert_eq!(order(0).await, [json!("low"), json!("middle"), json!("high")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_costs_others_nothing() {
    let keeper = Gatekeeper::new("http", &["held.example", "canary.example"]).await;
    let store = StoreSettings::default();
    let world = World::beside(Config::default(), store, Some(keeper.uri.clone())).await;
    let task = "- a: { call: http, with: { method: get, endpoint: '${ .to }' } }";
    publish_in(&world, "test", task).await;
    let to = |host: &str| start_in("test", &json!({ "to": format!("https://{host}/x") }));
    let mut worker = Worker::new(&world, "w", &["http"]).await;
    know_the_gates(&world, &keeper, &mut worker, &to("canary.example")).await;
    start_many(&world, 1_000, &to("held.example")).await;
    let start = Some(to("free.example"));
    world.workflows().start_workflow(StartWorkflowRequest { start }).await.expect("started");
    let task = worker.next().await;
    assert_eq!(arguments(&task)["endpoint"], "https://free.example/x");
    worker.complete(&task, json!(null)).await;
    // One that was there before them all, and comes when they are all set aside.
    let held = worker.idle_for(Duration::from_millis(50)).await;
    assert_eq!(held, [], "the gate is not open");
    keeper.open_all();
    for _ in 0..1_001 {
        let task = worker.next().await;
        worker.complete(&task, json!(null)).await;
    }
}

/// Waits until the orchestrator knows the gates: until it asks for a probe of the canary.
async fn know_the_gates(
    world: &World,
    keeper: &Gatekeeper,
    worker: &mut Worker,
    canary: &WorkflowStart,
) {
    let mut asked = keeper.asked.clone();
    let known = async {
        loop {
            let start = Some(canary.clone());
            let request = StartWorkflowRequest { start };
            world.workflows().start_workflow(request).await.expect("started");
            tokio::select! {
                task = worker.next() => drop(worker.complete(&task, json!(null)).await),
                asked = asked.wait_for(|asked| *asked > 0) => {
                    asked.expect("it serves");
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("it knows the gates");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_worker_can_take_costs_others_nothing() {
    let world = World::new().await;
    let labelled = "- a: { call: echo, metadata: { planaria: { labels: { region: moon } } } }";
    world.publish("moon", labelled).await;
    publish_in(&world, "test", "- a: { call: echo }").await;
    for _ in 0..100 {
        world.start_workflow("moon", json!("moon")).await;
    }
    let mut worker = single(&world, &["echo"]).await;
    start_many(&world, 3, &start_in("test", &json!("earth"))).await;
    assert_eq!(inputs(&mut worker, 3).await, [json!("earth"), json!("earth"), json!("earth")]);
    eventually("the others wait", async || {
        let waits = world.mesh().get_statistics(GetStatisticsRequest {}).await.expect("counts");
        (waits.into_inner().tasks_queued == 100).then_some(())
    })
    .await;
}
