//! The store fails for a while: callers are told, and afterwards everything goes on.

use std::time::Duration;

use planaria_proto::orchestrator::v1::{LogPosition, ReadLogRequest};
use planaria_proto::task::v1::Acceptance;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::*;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::reconciler::{execute, open};
use crate::worker::{Worker, output_of};
use crate::world::{PATIENCE, World, outage_of, start};

const TWO: &str = "- a: { call: echo }
- b: { call: echo }";

fn unavailable(status: &Status) {
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(["STORE_FAILED", "ENGINE_RESET"].contains(&&*reason), "{status:?}");
}

/// Follows the log and comes back where it broke off; checks that no record is missing or doubled.
async fn follow_log(world: &World, until: impl Fn() -> LogPosition) -> usize {
    let mut at = LogPosition::default();
    let mut count = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while (at.log, at.seq) < (until().log, until().seq) {
        assert!(tokio::time::Instant::now() < deadline, "the log stands at {at:?}");
        let request = ReadLogRequest {
            after: Some(at),
            topics: Vec::new(),
            from_end: false,
            shard: 0,
            with_gaps: false,
        };
        let Ok(response) = world.mesh().read_log(request).await else { continue };
        let mut stream = response.into_inner();
        while (at.log, at.seq) < (until().log, until().seq) {
            let Ok(message) =
                tokio::time::timeout(Duration::from_millis(50), stream.message()).await
            else {
                continue;
            };
            let Ok(Some(message)) = message else { break };
            for record in message.records {
                let position = record.position.expect("a position");
                assert!(position.seq == at.seq + 1 || at.seq == 0, "{position:?} after {at:?}");
                at = position;
                count += 1;
            }
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_told_and_everything_goes_on() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    world.publish("wait", "- wait: { wait: { milliseconds: 200 } }").await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(world.start_workflow("two", json!({})).await);
    }
    let waiting = world.start_workflow("wait", json!(5)).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(worker.next().await);
    }
    let request = WatchWorkflowRequest { workflow_id: ids[0].clone(), after_seq: 0 };
    let mut watch = world.workflows().watch_workflow(request).await.expect("ok").into_inner();
    let seen = watch.message().await.expect("stands").expect("what is stored").events.len();
    let mut run = world.workflows();
    let run = tokio::spawn(async move {
        run.run_workflow(RunWorkflowRequest { start: Some(start("two", json!({}))) }).await
    });
    let ours = worker.next().await;

    let mut store = open(&world).await;
    execute(&mut store, "ALTER TABLE log RENAME TO gone").await;
    let request = StartWorkflowRequest { start: Some(start("two", json!({}))) };
    let status = world.workflows().start_workflow(request).await.expect_err("no store");
    unavailable(&status);
    let results: Vec<_> = held.iter().map(|task| output_of(task, &json!(1))).collect();
    unavailable(&worker.try_report(results.clone()).await.expect_err("no store"));
    unavailable(&run.await.expect("no panic").expect_err("nobody knows any more"));
    // The watch is interrupted rather than told with a gap.
    let interrupted = watch.message().await.expect_err("interrupted");
    assert_eq!(interrupted.code(), Code::Unavailable);
    // The timer is due while nothing can be written.
    outage_of(Duration::from_millis(300)).await;
    execute(&mut store, "ALTER TABLE gone RENAME TO log").await;

    let verdicts = crate::world::eventually("the store heals", async || {
        worker.try_report(results.clone()).await.ok()
    })
    .await;
    assert_eq!(verdicts, [Acceptance::Accepted; 20]);
    assert_eq!(worker.complete(&ours, json!(1)).await, Acceptance::Accepted);
    for _ in 0..21 {
        let task = worker.next().await;
        assert_eq!(task.task, "/do/1/b");
        worker.complete(&task, json!(2)).await;
    }
    assert_eq!(world.output(&waiting).await, json!(5));
    for id in &ids {
        assert_eq!(world.output(id).await, json!(2));
        world.history(id).await;
    }
    let request = WatchWorkflowRequest { workflow_id: ids[0].clone(), after_seq: seen as u64 };
    let mut watch = world.workflows().watch_workflow(request).await.expect("ok").into_inner();
    let rest = watch.message().await.expect("stands").expect("the rest").events;
    assert_eq!(rest[0].seq, seen as u64 + 1);
    world.log().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_that_cannot_be_stored_fails_alone() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(world.start_workflow("two", json!({})).await);
    }
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(worker.next().await);
    }
    let culprit = held.remove(4);
    let id = culprit.workflow_id.replace('-', "");
    let mut store = open(&world).await;
    let trigger = format!(
        "CREATE TRIGGER never BEFORE INSERT ON log WHEN NEW.workflow_id = x'{id}'
         BEGIN SELECT RAISE(ABORT, 'never'); END"
    );
    execute(&mut store, &trigger).await;
    let end = std::sync::Mutex::new(LogPosition { log: u64::MAX, seq: 0 });
    let told = |position| *end.lock().expect("no panic") = position;
    let now = || *end.lock().expect("no panic");
    let neighbours: Vec<_> = held.iter().map(|task| output_of(task, &json!(1))).collect();
    let reporting = async {
        let mut all = neighbours.clone();
        all.push(output_of(&culprit, &json!(1)));
        unavailable(&worker.try_report(all).await.expect_err("one cannot be stored"));
        for _ in 0..9 {
            let task = worker.next_beating(&[&culprit]).await;
            assert_ne!(task.workflow_id, culprit.workflow_id);
            assert_eq!(worker.complete(&task, json!(2)).await, Acceptance::Accepted);
        }
        // What was saved without an answer was saved once.
        assert_eq!(worker.report(neighbours.clone()).await, [Acceptance::Accepted; 9]);
        assert_eq!(world.get(&culprit.workflow_id).await.phase(), Phase::Running);
        execute(&mut store, "DROP TRIGGER never").await;
        assert_eq!(worker.complete(&culprit, json!(1)).await, Acceptance::Accepted);
        let task = worker.next().await;
        worker.complete(&task, json!(2)).await;
        for id in &ids {
            assert_eq!(world.output(id).await, json!(2));
            world.history(id).await;
        }
        told(world.log_end().await);
    };
    let (count, ()) = tokio::join!(follow_log(&world, now), reporting);
    assert_eq!(count, world.log().await.len());
}

#[tokio::test]
async fn a_store_that_is_only_busy_is_waited_for() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    let mut store = open(&world).await;
    execute(&mut store, "BEGIN IMMEDIATE").await;
    let (ran, ()) = tokio::join!(world.run("set", json!({})), async {
        outage_of(Duration::from_millis(200)).await;
        execute(&mut store, "ROLLBACK").await;
    });
    assert_eq!(ran.phase(), Phase::Completed);
}
