//! States that should not be, written straight into the store: each is mended within five seconds
//! and leaves a healing.

use std::time::{Duration, Instant};

use planaria_orchestrator::Config;
use planaria_proto::types::v1::{Healing, HealingAction, Phase};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::worker::Worker;
use crate::world::{World, event};

/// The longest that a bad state may stay.
const MENDED: Duration = Duration::from_secs(5);
const ONE: &str = "- a: { call: echo }";

/// A connection to the store, beside the orchestrator's.
pub(crate) async fn open(world: &World) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(world.file());
    options.busy_timeout(Duration::from_secs(5)).connect().await.expect("the store")
}

pub(crate) async fn execute(store: &mut SqliteConnection, sql: &str) -> u64 {
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(store).await;
    done.expect("executed").rows_affected()
}

async fn count(store: &mut SqliteConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(store).await.expect("counted")
}

/// The literal of a workflow's id.
fn blob(id: &str) -> String {
    format!("x'{}'", id.replace('-', ""))
}

async fn healed(world: &World, id: &str, since: Instant) -> Healing {
    let healing = world.healing(id).await;
    assert!(since.elapsed() < MENDED, "{:?}: {healing:?}", since.elapsed());
    healing
}

#[tokio::test]
async fn a_task_of_a_session_that_is_no_more_runs_again() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut store = open(&world).await;
    let sql = "UPDATE tasks SET state = 1, session_id = x'00112233445566778899aabbccddeeff'";
    assert_eq!(execute(&mut store, sql).await, 1);
    let since = Instant::now();
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    // Whether the orchestrator's memory or the reconciler is first: it runs, and can complete.
    let task = worker.next().await;
    worker.complete(&task, json!(1)).await;
    assert_eq!(world.output(&id).await, json!(1));
    assert!(since.elapsed() < MENDED);

    // Without a worker the reconciler is alone with it.
    let id = world.start_workflow("one", json!({})).await;
    worker.close().await;
    let sql = "UPDATE tasks SET state = 1, session_id = x'00112233445566778899aabbccddeeff'";
    assert_eq!(execute(&mut store, sql).await, 1);
    let since = Instant::now();
    let queued = "SELECT count(*) FROM tasks WHERE state = 0";
    crate::world::eventually("it is queued again", async || {
        let mut store = open(&world).await;
        (count(&mut store, queued).await == 1).then_some(())
    })
    .await;
    assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    let mut worker = Worker::new(&world, "v", &["echo"]).await;
    let task = worker.next().await;
    assert!(task.attempt > 1, "a new attempt: the old one is fenced");
    healed(&world, &id, Instant::now()).await;
}

#[tokio::test]
async fn a_queued_task_that_memory_takes_for_running_is_handed_out() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let first = worker.next().await;
    let mut store = open(&world).await;
    let sql = "UPDATE tasks SET state = 0, session_id = NULL, since_ms = since_ms - 10000";
    assert_eq!(execute(&mut store, sql).await, 1);
    let since = Instant::now();
    let again = worker.next().await;
    assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    assert_eq!(again.task, first.task);
    healed(&world, &id, since).await;
    worker.complete(&again, json!(1)).await;
    assert_eq!(world.output(&id).await, json!(1));
}

#[tokio::test]
async fn a_retry_long_overdue_is_queued() {
    let mut world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    worker.fail(&task, true).await;
    world.kill();
    let mut store = open(&world).await;
    let sql = "UPDATE tasks SET latest_start_ms = latest_start_ms - 3600000 WHERE state = 2";
    assert_eq!(execute(&mut store, sql).await, 1);
    world.start().await;
    let since = Instant::now();
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let again = worker.next().await;
    assert_eq!(again.attempt, 2);
    assert_eq!(healed(&world, &id, since).await.action(), HealingAction::RetryQueued);
}

#[tokio::test]
async fn a_due_timer_that_is_not_armed_fires() {
    // Nothing is held in memory, and nothing is scanned for.
    let config = Config { timer_horizon_ms: 0, timer_scan_ms: 3_600_000, ..Config::default() };
    let world = World::with(config).await;
    world.publish("wait", "- wait: { wait: { milliseconds: 100 } }").await;
    let since = Instant::now();
    let id = world.start_workflow("wait", json!(1)).await;
    assert_eq!(world.output(&id).await, json!(1));
    assert_eq!(healed(&world, &id, since).await.action(), HealingAction::TimerFired);
}

