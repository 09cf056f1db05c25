//! States that should not be, written straight into the store: each is mended within five seconds
//! and leaves a healing. The table of rows and tests is in `docs/reconciler.md`.

use std::time::{Duration, Instant};

use planaria_orchestrator::Config;
use planaria_proto::types::v1::{HealingAction, Phase};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::hand::{Hand, MENDED, Scene, Store, on_every_store};
use crate::worker::Worker;
use crate::world::{World, event, eventually};

const ONE: &str = "- a: { call: echo }";
const GHOST: &str = "00112233-4455-6677-8899-aabbccddeeff";

on_every_store! {
    a_task_of_a_session_that_is_no_more_runs_again
    a_queued_task_that_memory_takes_for_running_is_handed_out
    a_retry_long_overdue_is_queued
    a_due_timer_that_is_not_armed_fires
    a_running_workflow_with_nothing_open_goes_on
    the_same_goes_on_when_it_is_not_in_memory
    what_a_finished_workflow_left_behind_is_removed
}

/// A connection to the store's file, beside the orchestrator's.
pub(crate) async fn open(world: &World) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(world.file());
    options.busy_timeout(Duration::from_secs(5)).connect().await.expect("the store")
}

pub(crate) async fn execute(store: &mut SqliteConnection, sql: &str) -> u64 {
    let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(store).await;
    done.expect("executed").rows_affected()
}

async fn a_task_of_a_session_that_is_no_more_runs_again(store: Store) {
    let mut scene = Scene::on(store, Config::default()).await;
    scene.world.publish("one", ONE).await;
    let id = scene.world.start_workflow("one", json!({})).await;
    let lost = format!("UPDATE tasks SET state = 1, session_id = {}", scene.hand.id(GHOST));
    assert_eq!(scene.hand.execute(&lost).await, 1);
    let since = Instant::now();
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    // Whether the orchestrator's memory or the reconciler is first: it runs, and can complete.
    let task = worker.next_beating(&[]).await;
    worker.complete(&task, json!(1)).await;
    assert_eq!(scene.world.output(&id).await, json!(1));
    assert!(since.elapsed() < MENDED);

    // Without a worker the reconciler is alone with it.
    let id = scene.world.start_workflow("one", json!({})).await;
    worker.close().await;
    assert_eq!(scene.hand.execute(&lost).await, 1);
    let since = Instant::now();
    let mut hand = Hand::in_store_of(&scene.world).await;
    eventually("it is queued again", async || {
        (hand.count("tasks WHERE state = 0").await == 1).then_some(())
    })
    .await;
    assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    let mut worker = Worker::new(&scene.world, "v", &["echo"]).await;
    let task = worker.next_beating(&[]).await;
    assert!(task.attempt > 1, "a new attempt: the old one is fenced");
    scene.healed(&id, Instant::now()).await;
}

async fn a_queued_task_that_memory_takes_for_running_is_handed_out(store: Store) {
    let mut scene = Scene::on(store, Config::default()).await;
    scene.world.publish("one", ONE).await;
    let id = scene.world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    let first = worker.next().await;
    let sql = "UPDATE tasks SET state = 0, session_id = NULL, since_ms = since_ms - 10000";
    assert_eq!(scene.hand.execute(sql).await, 1);
    let since = Instant::now();
    let again = worker.next().await;
    assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    assert_eq!(again.task, first.task);
    scene.healed(&id, since).await;
    worker.complete(&again, json!(1)).await;
    assert_eq!(scene.world.output(&id).await, json!(1));
}

async fn a_retry_long_overdue_is_queued(store: Store) {
    let mut scene = Scene::on(store, Config::default()).await;
    scene.world.publish("one", ONE).await;
    let id = scene.world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    let task = worker.next().await;
    worker.fail(&task, true).await;
    scene.world.stop().await;
    let sql = "UPDATE tasks SET latest_start_ms = latest_start_ms - 3600000 WHERE state = 2";
    assert_eq!(scene.hand.execute(sql).await, 1);
    scene.world.start().await;
    scene.world.log_end().await;
    let since = Instant::now();
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    let again = worker.next_beating(&[]).await;
    assert_eq!(again.attempt, 2);
    assert_eq!(scene.healed(&id, since).await.action(), HealingAction::RetryQueued);
}

