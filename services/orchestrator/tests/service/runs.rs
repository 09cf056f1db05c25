//! What is shown of the runs of a workflow's tasks.

use planaria_orchestrator::Config;
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::{Acceptance, Release};
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::{RetryWorkflowRequest, TaskRun};
use serde_json::json;

use crate::steering::skip;
use crate::worker::{Worker, result};
use crate::world::World;

const ONE: &str = "- a: { call: echo }";

/// The retry engine that is not there is not waited for.
async fn hasty() -> World {
    World::with(Config { retry_grace_ms: 1, reconcile_ms: 20, ..Config::default() }).await
}

async fn only_run(world: &World, id: &str) -> TaskRun {
    let mut runs = world.get(id).await.tasks;
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

#[tokio::test]
async fn attempts_are_those_that_ran() {
    let world = hasty().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    assert_eq!(only_run(&world, &id).await.attempts, 0);
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    for round in 1..=2 {
        let task = worker.next().await;
        assert_eq!(only_run(&world, &id).await.attempts, round);
        worker.fail(&task, false).await;
        let faulted = world.until(&id, Phase::Faulted).await.tasks.remove(0);
        assert_eq!((faulted.attempts, faulted.phase()), (round, Phase::Faulted));
        assert!(faulted.error.is_some() && faulted.ended_at.is_some(), "{faulted:?}");
        let retry = RetryWorkflowRequest { workflow_id: id.clone(), reason: String::new() };
        world.workflows().retry_workflow(retry).await.expect("retried");
    }
    let task = worker.next().await;
    assert!(task.attempt > 3, "numbers are left out: {}", task.attempt);
    worker.complete(&task, json!(1)).await;
    let run = world.until(&id, Phase::Completed).await.tasks.remove(0);
    assert_eq!((run.attempts, run.failures, run.error), (3, 2, None));
}

#[tokio::test]
async fn what_is_handed_back_and_cancelled_ran_too() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut first = Worker::new(&world, "first", &["echo"]).await;
    let task = first.next().await;
    let release = Outcome::Release(Release::default());
    assert_eq!(first.report(vec![result(&task, release)]).await, [Acceptance::Accepted]);
    let mut second = Worker::new(&world, "second", &["echo"]).await;
    second.next().await;
    assert_eq!(only_run(&world, &id).await.attempts, 2);
    world.cancel(&id).await;
    let run = only_run(&world, &id).await;
    assert_eq!((run.attempts, &*run.worker_id), (2, "second"));
    assert_eq!((run.phase(), run.ended_at), (Phase::Cancelled, world.get(&id).await.ended_at));
}

#[tokio::test]
async fn after_a_timeout_nothing_runs() {
    let world = World::new().await;
    world.publish("late", "- a: { call: echo, timeout: { after: PT0.2S } }").await;
    let id = world.start_workflow("late", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    worker.next().await;
    let run = world.until(&id, Phase::Faulted).await.tasks.remove(0);
    assert_eq!((run.attempts, &*run.worker_id, run.phase()), (1, "w", Phase::Faulted));

    // The workflow's own timeout: what was open ended with it.
    let tasks = "- around: { do: [ a: { call: echo } ] }
timeout: { after: PT0.2S }";
    world.publish("all", tasks).await;
    let id = world.start_workflow("all", json!({})).await;
    worker.next().await;
    let faulted = world.until(&id, Phase::Faulted).await;
    assert_eq!(faulted.tasks.len(), 2);
    for run in faulted.tasks {
        assert_eq!((run.phase(), run.ended_at), (Phase::Cancelled, faulted.ended_at), "{run:?}");
        assert_eq!(run.attempts, u32::from(run.name == "a"), "{run:?}");
    }
}

#[tokio::test]
async fn what_is_around_a_fault_faulted_with_it() {
    let world = World::new().await;
    let tasks = "- around:
    do:
      - first: { set: { a: 1 } }
      - bad: { raise: { error: { type: 'urn:bad', status: 400 } } }";
    world.publish("bad", tasks).await;
    let id = world.run("bad", json!({})).await.workflow_id;
    let runs = world.get(&id).await.tasks;
    let shown: Vec<_> = runs.iter().map(|run| (&*run.name, run.phase())).collect();
    let (completed, faulted) = (Phase::Completed, Phase::Faulted);
    assert_eq!(shown, [("around", faulted), ("first", completed), ("bad", faulted)]);
    assert!(runs.iter().all(|run| run.ended_at.is_some()), "{runs:?}");
}

#[tokio::test]
async fn what_is_skipped_has_no_error_any_more() {
    let world = hasty().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    worker.fail(&task, false).await;
    world.until(&id, Phase::Faulted).await;
    skip(&world, &id, "/do/0/a").await.expect("skipped");
    let run = world.until(&id, Phase::Completed).await.tasks.remove(0);
    assert_eq!((run.attempts, run.failures, run.error), (1, 1, None));
}
