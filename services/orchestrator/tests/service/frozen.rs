//! Histories that are damaged, straight in the store: nobody mends them. The workflow is frozen and
//! shown so, people are told once, the others go on, and people can end it or restore it.

use std::time::Instant;

use planaria_orchestrator::Config;
use planaria_proto::task::v1::Assignment;
use planaria_proto::types::v1::{HealingAction, Phase};
use planaria_proto::workflow::v1::list_workflows_request::Filter;
use planaria_proto::workflow::v1::{
    ListWorkflowsRequest, ResumeWorkflowRequest, RunWorkflowRequest, SuspendWorkflowRequest,
};
use serde_json::json;
use tonic::Code;

use crate::hand::{Hand, MENDED, Scene, Store, on_every_store};
use crate::worker::Worker;
use crate::world::{World, event, eventually, refused, start};

on_every_store! {
    a_damaged_history_freezes_its_workflow_and_no_other
    a_frozen_workflow_is_not_told_again_and_can_be_cancelled
    a_history_that_is_restored_goes_on
    a_history_that_lost_its_end_is_frozen
}

const CALLS: &str = "- a: { call: echo }\n- b: { call: echo }\n- c: { call: echo }";

/// Starts a workflow, completes its first two tasks and holds its third: its history has three
/// records.
async fn started(world: &World, worker: &mut Worker, held: &mut Vec<Assignment>) -> String {
    let id = world.start_workflow("calls", json!({})).await;
    for n in 0..2 {
        let task = worker.next_of(&id, held).await;
        worker.complete(&task, json!(n)).await;
    }
    eventually("the third runs", async || {
        let tasks = world.get(&id).await.tasks;
        (tasks.len() == 3).then_some(())
    })
    .await;
    let third = worker.next_of(&id, held).await;
    held.push(third);
    id
}

async fn scene(store: Store, config: Config) -> (Scene, Worker) {
    let scene = Scene::on(store, config).await;
    scene.world.publish("calls", CALLS).await;
    let worker = Worker::new(&scene.world, "w", &["echo"]).await;
    (scene, worker)
}

async fn listed(world: &World) -> Vec<String> {
    let filter = Some(Filter { frozen: true, ..Filter::default() });
    let request = ListWorkflowsRequest { filter, ..ListWorkflowsRequest::default() };
    let listed = world.workflows().list_workflows(request).await.expect("listed").into_inner();
    assert!(listed.workflows.iter().all(|workflow| !workflow.frozen.is_empty()));
    listed.workflows.into_iter().map(|workflow| workflow.id).collect()
}

/// Nothing that is sent to it is taken.
async fn check_refusals(world: &World, id: &str) {
    let reason = "WORKFLOW_FROZEN";
    let suspend = SuspendWorkflowRequest { workflow_id: id.to_owned(), reason: String::new() };
    let status = world.workflows().suspend_workflow(suspend).await.expect_err("refused");
    refused(&status, Code::FailedPrecondition, reason);
    let resume = ResumeWorkflowRequest { workflow_id: id.to_owned() };
    let status = world.workflows().resume_workflow(resume).await.expect_err("refused");
    refused(&status, Code::FailedPrecondition, reason);
    let status = world.signal(id, event("go", "1", &json!(1))).await.expect_err("refused");
    refused(&status, Code::FailedPrecondition, reason);
}

async fn a_damaged_history_freezes_its_workflow_and_no_other(store: Store) {
    for config in [Config::default(), Config { workflows_cached_max: 0, ..Config::default() }] {
        let (mut scene, mut worker) = scene(store, config).await;
        let mut held = Vec::new();
        let whole = started(&scene.world, &mut worker, &mut held).await;
        let damages = [
            (
                "a gap",
                "DELETE FROM log WHERE workflow_id = ID AND first_seq = (
                SELECT min(first_seq) FROM log WHERE workflow_id = ID AND first_seq > 1)",
                "missing",
            ),
            ("no start", "DELETE FROM log WHERE workflow_id = ID AND first_seq = 1", "missing"),
            (
                "nonsense",
                "UPDATE log SET body = BYTES WHERE workflow_id = ID AND first_seq = 1",
                "",
            ),
            (
                "twice",
                "UPDATE log SET body = (SELECT body FROM log WHERE workflow_id = ID
                AND first_seq = 1) WHERE workflow_id = ID AND first_seq > 1",
                "twice",
            ),
        ];
        let mut frozen = Vec::new();
        for (what, spoil, said) in damages {
            let id = started(&scene.world, &mut worker, &mut held).await;
            let literals = (scene.hand.id(&id), scene.hand.bytes("ffffff"));
            let sql = spoil.replace("ID", &literals.0).replace("BYTES", &literals.1);
            assert!(scene.hand.execute(&sql).await > 0, "{what}");
            let of = format!("log WHERE workflow_id = {}", literals.0);
            frozen.push((id, what, said, scene.hand.count(&of).await, of));
        }
        let since = Instant::now();
        for (id, what, said, records, of) in &frozen {
            let healing = scene.told(id, HealingAction::Frozen).await;
            assert!(since.elapsed() < MENDED, "{:?}: {what}", since.elapsed());
            assert!(healing.healed_at.is_none(), "it is for people to end: {healing:?}");
            assert!(healing.summary.contains(said), "{what}: {}", healing.summary);
            let shown = scene.world.get(id).await;
            assert!(shown.frozen.contains(said), "{what}: {shown:?}");
            assert_eq!(shown.phase(), Phase::Running, "its row stays as it was");
            check_refusals(&scene.world, id).await;
            assert_eq!(scene.hand.count(of).await, *records, "{what}: nothing is rewritten");
        }
        let mut ids: Vec<String> = frozen.into_iter().map(|(id, ..)| id).collect();
        ids.reverse();
        assert_eq!(listed(&scene.world).await, ids);
        assert_eq!(scene.world.get(&whole).await.frozen, "");
        let id = scene.world.start_workflow("calls", json!({})).await;
        for n in 0..3 {
            let task = worker.next_of(&id, &mut held).await;
            worker.complete(&task, json!(n)).await;
        }
        assert_eq!(scene.world.output(&id).await, json!(2), "others go on");
    }
}

