//! What is over for long is removed, and nothing else.

use planaria_orchestrator::Config;
use planaria_proto::orchestrator::v1::{LogPosition, ReadLogRequest};
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::*;
use serde_json::json;
use tonic::Code;

use crate::world::{World, eventually, refused, start};

const FAST: u64 = 50;

fn config() -> Config {
    // Readers read what the store has, not what memory still knows.
    let log_tail_max = 1;
    let (over_kept_s, faulted_kept_s, retention_ms) = (1, 0, FAST);
    Config { over_kept_s, faulted_kept_s, retention_ms, log_tail_max, ..Config::default() }
}

async fn is_gone(world: &World, id: &str) -> bool {
    let request = GetWorkflowRequest { workflow_id: id.to_owned() };
    match world.workflows().get_workflow(request).await {
        Ok(_) => false,
        Err(status) => {
            refused(&status, Code::NotFound, "WORKFLOW_NOT_FOUND");
            true
        }
    }
}

async fn read_behind(world: &World, after: LogPosition, with_gaps: bool) -> Result<(), Code> {
    let (after, topics) = (Some(after), Vec::new());
    let request = ReadLogRequest { after, topics, from_end: false, shard: 0, with_gaps };
    let mut stream = world.mesh().read_log(request).await.expect("the log").into_inner();
    let first = stream.message().await.expect("stands").expect("endless");
    assert!(first.records.is_empty(), "the first message tells the position");
    stream.message().await.map(drop).map_err(|status| status.code())
}

#[tokio::test]
async fn what_is_over_for_long_is_removed_with_its_history() {
    let world = World::with(config()).await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    world.publish("wait", "- wait: { wait: { hours: 1 } }").await;
    world.publish("raise", "- no: { raise: { error: { type: about:blank, status: 400 } } }").await;
    let first = world.run("set", json!({})).await.workflow_id;
    let seen = world.log_end().await;
    let keyed = WorkflowStart { idempotency_key: "once".to_owned(), ..start("set", json!({})) };
    let again = || RunWorkflowRequest { start: Some(keyed.clone()) };
    let second = world.workflows().run_workflow(again()).await.expect("ran").into_inner();
    let waiting = world.start_workflow("wait", json!({})).await;
    let faulted = world.run("raise", json!({})).await.workflow_id;

    for id in [&first, &second.workflow_id] {
        eventually("it is removed", async || is_gone(&world, id).await.then_some(())).await;
    }
    let watch = WatchWorkflowRequest { workflow_id: first.clone(), after_seq: 0 };
    let status = world.workflows().watch_workflow(watch).await.expect_err("it is gone");
    refused(&status, Code::NotFound, "WORKFLOW_NOT_FOUND");
    let resume = ResumeWorkflowRequest { workflow_id: first };
    let status = world.workflows().resume_workflow(resume).await.expect_err("it is gone");
    refused(&status, Code::NotFound, "WORKFLOW_NOT_FOUND");
    // What is not over, and what is not to be removed, stays and can be gone on with.
    world.until(&waiting, Phase::Waiting).await;
    assert_eq!(world.get(&faulted).await.phase(), Phase::Faulted);
    // Its key starts a workflow again.
    let third = world.workflows().run_workflow(again()).await.expect("ran").into_inner();
    assert_ne!(third.workflow_id, second.workflow_id);

    // Whoever had not read everything is told, and may go on with what there is.
    assert_eq!(read_behind(&world, seen, false).await, Err(Code::OutOfRange));
    assert_eq!(read_behind(&world, seen, true).await, Ok(()));
}