async fn a_due_timer_that_is_not_armed_fires(store: Store) {
    // Nothing is held in memory, and nothing is scanned for.
    let config = Config { timer_horizon_ms: 0, timer_scan_ms: 3_600_000, ..Config::default() };
    let scene = Scene::on(store, config).await;
    scene.world.publish("wait", "- wait: { wait: { milliseconds: 100 } }").await;
    let since = Instant::now();
    let id = scene.world.start_workflow("wait", json!(1)).await;
    assert_eq!(scene.world.output(&id).await, json!(1));
    assert_eq!(scene.healed(&id, since).await.action(), HealingAction::TimerFired);
}

async fn a_running_workflow_with_nothing_open_goes_on(store: Store) {
    deprive_and_see(store, Config::default()).await;
}

async fn the_same_goes_on_when_it_is_not_in_memory(store: Store) {
    deprive_and_see(store, Config { workflows_cached_max: 0, ..Config::default() }).await;
}

/// Deletes the only rows that would bring workflows on.
async fn deprive_and_see(store: Store, config: Config) {
    let mut scene = Scene::on(store, config).await;
    scene.world.publish("one", ONE).await;
    scene.world.publish("wait", "- wait: { wait: { seconds: 59 } }").await;
    scene.world.publish("listen", "- l: { listen: { to: { one: { with: { type: go } } } } }").await;
    let task = scene.world.start_workflow("one", json!({})).await;
    let timer = scene.world.start_workflow("wait", json!(2)).await;
    let listener = scene.world.start_workflow("listen", json!({})).await;
    scene.world.until(&listener, Phase::Waiting).await;
    let spoilt = [("tasks", &task), ("timers", &timer), ("listeners", &listener)];
    for (table, id) in spoilt {
        let sql = format!("DELETE FROM {table} WHERE workflow_id = {}", scene.hand.id(id));
        assert_eq!(scene.hand.execute(&sql).await, 1, "{table}");
    }
    let since = Instant::now();
    for (table, id) in spoilt {
        scene.told(id, HealingAction::WorkflowAdvanced).await;
        assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
        assert_eq!(scene.hand.count(table).await, 1, "{table}");
    }
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    let got = worker.next_beating(&[]).await;
    worker.complete(&got, json!(1)).await;
    assert_eq!(scene.world.output(&task).await, json!(1));
    assert!(scene.world.signal(&listener, event("go", "1", &json!(3))).await.expect("taken"));
    assert_eq!(scene.world.output(&listener).await, json!([3]));
}

async fn what_a_finished_workflow_left_behind_is_removed(store: Store) {
    let mut scene = Scene::on(store, Config::default()).await;
    scene.world.publish("set", "- set: { set: { a: 1 } }").await;
    let task = "frame, namespace, state, queue, function, priority, attempt, failures, losses,
        since_ms, latest_start_ms";
    let rows = [
        ("tasks", task, "2, 'test', 0, 'default', 'echo', 0, 1, 0, 0, 0, 0"),
        ("tasks", task, "2, 'test', 1, 'default', 'echo', 0, 1, 0, 0, 0, 0"),
        ("tasks", task, "2, 'test', 2, 'default', 'echo', 0, 1, 1, 0, 0, 9999999999999"),
        ("timers", "frame, timer, due_ms", "2, 0, 0"),
        ("listeners", "frame, event_type", "2, ''"),
    ];
    let mut ids = Vec::new();
    for (table, columns, values) in rows {
        let id = scene.world.run("set", json!({})).await.workflow_id;
        scene.hand.insert(table, &id, columns, values).await;
        ids.push(id);
    }
    let since = Instant::now();
    for id in &ids {
        assert_eq!(scene.healed(id, since).await.action(), HealingAction::Removed);
        assert_eq!(scene.world.get(id).await.phase(), Phase::Completed);
    }
    for table in ["tasks", "timers", "listeners"] {
        assert_eq!(scene.hand.count(table).await, 0, "{table}");
    }
    // Once: a repair that is repeated would hide that it does not help.
    let healings = scene.world.healings().await;
    assert_eq!(healings.len(), ids.len(), "{healings:#?}");
}
