//! More starts than the store takes are refused at once, and what was accepted goes on.

use futures_util::future::join_all;
use planaria_orchestrator::Config;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::*;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::worker::Worker;
use crate::world::{PATIENCE, World, start};

/// Far more than there is room for.
const FLOOD: usize = 500;
/// Each start counts 4 KiB and its input, in whole KiB.
const ROOM: usize = 8;

async fn world() -> World {
    let starts_bytes_max = ROOM * 5 * 1024;
    let world =
        World::with(Config { starts_bytes_max, lease_ms: 60_000, ..Config::default() }).await;
    world.publish("echo", "- echo: { call: echo }").await;
    world
}

async fn started(world: &World) -> Result<String, Status> {
    let request = StartWorkflowRequest { start: Some(start("echo", json!({}))) };
    let mut workflows = world.workflows();
    let answer = workflows.start_workflow(request);
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("nobody waits in vain");
    Ok(answer?.into_inner().workflow_id)
}

#[tokio::test]
async fn a_flood_of_starts_is_refused_and_what_was_accepted_goes_on() {
    let world = world().await;
    let waiting = {
        let mut workflows = world.workflows();
        let request = RunWorkflowRequest { start: Some(start("echo", json!({}))) };
        tokio::spawn(async move { workflows.run_workflow(request).await })
    };
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let first = worker.next().await;

    let outcomes = join_all((0..FLOOD).map(|_| started(&world))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(accepted.len() >= ROOM && !refused.is_empty(), "{} accepted", accepted.len());
    for status in refused.into_iter().filter_map(Result::err) {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        assert!(delay.is_some_and(|delay| !delay.is_zero()), "{status}");
    }

    // There is room again: whoever waits for the end of a workflow takes none.
    let late = started(&world).await.expect("there is room");
    worker.complete(&first, json!("done")).await;
    let ran = waiting.await.unwrap().expect("it ends").into_inner();
    assert_eq!(ran.phase(), Phase::Completed);
    let ids: Vec<String> = accepted.into_iter().filter_map(Result::ok).chain([late]).collect();
    for _ in &ids {
        let task = worker.next().await;
        worker.complete(&task, json!("done")).await;
    }
    for id in ids {
        world.until(&id, Phase::Completed).await;
    }
}

#[tokio::test]
async fn of_many_starts_in_one_call_those_that_find_no_room_are_named() {
    let world = world().await;
    let starts = (0..FLOOD).map(|_| start("echo", json!({}))).collect();
    let request = StartWorkflowsRequest { starts };
    let answer = world.workflows().start_workflows(request).await.expect("an answer");
    let outcomes = answer.into_inner().outcomes;
    assert_eq!(outcomes.len(), FLOOD);
    let (refused, started): (Vec<_>, Vec<_>) =
        outcomes.into_iter().partition(|outcome| outcome.workflow_id.is_empty());
    assert!(started.len() >= ROOM && !refused.is_empty(), "{} started", started.len());
    assert!(refused.iter().all(|outcome| outcome.error_reason == "OVERLOADED"));
}
