//! Sessions, fencing, tokens.

use std::time::Duration;

use planaria_proto::orchestrator::v1::GetStatisticsRequest;
use planaria_proto::task::v1::Acceptance::{Accepted, Rejected, Stale, TokenInvalid};
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::{Result as TaskResult, *};
use planaria_proto::types::v1::{Payload, Phase, Signal};
use serde_json::json;
use tonic::Code;

use crate::worker::{Worker, hello, output_of, result};
use crate::world::{World, kind, refused};

const ONE: &str = "- a: { call: echo }";

#[tokio::test]
async fn an_incarnation_has_one_session_and_a_newer_one_ends_the_older() {
    let mut world = World::new().await;
    world.publish("one", ONE).await;
    let mut old = Worker::open(&world, hello("w", "5", &["echo"])).await.expect("a session");
    let again = Worker::open(&world, hello("w", "5", &["echo"])).await.expect("the same");
    assert_eq!(again.session, old.session);
    // A newer stream of the session ends the older.
    assert!(old.next_or_end().await.is_none());
    let mut old = again;
    let status = Worker::open(&world, hello("w", "4", &["echo"])).await.err().expect("older");
    refused(&status, Code::FailedPrecondition, "INCARNATION_SUPERSEDED");

    let id = world.start_workflow("one", json!({})).await;
    let lost = old.next().await;
    world.restart_killed().await;
    let mut old = Worker::open(&world, hello("w", "5", &["echo"])).await.expect("the same");
    assert_eq!(old.renew(&[&lost]).await.expect("renewed").len(), 0, "it still has it");
    let mut new = Worker::open(&world, hello("w", "6", &["echo"])).await.expect("a new one");
    assert_ne!(new.session, old.session);
    let task = new.next().await;
    assert_eq!((task.attempt, &task.idempotency_key), (2, &lost.idempotency_key));
    let status = old.renew(&[&lost]).await.expect_err("it is over");
    refused(&status, Code::NotFound, "SESSION_NOT_FOUND");
    assert!(old.next_or_end().await.is_none(), "its stream is over");
    let healing = world.healing(&id).await;
    assert_eq!((healing.signal(), healing.new_attempt), (Signal::NewIncarnation, 2));

    // The fence: what the old attempt reports changes nothing.
    let length = world.history(&id).await.len();
    assert_eq!(old.complete(&lost, json!("old")).await, Stale);
    assert_eq!(world.history(&id).await.len(), length);
    assert_eq!(new.complete(&task, json!("new")).await, Accepted);
    assert_eq!(old.complete(&lost, json!("old")).await, Stale);
    assert_eq!(world.output(&id).await, json!("new"));
}

#[tokio::test]
async fn a_repeated_report_is_accepted_again_and_counts_once() {
    let mut world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    // Twice in one call, before the first is committed.
    let report = output_of(&task, &json!(1));
    assert_eq!(worker.report(vec![report.clone(), report]).await, [Accepted, Accepted]);
    assert_eq!(worker.complete(&task, json!(1)).await, Accepted);
    world.restart_killed().await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    assert_eq!(worker.complete(&task, json!(1)).await, Accepted);
    let completed = world.history(&id).await;
    let completed = completed.iter().filter(|event| kind(event) == "TaskCompleted").count();
    assert_eq!(completed, 2, "the task and the list that holds it");

    // The same for failures and for what was handed back.
    let id = world.start_workflow("one", json!({})).await;
    let task = worker.next().await;
    let failure =
        result(&task, Outcome::Failure(Failure { retryable: true, ..Failure::default() }));
    assert_eq!(worker.report(vec![failure.clone(), failure.clone()]).await, [Accepted, Accepted]);
    assert_eq!(worker.report(vec![failure]).await, [Accepted]);
    assert_eq!(world.get(&id).await.tasks[0].failures, 1);
    world.start_workflow("one", json!({})).await;
    let task = worker.next().await;
    let release = result(&task, Outcome::Release(Release::default()));
    assert_eq!(worker.report(vec![release.clone()]).await, [Accepted]);
    assert!(worker.idle_for(Duration::from_millis(50)).await.is_empty(), "not to it again");
    worker.renew(&[]).await.expect("renewed");
    let again = worker.next().await;
    assert_eq!(again.attempt, 2);
    assert_eq!(worker.report(vec![release]).await, [Accepted]);
    assert_eq!(worker.complete(&again, json!(1)).await, Accepted);
}

