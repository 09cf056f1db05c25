//! Suspend, resume, cancel, retry, skip.

use std::time::Duration;

use planaria_orchestrator::Config;
use planaria_proto::orchestrator::v1::ApplyRetryDecisionsRequest;
use planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::*;
use serde_json::json;
use tonic::{Code, Status};

use crate::worker::Worker;
use crate::world::{World, json as document_of, pause_of, payload, refused};

const TWO: &str = "- a: { call: echo }
- b: { call: echo }";

async fn suspend(world: &World, id: &str) -> Result<(), Status> {
    let request = SuspendWorkflowRequest { workflow_id: id.to_owned(), reason: "hm".to_owned() };
    world.workflows().suspend_workflow(request).await.map(drop)
}

async fn resume(world: &World, id: &str) -> Result<(), Status> {
    let request = ResumeWorkflowRequest { workflow_id: id.to_owned() };
    world.workflows().resume_workflow(request).await.map(drop)
}

async fn cancel(world: &World, id: &str) -> Result<(), Status> {
    let request = CancelWorkflowRequest { workflow_id: id.to_owned(), reason: "no".to_owned() };
    world.workflows().cancel_workflow(request).await.map(drop)
}

async fn retry(world: &World, id: &str) -> Result<(), Status> {
    let request = RetryWorkflowRequest { workflow_id: id.to_owned(), reason: "now".to_owned() };
    world.workflows().retry_workflow(request).await.map(drop)
}

pub(crate) async fn skip(world: &World, id: &str, task: &str) -> Result<(), Status> {
    let request = SkipTaskRequest {
        workflow_id: id.to_owned(),
        task: task.to_owned(),
        output: Some(payload(&json!("by hand"))),
        reason: "it is known".to_owned(),
    };
    world.workflows().skip_task(request).await.map(drop)
}

#[tokio::test]
async fn a_suspended_workflow_starts_nothing_new() {
    let mut world = World::new().await;
    world.publish("two", TWO).await;
    let id = world.start_workflow("two", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let first = worker.next().await;
    suspend(&world, &id).await.expect("suspended");
    suspend(&world, &id).await.expect("safe to retry");
    assert_eq!(world.get(&id).await.phase(), Phase::Suspended);
    // What runs may end; what follows waits, also over a restart.
    worker.complete(&first, json!(1)).await;
    assert_eq!(world.get(&id).await.phase(), Phase::Suspended);
    assert!(worker.idle_for(Duration::from_millis(100)).await.is_empty());
    world.restart_killed().await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    assert!(worker.idle_for(Duration::from_millis(100)).await.is_empty());
    assert_eq!(world.get(&id).await.phase(), Phase::Suspended);

    resume(&world, &id).await.expect("resumed");
    resume(&world, &id).await.expect("safe to retry");
    let second = worker.next().await;
    assert_eq!(second.task, "/do/1/b");
    worker.complete(&second, json!("end")).await;
    assert_eq!(world.output(&id).await, json!("end"));
    let status = suspend(&world, &id).await.expect_err("it is over");
    refused(&status, Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID");
    let status = resume(&world, &id).await.expect_err("it is over");
    refused(&status, Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID");
}

#[tokio::test]
async fn a_timer_that_is_due_while_suspended_fires_with_the_resumption() {
    let world = World::new().await;
    world.publish("wait", "- wait: { wait: { milliseconds: 30 } }").await;
    let id = world.start_workflow("wait", json!(1)).await;
    suspend(&world, &id).await.expect("suspended");
    pause_of(Duration::from_millis(60)).await;
    assert_eq!(world.get(&id).await.phase(), Phase::Suspended);
    resume(&world, &id).await.expect("resumed");
    assert_eq!(world.output(&id).await, json!(1));
}

#[tokio::test]
async fn a_cancelled_workflow_has_nothing_open_and_its_worker_is_told() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    let id = world.start_workflow("two", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    assert!(worker.renew(&[&task]).await.expect("renewed").is_empty());
    cancel(&world, &id).await.expect("cancelled");
    cancel(&world, &id).await.expect("safe to retry");
    assert_eq!(world.get(&id).await.phase(), Phase::Cancelled);
    assert_eq!(worker.renew(&[&task]).await.expect("renewed"), [&*task.attempt_id]);
    let length = world.history(&id).await.len();
    let late = worker.complete(&task, json!(1)).await;
    assert_eq!(late, planaria_proto::task::v1::Acceptance::Stale);
    assert_eq!(world.history(&id).await.len(), length, "nothing changed");
    assert_eq!(world.get(&id).await.tasks[0].phase(), Phase::Cancelled);
    for outcome in
        [resume(&world, &id).await, retry(&world, &id).await, skip(&world, &id, "/do/0/a").await]
    {
        let status = outcome.expect_err("it is over");
        refused(&status, Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID");
    }
}

#[tokio::test]
async fn a_faulted_workflow_goes_on_from_its_fault() {
    let world = World::with(Config { retry_grace_ms: 60_000, ..Config::default() }).await;
    world.publish("two", TWO).await;
    let id = world.start_workflow("two", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    worker.complete(&task, json!(1)).await;
    let task = worker.next().await;
    worker.fail(&task, false).await;
    assert_eq!(world.get(&id).await.waiting_for, "a retry of echo");
    let decision = Decision {
        workflow_id: id.clone(),
        frame: world.get(&id).await.tasks[1].frame,
        attempt: task.attempt,
        give_up_reason: "NOT_RETRYABLE".to_owned(),
        deferred_until: None,
    };
    let decide = ApplyRetryDecisionsRequest { decisions: vec![decision.clone(), decision] };
    let applied = world.mesh().apply_retry_decisions(decide).await.expect("decided").into_inner();
    assert_eq!(applied.applied, [true, false], "the second changes nothing");
    let faulted = world.until(&id, Phase::Faulted).await;
    assert_eq!(faulted.error.expect("an error").title, "no");

    retry(&world, &id).await.expect("retried");
    let status = retry(&world, &id).await.expect_err("it runs");
    refused(&status, Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID");
    let again = worker.next().await;
    assert_eq!(again.task, "/do/1/b");
    assert!(again.attempt > task.attempt, "attempts never repeat");
    worker.complete(&again, json!("end")).await;
    assert_eq!(world.output(&id).await, json!("end"));
    assert_eq!(world.get(&id).await.error, None);
}

#[tokio::test]
async fn a_task_is_completed_by_hand() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    let id = world.start_workflow("two", json!({})).await;
    let status = skip(&world, &id, "/do/1/b").await.expect_err("not entered yet");
    refused(&status, Code::NotFound, "TASK_NOT_FOUND");
    let status = skip(&world, &id, "/do/7/none").await.expect_err("no such task");
    refused(&status, Code::NotFound, "TASK_NOT_FOUND");
    skip(&world, &id, "/do/0/a").await.expect("skipped");
    let status = skip(&world, &id, "/do/0/a").await.expect_err("it is completed");
    refused(&status, Code::NotFound, "TASK_NOT_FOUND");
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    assert_eq!((&*task.task, document_of(task.arguments)), ("/do/1/b", json!("by hand")));
    skip(&world, &id, "/do/1/b").await.expect("skipped while it runs");
    assert_eq!(world.output(&id).await, json!("by hand"));
}
