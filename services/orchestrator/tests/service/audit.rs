//! Rows that contradict the history, written straight into the store: each is written anew from the
//! history within five seconds, once, and leaves a healing; and what was mended works.

use std::time::Instant;

use planaria_orchestrator::Config;
use planaria_proto::types::v1::{HealingAction, Phase};
use serde_json::json;

use crate::hand::{MENDED, Scene, Store, on_every_store};
use crate::worker::Worker;
use crate::world::{event, eventually};

on_every_store! {
    what_contradicts_the_history_is_written_anew
    what_contradicts_it_while_it_is_not_in_memory_is_written_anew
    a_task_that_another_session_is_said_to_have_runs_again
    rows_of_nothing_that_waits_are_removed
    what_must_be_mended_again_and_again_is_an_incident
}

/// Two calls at once.
const FORK: &str = "- f: { fork: { branches: [ { a: { call: echo } }, { b: { call: echo } } ] } }";
const CALL: &str = "- a: { call: echo, timeout: { after: { seconds: 59 } } }";
const WAIT: &str = "- s: { set: { a: 1 } }\n- w: { wait: { seconds: 59 } }";
const LISTEN: &str = "- l: { listen: { to: { one: { with: { type: go } } } } }";
const SET: &str = "- s: { set: { a: 1 } }";

/// A definition, a phase to wait for, and what is done to its rows; `ID` is the workflow's.
const CASES: &[(&str, Phase, &str)] = &[
    (
        "fork",
        Phase::Running,
        "DELETE FROM tasks WHERE workflow_id = ID AND frame = (
        SELECT min(frame) FROM tasks WHERE workflow_id = ID)",
    ),
    (
        "fork",
        Phase::Running,
        "UPDATE tasks SET state = 9 WHERE workflow_id = ID AND frame = (
        SELECT max(frame) FROM tasks WHERE workflow_id = ID)",
    ),
    ("call", Phase::Running, "UPDATE tasks SET attempt = 0 WHERE workflow_id = ID"),
    ("call", Phase::Running, "UPDATE tasks SET queue = 'elsewhere' WHERE workflow_id = ID"),
    (
        "call",
        Phase::Running,
        "UPDATE tasks SET function = 'b', priority = 7 WHERE workflow_id = ID",
    ),
    (
        "call",
        Phase::Running,
        "UPDATE tasks SET state = 2, latest_start_ms = 9999999999999
        WHERE workflow_id = ID",
    ),
    ("call", Phase::Running, "DELETE FROM timers WHERE workflow_id = ID"),
    ("call", Phase::Running, "UPDATE timers SET timer = 0 WHERE workflow_id = ID"),
    ("wait", Phase::Waiting, "UPDATE timers SET due_ms = due_ms + 3600000 WHERE workflow_id = ID"),
    ("wait", Phase::Waiting, "UPDATE timers SET frame = 2 WHERE workflow_id = ID"),
    ("wait", Phase::Waiting, "UPDATE timers SET timer = 9 WHERE workflow_id = ID"),
    ("listen", Phase::Waiting, "UPDATE listeners SET event_type = 'x' WHERE workflow_id = ID"),
    ("wait", Phase::Waiting, "UPDATE workflows SET phase = 4 WHERE id = ID"),
    ("wait", Phase::Waiting, "UPDATE workflows SET phase = 42 WHERE id = ID"),
    ("call", Phase::Running, "UPDATE workflows SET phase = 7, ended_at_ms = 5 WHERE id = ID"),
    ("call", Phase::Running, "UPDATE workflows SET phase = 6 WHERE id = ID"),
    ("wait", Phase::Waiting, "UPDATE workflows SET started_at_ms = 5 WHERE id = ID"),
    ("set", Phase::Completed, "UPDATE workflows SET phase = 2, ended_at_ms = NULL WHERE id = ID"),
];

async fn scene(store: Store, config: Config) -> Scene {
    let scene = Scene::on(store, config).await;
    let definitions =
        [("fork", FORK), ("call", CALL), ("wait", WAIT), ("listen", LISTEN), ("set", SET)];
    for (name, tasks) in definitions {
        scene.world.publish(name, tasks).await;
    }
    scene
}

async fn what_contradicts_the_history_is_written_anew(store: Store) {
    spoil_and_see(store, Config::default()).await;
}

async fn what_contradicts_it_while_it_is_not_in_memory_is_written_anew(store: Store) {
    spoil_and_see(store, Config { workflows_cached_max: 0, ..Config::default() }).await;
}

