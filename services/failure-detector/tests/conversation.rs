//! What workers and clients are told, and what the orchestrator is.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mesh;

use mesh::{Mesh, Worker, attempt, soon};
use planaria_failure_detector::Config;
use planaria_proto::failure_detector::v1::*;
use planaria_proto::orchestrator::v1::observe_sessions_response::Answer;
use planaria_proto::types::v1::Payload;
use tonic::Code;
use tonic_types::StatusExt;

#[tokio::test]
async fn leases_and_abandons_come_with_the_next_heartbeat() {
    let mesh = Mesh::start(Config::default()).await;
    let mut worker = Worker::connect(mesh.address, "worker", "1").await;
    worker.message.attempts = vec![attempt("zombie", 0)];
    let lease = Some(prost_types::Duration { seconds: 9, nanos: 0 });
    let answer = Answer { lease, abandon: vec!["zombie".into()], session_gone: false };
    mesh.told.answers.lock().unwrap().insert("session-worker-1".into(), answer);
    let beats = worker.message.sequence;
    let answer = worker.beat_until(|answer| !answer.abandon.is_empty()).await;
    // One to show the zombie, and no more than two until the word is back.
    assert!(answer.sequence - beats <= 3, "{answer:?}");
    assert_eq!(answer.abandon, ["zombie"]);
    let lease = answer.lease.expect("it was renewed");
    assert!((8..=9).contains(&lease.seconds), "{lease:?}");
    // Asked at once again: nothing new is known.
    let answer = worker.beat().await;
    assert!(answer.lease.is_none() && answer.abandon.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn the_orchestrator_hears_of_inventory_and_checkpoints_even_after_it_was_away() {
    let mesh = Mesh::start(Config::default()).await;
    let mut worker = Worker::connect(mesh.address, "worker", "1").await;
    *mesh.told.failures.lock().unwrap() = 2;
    let mut running = attempt("a", 1);
    let data = "half".into();
    running.checkpoint = Some(Payload { content_type: String::new(), data });
    worker.message.attempts = vec![running];
    worker.beat().await;
    worker.message.attempts = vec![attempt("a", 2)];
    worker.beat_until(|answer| answer.lease.is_some()).await;
    let told = mesh.told.observations.lock().unwrap();
    let with_checkpoint = told.iter().find(|observation| !observation.checkpoints.is_empty());
    let observation = with_checkpoint.expect("the checkpoint is told");
    assert_eq!(observation.session_id, "session-worker-1");
    assert_eq!(observation.attempt_ids, ["a"]);
    assert_eq!(observation.checkpoints[0].checkpoint.as_ref().unwrap().data, "half");
}

#[tokio::test]
async fn a_gone_session_is_told() {
    let mesh = Mesh::start(Config::default()).await;
    let answer = Answer { session_gone: true, ..Answer::default() };
    mesh.told.answers.lock().unwrap().insert("session-worker-1".into(), answer);
    let mut worker = Worker::connect(mesh.address, "worker", "1").await;
    worker.beat_until(|answer| answer.session_gone).await;
}

#[tokio::test]
async fn drain_is_told_with_the_next_heartbeat() {
    let mesh = Mesh::start(Config::default()).await;
    let mut worker = Worker::connect(mesh.address, "worker", "1").await;
    assert!(!worker.beat().await.drain);
    let mut client = mesh.client().await;
    client.drain_worker(DrainWorkerRequest { worker_id: "worker".into() }).await.unwrap();
    assert!(worker.beat().await.drain);
    let nobody = DrainWorkerRequest { worker_id: "nobody".into() };
    let status = client.drain_worker(nobody).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_details_error_info().unwrap().reason, "WORKER_NOT_FOUND");
}

#[tokio::test]
async fn followers_hear_of_every_change() {
    let mesh = Mesh::start(Config::default()).await;
    let mut stream =
        mesh.client().await.watch_workers(WatchWorkersRequest {}).await.unwrap().into_inner();
    assert!(soon(stream.message()).await.unwrap().unwrap().workers.is_empty());
    let worker = Worker::connect(mesh.address, "worker", "1").await;
    let mut seen = Vec::new();
    let mut phis = Vec::new();
    let mut beating = Some(worker);
    soon(async {
        while seen.last() != Some(&Liveness::Dead) {
            for worker in stream.message().await.unwrap().unwrap().workers {
                seen.push(worker.liveness());
                phis.push(worker.phi);
                assert_eq!(worker.cause.is_empty(), worker.liveness() == Liveness::Alive);
            }
            drop(beating.take());
        }
    })
    .await;
    seen.dedup();
    assert_eq!(seen, [Liveness::Alive, Liveness::Suspect, Liveness::Dead]);
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_field_and_the_worker_is_not_dead_for_it() {
    let mut mesh = Mesh::start(Config::default()).await;
    let mut worker = Worker::connect(mesh.address, "worker", "1").await;
    worker.message.attempts = vec![attempt("", 0)];
    worker.send().await;
    let status = worker.answer().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.get_details_error_info().unwrap().reason, "HEARTBEAT_INVALID");
    let bad_request = status.get_details_bad_request().unwrap();
    assert_eq!(bad_request.field_violations[0].field, "attempts[0].attempt_id");
    mesh.quiet(1_000).await;
}

#[tokio::test]
async fn there_is_room_for_so_many_workers_and_no_more() {
    let mesh = Mesh::start(Config { workers_max: 1, ..Config::default() }).await;
    let mut first = Worker::connect(mesh.address, "first", "1").await;
    let mut client = mesh.client().await;
    let message = HeartbeatRequest {
        session_id: "s".into(),
        worker_id: "second".into(),
        incarnation: "1".into(),
        ..HeartbeatRequest::default()
    };
    let beats = tokio_stream::StreamExt::chain(
        tokio_stream::once(message),
        tokio_stream::pending::<HeartbeatRequest>(),
    );
    let mut answers = client.heartbeat(beats).await.unwrap().into_inner();
    let status = soon(answers.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(!first.beat().await.session_gone);
}

#[tokio::test]
async fn a_flood_is_merged() {
    let mesh = Mesh::start(Config::default()).await;
    let mut flooding = Worker::connect(mesh.address, "flooding", "1").await;
    let mut other = Worker::connect(mesh.address, "other", "1").await;
    for _ in 0..800 {
        flooding.send().await;
    }
    assert_eq!(other.beat().await.sequence, other.message.sequence);
    let (mut answers, last) = (0, flooding.message.sequence);
    while flooding.answer().await.unwrap().unwrap().sequence != last {
        answers += 1;
    }
    assert!(answers < 100, "{answers} heartbeats were not merged");
}
