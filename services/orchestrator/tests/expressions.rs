//! Hostile expressions end as errors of their own workflow; a neighbour does not notice, and who
//! starts or steers such a workflow does not wait for them.
//!
//! Without the usual harness, because this very program is what the orchestrator starts to evaluate
//! expressions.

#![allow(clippy::print_stdout, reason = "it speaks the language of test runners")]

#[path = "service/world.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod world;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::*;
use serde_json::json;
use tonic::Code;
use world::{World, eventually, refused, start};

/// What does not wait for expressions takes less; what waits for those of [`crowd`] takes longer.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Workflows of the crowd: together they use 8 s of processor time, on two of the pool's places.
const CROWD: usize = 80;

type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

const TESTS: [(&str, Test); 5] = [
    ("hostile_expressions_harm_nobody_else", || Box::pin(hostile_expressions_harm_nobody_else())),
    ("a_start_does_not_wait_for_expressions", || Box::pin(a_start_does_not_wait_for_expressions())),
    ("a_key_is_answered_from_what_is_kept", || Box::pin(a_key_is_answered_from_what_is_kept())),
    ("an_endless_loop_is_seen_and_steered", || Box::pin(an_endless_loop_is_seen_and_steered())),
    ("definitions_take_turns_in_the_pool", || Box::pin(definitions_take_turns_in_the_pool())),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has(planaria_dsl::evaluator_child::ARGUMENT) {
        return planaria_dsl::evaluator_child::main();
    }
    if has("--list") {
        for (name, _) in TESTS.iter().filter(|_| !has("--ignored")) {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let named = |name: &str| TESTS.iter().all(|(known, _)| !has(known)) || has(name);
    for (name, test) in TESTS.iter().filter(|(name, _)| named(name)) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(test());
        println!("{name}: ok");
    }
    ExitCode::SUCCESS
}

/// Starts many workflows that keep their definition's places in the pool busy for seconds.
async fn crowd(world: &World) -> Vec<String> {
    world.publish("hostile", "- bad: { set: { a: '${ def f: f; f }' } }").await;
    let starts = (0..CROWD).map(|_| start("hostile", json!({}))).collect();
    let request = StartWorkflowsRequest { starts };
    let began = Instant::now();
    let response = world.workflows().start_workflows(request).await.expect("started").into_inner();
    assert!(began.elapsed() < AT_ONCE, "the starts took {:?}", began.elapsed());
    response.outcomes.into_iter().map(|outcome| outcome.workflow_id).collect()
}

async fn a_start_does_not_wait_for_expressions() {
    let mut world = World::new().await;
    let mut ids = crowd(&world).await;
    let began = Instant::now();
    ids.push(world.start_workflow("hostile", json!({})).await);
    assert!(began.elapsed() < AT_ONCE, "the start took {:?}", began.elapsed());
    // What was answered is kept, whatever happens, and goes on.
    world.restart_killed().await;
    for id in &ids {
        let workflow = world.until(id, Phase::Faulted).await;
        assert!(workflow.error.expect("an error").r#type.ends_with("/expression"));
    }
}

async fn a_key_is_answered_from_what_is_kept() {
    let mut world = World::new().await;
    crowd(&world).await;
    for key in 0..5 {
        let keyed = WorkflowStart {
            idempotency_key: format!("order-{key}"),
            ..start("hostile", json!({"key": key}))
        };
        let request = StartWorkflowRequest { start: Some(keyed) };
        let (mut one, mut other) = (world.workflows(), world.workflows());
        let began = Instant::now();
        let answer = tokio::select! {
            answer = one.start_workflow(request.clone()) => answer,
            answer = other.start_workflow(request.clone()) => answer,
        };
        let id = answer.expect("started").into_inner().workflow_id;
        assert!(began.elapsed() < AT_ONCE, "the start took {:?}", began.elapsed());
        world.restart_killed().await;
        assert_eq!(world.get(&id).await.id, id);
        let again = world.workflows().start_workflow(request).await.expect("known").into_inner();
        assert_eq!((again.workflow_id, again.existed), (id, true));
    }
}

/// Whether calls that steer are answered at once.
async fn at_once<T>(what: &str, call: impl Future<Output = T>) -> T {
    let answered = tokio::time::timeout(AT_ONCE, call).await;
    assert!(answered.is_ok(), "{what} is not answered");
    answered.expect("it was answered")
}

async fn an_endless_loop_is_seen_and_steered() {
    let world = World::new().await;
    let tasks = "- again:
    try: [ bad: { set: { a: '${ def f: f; f }' } } ]
    catch: {}
    then: again";
    world.publish("endless", tasks).await;
    let id = at_once("the start", world.start_workflow("endless", json!({}))).await;
    let length = async || at_once("get", world.get(&id)).await.history_length;
    let more_than = async |least: u64| {
        eventually("the loop goes on", async || (length().await > least).then_some(())).await;
    };
    more_than(10).await;
    let request = ListWorkflowsRequest::default();
    let (mut lists, mut steers) = (world.workflows(), world.workflows());
    let listed = at_once("list", lists.list_workflows(request)).await.expect("a list");
    assert_eq!(listed.into_inner().workflows[0].id, id);

    let request = SuspendWorkflowRequest { workflow_id: id.clone(), reason: String::new() };
    at_once("suspend", steers.suspend_workflow(request)).await.expect("suspended");
    assert_eq!(world.get(&id).await.phase(), Phase::Suspended);
    let request = ResumeWorkflowRequest { workflow_id: id.clone() };
    at_once("resume", steers.resume_workflow(request)).await.expect("resumed");
    more_than(length().await + 10).await;

    let request = CancelWorkflowRequest { workflow_id: id.clone(), reason: String::new() };
    at_once("cancel", steers.cancel_workflow(request)).await.expect("cancelled");
    assert_eq!(world.get(&id).await.phase(), Phase::Cancelled);
    let request = SuspendWorkflowRequest { workflow_id: id.clone(), reason: String::new() };
    let status = steers.suspend_workflow(request).await.expect_err("it is over");
    refused(&status, Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID");
}

async fn definitions_take_turns_in_the_pool() {
    let world = World::new().await;
    world.publish("honest", "- good: { set: { a: '${ [range(3)] | add }' } }").await;
    let ids = crowd(&world).await;
    for _ in 0..3 {
        let began = Instant::now();
        let ran = world.run("honest", json!({})).await;
        assert_eq!(world::json(ran.output), json!({"a": 3}));
        assert!(began.elapsed() < AT_ONCE, "the honest one took {:?}", began.elapsed());
    }
    let waiting = ids.last().expect("a crowd");
    assert_eq!(world.get(waiting).await.phase(), Phase::Running, "the crowd still waits");
}

async fn hostile_expressions_harm_nobody_else() {
    let world = World::new().await;
    let hostile = [
        ("recursion", "def f: f + 1; f"),
        ("endless", "def f: f; f"),
        ("loop", "[limit(1e12; repeat(1))] | length"),
        ("range", "[range(1e9)] | length"),
        ("until", "0 | until(false; . + 1)"),
        ("string", "\"x\" * 4e9 | length"),
        ("nested", "reduce range(1e6) as $i (0; [.])"),
        ("error", "error(\"no\")"),
        ("many", "range(3)"),
    ];
    for (name, program) in hostile {
        let tasks = format!("- bad: {{ set: {{ a: '${{ {program} }}' }} }}");
        world.publish(name, &tasks).await;
    }
    world.publish("good", "- good: { set: { a: '${ [range(3)] | add }' } }").await;
    world.publish("local", "- good: { set: { a: '${ .n }' } }").await;
    let mut slowest = Duration::ZERO;
    let bad = hostile.map(|(name, _)| {
        let world = &world;
        async move {
            let began = Instant::now();
            let ran = world.run(name, json!({})).await;
            assert_eq!(ran.phase(), Phase::Faulted, "{name}");
            let error = ran.error.expect("an error");
            assert!(error.r#type.ends_with("/expression"), "{name}: {error:?}");
            assert_eq!(error.instance, "/do/0/bad", "{name}");
            assert!(began.elapsed() < Duration::from_secs(10), "{name}: {:?}", began.elapsed());
            assert!(error.detail.len() < 4_096, "{name}: {}", error.detail.len());
        }
    });
    let good = async {
        for n in 0..20 {
            let began = Instant::now();
            let ran = world.run("local", json!({ "n": n })).await;
            slowest = slowest.max(began.elapsed());
            assert_eq!(world::json(ran.output), json!({ "a": n }));
        }
        let ran = world.run("good", json!({})).await;
        assert_eq!(world::json(ran.output), json!({"a": 3}));
    };
    tokio::join!(futures_util::future::join_all(bad), good);
    assert!(slowest < Duration::from_secs(2), "a neighbour waited {slowest:?}");
}
