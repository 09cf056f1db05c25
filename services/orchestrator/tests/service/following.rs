//! Watching a workflow, paging through its history, reading the log.

use planaria_proto::orchestrator::v1::{ReadLogRequest, Topic};
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use planaria_proto::workflow::v1::{HistoryEvent, WatchWorkflowRequest};
use serde_json::json;
use tonic::Code;

use crate::worker::Worker;
use crate::world::{PATIENCE, World, kind, refused};

const THREE: &str = "- a: { call: echo }
- b: { wait: { milliseconds: 5 } }
- c: { call: echo }";

/// Follows a workflow behind a number to its end.
async fn watch(world: &World, id: &str, after_seq: u64) -> (Vec<HistoryEvent>, Phase) {
    let request = WatchWorkflowRequest { workflow_id: id.to_owned(), after_seq };
    let mut stream = world.workflows().watch_workflow(request).await.expect("watched").into_inner();
    let mut events = Vec::new();
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
        let message = message.expect("the watch stands").expect("told the end first");
        let ended = message.ended();
        events.extend(message.events);
        if ended != Phase::Unspecified {
            assert_eq!(stream.message().await.expect("ends well"), None);
            return (events, ended);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_tells_every_event_once_in_order_and_ends() {
    let world = World::new().await;
    world.publish("three", THREE).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let working = tokio::spawn(async move {
        for _ in 0..2 * 40 {
            let task = worker.next().await;
            worker.complete(&task, json!(1)).await;
        }
        worker
    });
    // Many watches come in the very moment in which their workflow ends.
    let watches = (0..40_u64).map(|round| {
        let world = &world;
        async move {
            let id = world.start_workflow("three", json!({})).await;
            let after = round % 4;
            let (now, later) = tokio::join!(watch(world, &id, after), async {
                world.until(&id, Phase::Completed).await;
                watch(world, &id, after).await
            });
            let history = world.history(&id).await;
            let behind = &history[usize::try_from(after).expect("small")..];
            assert_eq!(now.0, behind, "{id} live");
            assert_eq!(later.0, behind, "{id} afterwards");
            assert_eq!((now.1, later.1), (Phase::Completed, Phase::Completed));
        }
    });
    futures_util::future::join_all(watches).await;
    working.await.expect("worked");
}

#[tokio::test]
async fn attempts_are_told_live_and_to_late_comers() {
    let world = World::new().await;
    world.publish("one", "- a: { call: echo }").await;
    let id = world.start_workflow("one", json!({})).await;
    let request = WatchWorkflowRequest { workflow_id: id.clone(), after_seq: 0 };
    let mut stream = world.workflows().watch_workflow(request).await.expect("ok").into_inner();
    let first = stream.message().await.expect("stands").expect("what is stored");
    let kinds: Vec<String> = first.events.iter().map(kind).collect();
    assert_eq!(kinds, ["WorkflowStarted", "TaskStarted", "TaskStarted"]);
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let told = stream.message().await.expect("stands").expect("the attempt");
    assert_eq!(told.attempts[0].task, "/do/0/a");
    assert_eq!(told.attempts[0].execution.as_ref().expect("who").worker_id, "w");
    let task = worker.next().await;
    // Who comes later is told that it runs, also behind the event that names the task.
    for after_seq in [0, 3] {
        let request = WatchWorkflowRequest { workflow_id: id.clone(), after_seq };
        let mut late = world.workflows().watch_workflow(request).await.expect("ok").into_inner();
        let first = late.message().await.expect("stands").expect("what is stored");
        assert_eq!(first.events.len(), 3 - usize::try_from(after_seq).expect("small"));
        assert_eq!(first.attempts.len(), 1, "{first:?}");
        let (running, live) = (&first.attempts[0], &told.attempts[0]);
        assert_eq!((running.frame, &running.task), (live.frame, &live.task));
        let who = |attempt: &AttemptStarted| {
            attempt.execution.clone().map(|each| (each.attempt, each.worker_id, each.session_id))
        };
        assert_eq!(who(running), who(live));
    }
    worker.complete(&task, json!(1)).await;
    let last = stream.message().await.expect("stands").expect("the end");
    assert_eq!(last.ended(), Phase::Completed);
}

#[tokio::test]
async fn who_watches_nothing_is_told_so_and_forgotten() {
    let world = World::new().await;
    let request = WatchWorkflowRequest {
        workflow_id: "0193a5a0-0000-7000-8000-000000000000".to_owned(),
        after_seq: 0,
    };
    let status = world.workflows().watch_workflow(request).await.expect_err("no such workflow");
    refused(&status, Code::NotFound, "WORKFLOW_NOT_FOUND");
}

#[tokio::test]
async fn the_log_is_gapless_and_topics_choose() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    world.publish("raise", "- no: { raise: { error: { type: about:blank, status: 400 } } }").await;
    for _ in 0..30 {
        world.run("set", json!({})).await;
    }
    let faulted = world.run("raise", json!({})).await;
    assert_eq!(faulted.phase(), Phase::Faulted);
    // `World::log` itself checks that no position is missing.
    assert_eq!(world.log().await.len(), 31);

    let topics = vec![Topic::Fault.into()];
    let request =
        ReadLogRequest { after: None, topics, from_end: false, shard: 0, with_gaps: false };
    let mut stream = world.mesh().read_log(request).await.expect("the log").into_inner();
    let mut records = Vec::new();
    while records.is_empty() {
        records = stream.message().await.expect("stands").expect("endless").records;
    }
    let text = format!("{:?}", records[0].body);
    assert!(records.len() == 1 && text.contains(&faulted.workflow_id), "{text}");

    let request = ReadLogRequest {
        after: None,
        topics: Vec::new(),
        from_end: true,
        shard: 0,
        with_gaps: false,
    };
    let mut stream = world.mesh().read_log(request).await.expect("the log").into_inner();
    let first = stream.message().await.expect("stands").expect("endless");
    assert_eq!((first.records.len(), first.position), (0, Some(world.log_end().await)));
    world.run("set", json!({})).await;
    let next = stream.message().await.expect("stands").expect("endless");
    assert_eq!(next.records.len(), 1);
}
