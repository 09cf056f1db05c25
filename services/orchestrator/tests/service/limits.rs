//! Limits: how much of a function runs at once, how much of it starts, and by which value.

use std::time::Duration;

use planaria_proto::flow::v1::list_limits_response::LimitState;
use planaria_proto::flow::v1::*;
use planaria_proto::orchestrator::v1::GetStatisticsRequest;
use planaria_proto::task::v1::{Acceptance, Assignment};
use planaria_proto::types::v1::Phase;
use serde_json::{Value, json};
use tonic::Code;

use crate::worker::{Worker, arguments};
use crate::world::{PATIENCE, World, eventually, pause_of, refused};

const TASK: &str = "- a: { call: charge, with: { customer: '${ .c }' } }";

/// A limit of the function in the namespace of tests.
pub(crate) fn limit(concurrency: u32) -> Limit {
    let (namespace, function) = ("test".to_owned(), "charge".to_owned());
    Limit { namespace, function, concurrency, ..Limit::default() }
}

pub(crate) async fn put(world: &World, limit: Limit) {
    let request = PutLimitRequest { limit: Some(limit) };
    world.flow().put_limit(request).await.expect("set");
}

async fn only(world: &World) -> LimitState {
    let request = ListLimitsRequest::default();
    let listed = world.flow().list_limits(request).await.expect("listed").into_inner();
    listed.limits.into_iter().next().expect("a limit")
}

/// Waits until the mesh tells that so many run and wait.
async fn until_used(world: &World, running: u64, waiting: u64) {
    eventually(&format!("{running} run and {waiting} wait"), async || {
        let total = only(world).await.total.expect("counts");
        ((total.running, total.waiting) == (running, waiting)).then_some(())
    })
    .await;
}

async fn start(world: &World, count: usize, customer: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.start_workflow("limited", json!({ "c": customer })).await);
    }
    ids
}

async fn next(worker: &mut Worker, count: usize) -> Vec<Assignment> {
    let mut tasks = Vec::new();
    for _ in 0..count {
        tasks.push(worker.next().await);
    }
    tasks
}

async fn complete(worker: &mut Worker, tasks: &[Assignment]) {
    for task in tasks {
        assert_eq!(worker.complete(task, json!(null)).await, Acceptance::Accepted);
    }
}