async fn spoil_and_see(store: Store, config: Config) {
    let mut scene = scene(store, config).await;
    let mut started = Vec::new();
    for (name, phase, spoil) in CASES {
        let id = scene.world.start_workflow(name, json!({ "n": 1 })).await;
        scene.world.until(&id, *phase).await;
        let right = scene.hand.rows(&id).await;
        started.push((id, right, spoil));
    }
    for (id, right, spoil) in &started {
        let sql = spoil.replace("ID", &scene.hand.id(id));
        assert_eq!(scene.hand.execute(&sql).await, 1, "{sql}");
        assert_ne!(scene.hand.rows(id).await, *right, "{sql}");
    }
    let since = Instant::now();
    for (id, right, spoil) in &started {
        let told = async || scene.all_told(id, HealingAction::Rebuilt).await.pop();
        let healing = eventually(&format!("told of: {spoil}"), told).await;
        assert!(healing.healed_at.is_some(), "{healing:?}");
        assert_eq!(healing.namespace, "test");
        let mut hand = crate::hand::Hand::in_store_of(&scene.world).await;
        eventually(spoil, async || (hand.rows(id).await == *right).then_some(())).await;
        assert!(since.elapsed() < MENDED, "{:?}: {spoil}", since.elapsed());
    }
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    for (id, _, spoil) in &started {
        assert_eq!(scene.all_told(id, HealingAction::Rebuilt).await.len(), 1, "{spoil}");
    }
    let calls = CASES.iter().map(|(name, ..)| match *name {
        "fork" => 2,
        "call" => 1,
        _ => 0,
    });
    for _ in 0..calls.sum() {
        let task = worker.next_beating(&[]).await;
        worker.complete(&task, json!(1)).await;
    }
    for ((id, ..), (name, ..)) in started.iter().zip(CASES) {
        match *name {
            "fork" => assert_eq!(scene.world.output(id).await, json!([1, 1])),
            "call" => assert_eq!(scene.world.output(id).await, json!(1)),
            "set" => assert_eq!(scene.world.output(id).await, json!({ "a": 1 })),
            "listen" => {
                assert!(scene.world.signal(id, event("go", "1", &json!(3))).await.expect("taken"));
                assert_eq!(scene.world.output(id).await, json!([3]));
            }
            _ => assert_eq!(scene.world.get(id).await.phase(), Phase::Waiting),
        }
    }
}

async fn a_task_that_another_session_is_said_to_have_runs_again(store: Store) {
    let mut scene = scene(store, Config::default()).await;
    let mut other = Worker::new(&scene.world, "other", &["nothing"]).await;
    let mut worker = Worker::new(&scene.world, "w", &["echo"]).await;
    let id = scene.world.start_workflow("call", json!({})).await;
    let first = worker.next().await;
    let session = scene.hand.id(&other.session);
    let of = scene.hand.id(&id);
    let sql = format!("UPDATE tasks SET session_id = {session} WHERE workflow_id = {of}");
    assert_eq!(scene.hand.execute(&sql).await, 1);
    let since = Instant::now();
    let again = worker.next_beating(&[&first]).await;
    assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    assert!(again.attempt > first.attempt, "the old one is fenced");
    let _ = other.renew(&[]).await;
    scene.healed(&id, since).await;
    worker.complete(&again, json!(1)).await;
    assert_eq!(scene.world.output(&id).await, json!(1));
}

async fn rows_of_nothing_that_waits_are_removed(store: Store) {
    let mut scene = scene(store, Config::default()).await;
    let rows = [
        ("timers", "frame, timer, due_ms", "2, 0, 1"),
        ("timers", "frame, timer, due_ms", "2, 1, 9999999999999"),
        ("listeners", "frame, event_type", "2, 'go'"),
        (
            "tasks",
            "frame, namespace, state, queue, function, priority, attempt, failures, losses,
            since_ms, latest_start_ms",
            "2, 'test', 0, 'default', 'echo', 0, 1, 0, 0, 0, 0",
        ),
    ];
    let mut spoilt = Vec::new();
    for (table, columns, values) in rows {
        let id = scene.world.start_workflow("wait", json!({})).await;
        scene.world.until(&id, Phase::Waiting).await;
        let right = scene.hand.rows(&id).await;
        scene.hand.insert(table, &id, columns, values).await;
        spoilt.push((id, right));
    }
    let since = Instant::now();
    for (id, right) in &spoilt {
        scene.healed(id, since).await;
        let mut hand = crate::hand::Hand::in_store_of(&scene.world).await;
        eventually("it is gone", async || (hand.rows(id).await == *right).then_some(())).await;
        assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    }
}

async fn what_must_be_mended_again_and_again_is_an_incident(store: Store) {
    let config = Config { audit_ms: 40, ..Config::default() };
    let mut scene = scene(store, config).await;
    let id = scene.world.start_workflow("wait", json!({})).await;
    scene.world.until(&id, Phase::Waiting).await;
    let right = scene.hand.rows(&id).await;
    let sql = format!(
        "UPDATE timers SET due_ms = due_ms + 3600000 WHERE workflow_id = {}",
        scene.hand.id(&id)
    );
    for round in 1..=5 {
        assert!(round > 3 || scene.all_told(&id, HealingAction::Repeated).await.is_empty());
        assert_eq!(scene.hand.execute(&sql).await, 1);
        let mut hand = crate::hand::Hand::in_store_of(&scene.world).await;
        eventually("it is mended", async || (hand.rows(&id).await == right).then_some(())).await;
        let told = scene.all_told(&id, HealingAction::Rebuilt).await;
        assert_eq!(told.len(), round, "each repair is told");
    }
    let incidents = scene.all_told(&id, HealingAction::Repeated).await;
    assert_eq!(incidents.len(), 1, "told once: {incidents:#?}");
    assert!(incidents[0].healed_at.is_none(), "it stays open");
}