/// Deletes the only row that would bring a workflow on; answers when.
async fn deprive(world: &World, table: &str, id: &str) -> Instant {
    let mut store = open(world).await;
    let sql = format!("DELETE FROM {table} WHERE workflow_id = {}", blob(id));
    assert_eq!(execute(&mut store, &sql).await, 1, "{table}");
    Instant::now()
}

#[tokio::test]
async fn a_running_workflow_with_nothing_open_goes_on() {
    let mut world = World::new().await;
    world.publish("one", ONE).await;
    world.publish("wait", "- wait: { wait: { seconds: 59 } }").await;
    world.publish("listen", "- l: { listen: { to: { one: { with: { type: go } } } } }").await;
    let task = world.start_workflow("one", json!({})).await;
    let timer = world.start_workflow("wait", json!(2)).await;
    let listener = world.start_workflow("listen", json!({})).await;
    world.until(&listener, Phase::Waiting).await;
    // With the workflow in memory, then without.
    for round in 0..2 {
        if round == 1 {
            world.kill();
        }
        let mut since = Instant::now();
        for (table, id) in [("tasks", &task), ("timers", &timer), ("listeners", &listener)] {
            since = deprive(&world, table, id).await;
        }
        if round == 1 {
            world.start().await;
        }
        let advanced = async |id: &str| {
            let healings = world.healings().await.into_iter().filter(|h| h.workflow_id == id);
            let advanced = HealingAction::WorkflowAdvanced;
            (healings.filter(|h| h.action() == advanced).count() > round).then_some(())
        };
        for id in [&task, &timer, &listener] {
            crate::world::eventually("it goes on", async || advanced(id).await).await;
        }
        assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
        let mut store = open(&world).await;
        for table in ["tasks", "timers", "listeners"] {
            let rows = count(&mut store, &format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(rows, 1, "{table} in round {round}");
        }
    }
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let got = worker.next().await;
    worker.complete(&got, json!(1)).await;
    assert_eq!(world.output(&task).await, json!(1));
    assert!(world.signal(&listener, event("go", "1", &json!(3))).await.expect("taken"));
    assert_eq!(world.output(&listener).await, json!([3]));
}

#[tokio::test]
async fn what_a_finished_workflow_left_behind_is_removed() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    let rows = [
        (
            "tasks",
            "namespace, state, queue, function, priority, attempt, failures, losses, since_ms,
            latest_start_ms",
            "'test', 0, 'default', 'echo', 0, 1, 0, 0, 0, 0",
        ),
        (
            "tasks",
            "namespace, state, queue, function, priority, attempt, failures, losses, since_ms,
            latest_start_ms",
            "'test', 1, 'default', 'echo', 0, 1, 0, 0, 0, 0",
        ),
        (
            "tasks",
            "namespace, state, queue, function, priority, attempt, failures, losses, since_ms,
            latest_start_ms",
            "'test', 2, 'default', 'echo', 0, 1, 1, 0, 0, 9999999999999",
        ),
        ("timers", "timer, due_ms", "0, 0"),
        ("listeners", "event_type", "''"),
    ];
    let mut store = open(&world).await;
    let mut ids = Vec::new();
    for (table, columns, values) in rows {
        let id = world.run("set", json!({})).await.workflow_id;
        let sql = format!(
            "INSERT INTO {table} (workflow_id, frame, {columns}) VALUES ({}, 2, {values})",
            blob(&id)
        );
        assert_eq!(execute(&mut store, &sql).await, 1);
        ids.push(id);
    }
    let since = Instant::now();
    for id in &ids {
        assert_eq!(healed(&world, id, since).await.action(), HealingAction::Removed);
        assert_eq!(world.get(id).await.phase(), Phase::Completed);
    }
    for table in ["tasks", "timers", "listeners"] {
        let rows = count(&mut store, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(rows, 0, "{table}");
    }
    // Once: a repair that is repeated would hide that it does not help.
    let healings = world.healings().await;
    assert_eq!(healings.len(), ids.len(), "{healings:#?}");
}