/// Nothing comes although there is time for it.
async fn nothing_comes(worker: &mut Worker) {
    let got = worker.idle_for(Duration::from_millis(600)).await;
    assert_eq!(got, [], "more than the limit lets run");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_than_the_limit_says() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, limit(3)).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    let ids = start(&world, 12, "ann").await;
    let first = next(&mut worker, 3).await;
    until_used(&world, 3, 9).await;
    nothing_comes(&mut worker).await;
    // Each that ends makes room for one.
    complete(&mut worker, &first[..2]).await;
    let second = next(&mut worker, 2).await;
    nothing_comes(&mut worker).await;
    complete(&mut worker, &first[2..]).await;
    complete(&mut worker, &second).await;
    for _ in 0..7 {
        let task = worker.next().await;
        complete(&mut worker, &[task]).await;
    }
    for id in ids {
        world.until(&id, Phase::Completed).await;
    }
    until_used(&world, 0, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_has_the_limit_for_itself() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, Limit { per: "/customer".to_owned(), ..limit(1) }).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    start(&world, 50, "ann").await;
    start(&world, 2, "bob").await;
    start(&world, 1, "").await;
    let tasks = next(&mut worker, 3).await;
    let mut customers: Vec<Value> =
        tasks.iter().map(|task| arguments(task)["customer"].clone()).collect();
    customers.sort_by_key(ToString::to_string);
    assert_eq!(customers, [json!(""), json!("ann"), json!("bob")]);
    nothing_comes(&mut worker).await;
    until_used(&world, 3, 50).await;
    let uses = only(&world).await.uses;
    let shown: Vec<(&str, u64, u64)> =
        uses.iter().map(|used| (&*used.value, used.running, used.waiting)).collect();
    assert_eq!(shown, [("ann", 1, 49), ("bob", 1, 1), ("", 1, 0)]);
    let bob = tasks.iter().find(|task| arguments(task)["customer"] == "bob").expect("one");
    complete(&mut worker, std::slice::from_ref(bob)).await;
    assert_eq!(arguments(&worker.next().await)["customer"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_under_all_limits_of_its_function() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, limit(3)).await;
    put(&world, Limit { per: "/customer".to_owned(), ..limit(2) }).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    for customer in ["ann", "bob", "cid"] {
        start(&world, 3, customer).await;
    }
    let tasks = next(&mut worker, 3).await;
    nothing_comes(&mut worker).await;
    complete(&mut worker, &tasks).await;
    let mut done = 3;
    while done < 9 {
        let task = worker.next().await;
        complete(&mut worker, &[task]).await;
        done += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_start_than_the_rate_says() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, Limit { rate: 10.0, burst: 2, ..limit(0) }).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    let began = tokio::time::Instant::now();
    start(&world, 12, "ann").await;
    for count in 1..=12_u32 {
        worker.next().await;
        let least = Duration::from_millis(100) * count.saturating_sub(2);
        assert!(began.elapsed() + Duration::from_millis(20) >= least, "{count} too early");
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_set_later_counts_what_runs() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    start(&world, 4, "ann").await;
    start(&world, 1, "bob").await;
    let running = next(&mut worker, 5).await;
    put(&world, Limit { per: "/customer".to_owned(), ..limit(2) }).await;
    until_used(&world, 5, 0).await;
    start(&world, 3, "ann").await;
    start(&world, 1, "bob").await;
    assert_eq!(arguments(&worker.next().await)["customer"], "bob");
    nothing_comes(&mut worker).await;
    complete(&mut worker, &running[..2]).await;
    nothing_comes(&mut worker).await;
    complete(&mut worker, &running[2..3]).await;
    assert_eq!(arguments(&worker.next().await)["customer"], "ann");
    // It is raised, and removed: what waits goes.
    put(&world, Limit { per: "/customer".to_owned(), ..limit(3) }).await;
    worker.next().await;
    nothing_comes(&mut worker).await;
    let request = DeleteLimitRequest {
        namespace: "test".to_owned(),
        function: "charge".to_owned(),
        per: "/customer".to_owned(),
    };
    world.flow().delete_limit(request).await.expect("removed");
    worker.next().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_set_while_tasks_wait_looks_into_their_arguments() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    start(&world, 20, "ann").await;
    start(&world, 2, "bob").await;
    put(&world, Limit { per: "/customer".to_owned(), ..limit(1) }).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    let tasks = next(&mut worker, 2).await;
    assert_ne!(arguments(&tasks[0]), arguments(&tasks[1]));
    nothing_comes(&mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_or_cancelled_gives_its_place_back() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, limit(2)).await;
    let first = Worker::new(&world, "first", &["charge"]).await;
    let ids = start(&world, 4, "ann").await;
    until_used(&world, 2, 2).await;
    let mut second = Worker::new(&world, "second", &["charge"]).await;
    nothing_comes(&mut second).await;
    first.close().await;
    // Lost attempts come first.
    let tasks = next(&mut second, 2).await;
    assert!(tasks.iter().all(|task| task.attempt == 2), "{tasks:?}");
    nothing_comes(&mut second).await;
    for id in &ids {
        if tasks.iter().any(|task| task.workflow_id == *id) {
            world.cancel(id).await;
        }
    }
    next(&mut second, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_orchestrator_finds_what_runs_under_a_limit() {
    let mut world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, Limit { per: "/customer".to_owned(), ..limit(2) }).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    start(&world, 5, "ann").await;
    let tasks = next(&mut worker, 2).await;
    world.restart_killed().await;
    drop(worker);
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    nothing_comes(&mut worker).await;
    until_used(&world, 2, 3).await;
    complete(&mut worker, &tasks).await;
    next(&mut worker, 2).await;
    nothing_comes(&mut worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_limited_is_not_held_up_by_what_is() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    world.publish("free", "- a: { call: other }").await;
    put(&world, Limit { per: "/customer".to_owned(), ..limit(1) }).await;
    let mut worker = Worker::new(&world, "w", &["charge", "other"]).await;
    for customer in 0..20 {
        start(&world, 3, &customer.to_string()).await;
    }
    next(&mut worker, 20).await;
    until_used(&world, 20, 40).await;
    let id = world.start_workflow("free", json!(null)).await;
    let task = worker.next().await;
    assert_eq!(task.workflow_id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let cases = [
        (limit(0), "limit.concurrency"),
        (limit(1_000_001), "limit.concurrency"),
        (Limit { function: String::new(), ..limit(1) }, "limit.function"),
        (Limit { namespace: String::new(), ..limit(1) }, "limit.namespace"),
        (Limit { per: "customer".to_owned(), ..limit(1) }, "limit.per"),
        (Limit { per: "/a~2".to_owned(), ..limit(1) }, "limit.per"),
        (Limit { rate: -1.0, ..limit(0) }, "limit.rate"),
        (Limit { rate: f64::NAN, ..limit(0) }, "limit.rate"),
        (Limit { rate: 0.0001, ..limit(0) }, "limit.rate"),
        (Limit { burst: 5, ..limit(1) }, "limit.burst"),
    ];
    for (bad, field) in cases {
        let request = PutLimitRequest { limit: Some(bad.clone()) };
        let status = world.flow().put_limit(request).await.expect_err("refused");
        let violations = refused(&status, Code::InvalidArgument, "LIMIT_INVALID");
        assert_eq!(violations[0].0, field, "{bad:?}: {violations:?}");
    }
    let (namespace, function) = ("test".to_owned(), "charge".to_owned());
    let request = DeleteLimitRequest { namespace, function, per: String::new() };
    let status = world.flow().delete_limit(request).await.expect_err("there is none");
    refused(&status, Code::NotFound, "LIMIT_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_that_a_task_waits_for_its_limit() {
    let world = World::new().await;
    world.publish("limited", TASK).await;
    put(&world, limit(1)).await;
    let mut worker = Worker::new(&world, "w", &["charge"]).await;
    let ids = start(&world, 2, "ann").await;
    worker.next().await;
    let told = async || world.get(&ids[1]).await.waiting_for;
    let there = async {
        while told().await != "the limit of charge: 1 of 1 run" {
            pause_of(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, there).await.is_ok(), "{}", told().await);
    let waits = world.mesh().get_statistics(GetStatisticsRequest {}).await.expect("counts");
    let waits = waits.into_inner().waiting;
    assert_eq!((waits[0].count, waits[0].held), (1, 1));
}