#[tokio::test]
async fn forged_malformed_and_oversized_results_are_judged_alone() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    let length = world.history(&id).await.len();
    let mut results = Vec::new();
    for bit in [0, 8, 150, 170, 200, 400, 455] {
        let mut token = task.token.to_vec();
        token[bit / 8] ^= 1 << (bit % 8);
        results.push(TaskResult { token: token.into(), ..output_of(&task, &json!(1)) });
    }
    results.push(TaskResult { token: Vec::new().into(), ..output_of(&task, &json!(1)) });
    let forged = results.len();
    let raw = |text: &[u8], content_type: &str| {
        let data = text.to_vec().into();
        result(&task, Outcome::Output(Payload { content_type: content_type.to_owned(), data }))
    };
    results.push(TaskResult { token: task.token.clone(), outcome: None });
    results.push(raw(b"{", ""));
    results.push(raw(b"", ""));
    results.push(raw(br#""\ud800""#, ""));
    results.push(raw(&[b'['; 200_000], ""));
    results.push(raw(b"1", "text/plain"));
    results.push(output_of(&task, &json!("x".repeat(300 * 1024))));
    let checkpoint = Some(crate::world::payload(&json!("x".repeat(65 * 1024))));
    results.push(result(&task, Outcome::Release(Release { checkpoint, ..Release::default() })));
    let rejected = results.len() - forged;
    results.push(output_of(&task, &json!("good")));
    let mut expected = vec![TokenInvalid; forged];
    expected.extend(vec![Rejected; rejected]);
    expected.push(Accepted);
    assert!(world.history(&id).await.len() == length);
    assert_eq!(worker.report(results).await, expected);
    assert_eq!(world.output(&id).await, json!("good"));
}

#[tokio::test]
async fn sessions_are_refused_with_the_field_that_is_wrong() {
    let world = World::new().await;
    let long = "x".repeat(129);
    let cases: Vec<(&str, OpenSessionRequest)> = vec![
        ("worker_id", hello("", "1", &["f"])),
        ("worker_id", hello(&long, "1", &["f"])),
        ("worker_id", hello("two\nlines", "1", &["f"])),
        ("incarnation", hello("w", "", &["f"])),
        ("functions", hello("w", "1", &[])),
        ("functions", hello("w", "1", &[""])),
        ("functions", hello("w", "1", &[&*long])),
        ("capacity", OpenSessionRequest { capacity: 0, ..hello("w", "1", &["f"]) }),
        ("capacity", OpenSessionRequest { capacity: 10_001, ..hello("w", "1", &["f"]) }),
        (
            "queues",
            OpenSessionRequest { queues: vec!["q".to_owned(); 300], ..hello("w", "1", &["f"]) },
        ),
        (
            "labels",
            OpenSessionRequest {
                labels: [("k".to_owned(), long.clone())].into(),
                ..hello("w", "1", &["f"])
            },
        ),
    ];
    for (field, request) in cases {
        let status = world.tasks().open_session(request).await.expect_err(field);
        let violations = refused(&status, Code::InvalidArgument, "SESSION_INVALID");
        assert_eq!(violations[0].0, field, "{status:?}");
    }
    for session_id in ["", "nonsense", "0193a5a0-0000-7000-8000-000000000000"] {
        let session_id = session_id.to_owned();
        let request = PullTasksRequest { session_id: session_id.clone() };
        let pull = world.tasks().pull_tasks(request).await;
        refused(&pull.expect_err("none"), Code::NotFound, "SESSION_NOT_FOUND");
        let request = RenewSessionRequest { session_id, attempt_ids: Vec::new() };
        let renew = world.tasks().renew_session(request).await;
        refused(&renew.expect_err("none"), Code::NotFound, "SESSION_NOT_FOUND");
    }
    let statistics = world.mesh().get_statistics(GetStatisticsRequest {}).await.expect("counts");
    assert_eq!(statistics.into_inner().sessions, 0);
}

#[tokio::test]
async fn a_session_never_gets_more_than_it_has_room_for_nor_what_it_does_not_offer() {
    let world = World::new().await;
    let tasks = "- all:
    fork:
      branches:
        - a: { call: echo }
        - b: { call: echo }
        - c: { call: 'echo:2.0.0' }
        - d: { call: echo, metadata: { planaria: { queue: slow } } }
        - e: { call: echo, metadata: { planaria: { labels: { gpu: 'yes' } } } }
        - f: { call: other }";
    world.publish("all", tasks).await;
    let id = world.start_workflow("all", json!({})).await;
    let small = OpenSessionRequest { capacity: 1, ..hello("small", "1", &["echo"]) };
    let mut small = Worker::open(&world, small).await.expect("a session");
    let first = small.next().await;
    assert!(small.idle_for(Duration::from_millis(100)).await.is_empty(), "it is full");
    small.complete(&first, json!(1)).await;
    let second = small.next().await;
    small.complete(&second, json!(1)).await;
    let mut got = [first.name, second.name];
    got.sort();
    assert_eq!(got, ["a", "b"]);
    assert!(small.idle_for(Duration::from_millis(100)).await.is_empty(), "nothing fits");

    let two = Function { name: "echo".to_owned(), version: "2.0.0".to_owned(), retry: None };
    let able = [
        ("c", OpenSessionRequest { functions: vec![two], ..hello("c", "1", &["echo"]) }),
        ("d", OpenSessionRequest { queues: vec!["slow".to_owned()], ..hello("d", "1", &["echo"]) }),
        (
            "e",
            OpenSessionRequest {
                labels: [("gpu".to_owned(), "yes".to_owned())].into(),
                ..hello("e", "1", &["echo"])
            },
        ),
        ("f", hello("f", "1", &["other"])),
    ];
    for (name, hello) in able {
        let mut worker = Worker::open(&world, hello).await.expect("a session");
        let task = worker.next().await;
        assert_eq!(task.name, name);
        worker.complete(&task, json!(1)).await;
    }
    world.until(&id, Phase::Completed).await;
}