/// Takes away the start of a history.
async fn behead(hand: &mut Hand, id: &str) {
    let of = hand.id(id);
    let sql = format!("DELETE FROM log WHERE workflow_id = {of} AND first_seq = 1");
    assert_eq!(hand.execute(&sql).await, 1);
}

async fn a_frozen_workflow_is_not_told_again_and_can_be_cancelled(store: Store) {
    let (mut scene, mut worker) = scene(store, Config::default()).await;
    let id = started(&scene.world, &mut worker, &mut Vec::new()).await;
    behead(&mut scene.hand, &id).await;
    let told = scene.told(&id, HealingAction::Frozen).await;
    scene.world.stop().await;
    scene.world.start().await;
    eventually("it is there again", async || {
        (scene.world.log_end().await.seq > 0 || scene.world.log_end().await.log > 0).then_some(())
    })
    .await;
    check_refusals(&scene.world, &id).await;
    let all = scene.all_told(&id, HealingAction::Frozen).await;
    assert_eq!(all.iter().map(|healing| &healing.id).collect::<Vec<_>>(), [&told.id]);
    scene.world.cancel(&id).await;
    scene.world.cancel(&id).await;
    let shown = scene.world.until(&id, Phase::Cancelled).await;
    assert!(shown.ended_at.is_some() && !shown.frozen.is_empty(), "{shown:?}");
    let healing = scene.told(&id, HealingAction::Frozen).await;
    assert!(healing.healed_at.is_some(), "people have seen to it: {healing:?}");
    let of = scene.hand.id(&id);
    for table in ["tasks", "timers", "listeners"] {
        let of = format!("{table} WHERE workflow_id = {of}");
        assert_eq!(scene.hand.count(&of).await, 0, "{table}");
    }
    // Whoever waits for its end is told.
    check_refusals(&scene.world, &id).await;
}

async fn a_history_that_is_restored_goes_on(store: Store) {
    let (mut scene, mut worker) = scene(store, Config::default()).await;
    let key = "the-key";
    let mut started = start("calls", json!(1));
    started.idempotency_key = key.to_owned();
    let id = scene.world.start_with_key("calls", key).await;
    let first = worker.next_beating(&[]).await;
    let of = scene.hand.id(&id);
    // The history has another number at first, and its own again.
    let moved = format!("UPDATE log SET workflow_id = {} WHERE workflow_id = {of}", {
        scene.hand.id("01999999-0000-7000-8000-000000000000")
    });
    assert!(scene.hand.execute(&moved).await > 0);
    let since = Instant::now();
    scene.told(&id, HealingAction::Frozen).await;
    assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
    let waits = RunWorkflowRequest { start: Some(started.clone()) };
    let status = scene.world.workflows().run_workflow(waits).await.expect_err("frozen");
    refused(&status, Code::FailedPrecondition, "WORKFLOW_FROZEN");
    let back = format!("UPDATE log SET workflow_id = {of} WHERE workflow_id = {}", {
        scene.hand.id("01999999-0000-7000-8000-000000000000")
    });
    assert!(scene.hand.execute(&back).await > 0);
    let since = Instant::now();
    eventually("it goes on", async || scene.world.get(&id).await.frozen.is_empty().then_some(()))
        .await;
    assert!(listed(&scene.world).await.is_empty());
    let again = worker.next_beating(&[]).await;
    assert!(since.elapsed() < MENDED * 2, "{:?}", since.elapsed());
    assert_eq!(again.task, first.task);
    assert!(again.attempt > first.attempt, "the old one is fenced");
    worker.complete(&again, json!(1)).await;
    for n in 0..2 {
        let task = worker.next_beating(&[]).await;
        worker.complete(&task, json!(n)).await;
    }
    assert_eq!(scene.world.output(&id).await, json!(1));
    let healing = scene.told(&id, HealingAction::Frozen).await;
    assert!(healing.healed_at.is_some(), "{healing:?}");
}

async fn a_history_that_lost_its_end_is_frozen(store: Store) {
    // In memory there is more than in the store; where it is not, the rows know of more.
    for config in [Config::default(), Config { workflows_cached_max: 0, ..Config::default() }] {
        let (mut scene, mut worker) = scene(store, config).await;
        let id = started(&scene.world, &mut worker, &mut Vec::new()).await;
        let of = scene.hand.id(&id);
        let sql = format!(
            "DELETE FROM log WHERE workflow_id = {of} AND first_seq = (
                SELECT max(first_seq) FROM log WHERE workflow_id = {of})"
        );
        assert_eq!(scene.hand.execute(&sql).await, 1);
        let since = Instant::now();
        scene.told(&id, HealingAction::Frozen).await;
        assert!(since.elapsed() < MENDED, "{:?}", since.elapsed());
        check_refusals(&scene.world, &id).await;
    }
}
