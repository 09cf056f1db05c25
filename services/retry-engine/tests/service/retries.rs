//! Failures become decisions, at their time, whatever ends in between.

use planaria_fake_mesh::attempt_failed;
use planaria_kernel::retry::{RetryPolicy, backoff};
use planaria_proto::retry::v1::{ListRetriesRequest, RetryNowRequest};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{TaskStarted, WorkflowCancelled};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::scene::{Scene, eventually};

fn failed(failure: u32, retryable: bool) -> Event {
    Event::AttemptFailed(attempt_failed(4, failure, retryable))
}

fn due_ms(scene: &Scene, workflow: &str, failure: u32, at_ms: u64) -> u64 {
    let policy = RetryPolicy::from(scene.config.policy);
    at_ms + backoff::delay_ms(&policy, failure, backoff::bits(workflow, 4, failure))
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_come_when_they_are_due() {
    let mut scene = Scene::new().await;
    scene.config.policy.base_ms = 600;
    let _client = scene.start().await;
    let mut expected: Vec<_> = (0..20)
        .map(|number| {
            let workflow = format!("w{number}");
            let at_ms = scene.happened(&workflow, failed(1, true));
            (due_ms(&scene, &workflow, 1, at_ms), workflow)
        })
        .collect();
    expected.sort();
    for (workflow, frame, attempt, reason, at_ms) in scene.decisions(20).await {
        let (due_ms, _) = expected.iter().find(|(_, id)| *id == workflow).unwrap();
        // 50 ms is the promise; the rest is for a machine that does other things too.
        assert!((*due_ms..due_ms + 2_000).contains(&at_ms), "{workflow}: {due_ms} at {at_ms}");
        assert_eq!((frame, attempt, reason.as_str()), (4, 1, ""));
    }
    assert_eq!(scene.mesh.state().decisions.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn hopeless_and_exhausted_tasks_are_given_up_at_once() {
    let mut scene = Scene::new().await;
    let _client = scene.start().await;
    scene.happened("hopeless", failed(1, false));
    scene.happened("exhausted", failed(10, true));
    let mut decisions = scene.decisions(2).await;
    decisions.sort();
    assert_eq!((decisions[0].0.as_str(), decisions[0].3.as_str()), ("exhausted", "EXHAUSTED"));
    assert_eq!((decisions[1].0.as_str(), decisions[1].3.as_str()), ("hopeless", "NOT_RETRYABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_survives_the_end_of_the_engine_and_of_the_orchestrator() {
    let mut scene = Scene::new().await;
    scene.config.policy.base_ms = 100;
    let mut client = scene.start().await;
    scene.happened("before", failed(1, true));
    scene.decisions(1).await;

    scene.config.policy.base_ms = 1_000_000;
    scene.config.policy.cap_ms = 1_000_000;
    scene.kill().await;
    client = {
        drop(client);
        scene.start().await
    };
    let at_ms = scene.happened("waits", failed(1, true));
    let waiting = eventually(|| {
        let mut client = client.clone();
        async move {
            let request =
                ListRetriesRequest { workflow_id: "waits".into(), ..ListRetriesRequest::default() };
            let answer = client.list_retries(request).await.unwrap().into_inner();
            answer.retries.into_iter().next()
        }
    })
    .await;
    assert_eq!(waiting.id, "waits.4.1");
    let due = waiting.due_at.unwrap();
    let due = u64::try_from(due.seconds).unwrap() * 1_000 + due.nanos as u64 / 1_000_000;
    assert_eq!(due, due_ms(&scene, "waits", 1, at_ms));

    // Both die; the failure of meanwhile waits in the log, the retry in the store.
    scene.mesh.stop().await;
    scene.kill().await;
    scene.happened("meanwhile", failed(10, true));
    let mut client = scene.start().await;
    client.retry_now(RetryNowRequest { id: "waits.4.1".into() }).await.unwrap();
    scene.mesh.restart().await;
    // The first may be told twice: the engine was killed before it noted the answer.
    for workflow in ["before", "meanwhile", "waits"] {
        scene.decision_of(workflow).await;
    }
    let gone = client.retry_now(RetryNowRequest { id: "waits.4.1".into() });
    // It is removed once the orchestrator's answer arrived.
    let status = match gone.await {
        Err(status) => status,
        Ok(_) => eventually(|| {
            let mut client = client.clone();
            async move { client.retry_now(RetryNowRequest { id: "waits.4.1".into() }).await.err() }
        })
        .await,
    };
    assert_eq!(status.get_details_error_info().unwrap().reason, "RETRY_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_is_refused_holds_up_no_other() {
    let mut scene = Scene::new().await;
    // The batch is refused, then its first decision alone.
    let refusal = || Status::new(Code::InvalidArgument, "no");
    scene.mesh.state().decision_failures = vec![refusal(), refusal()];
    scene.mesh.stop().await;
    let _client = scene.start().await;
    for number in 0..3 {
        scene.happened(&format!("w{number}"), failed(10, true));
    }
    scene.mesh.restart().await;
    let workflows: Vec<_> =
        scene.decisions(2).await.into_iter().map(|decision| decision.0).collect();
    assert_eq!(workflows.len(), 2, "{workflows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_listed_with_their_tasks_until_their_workflow_ends() {
    let mut scene = Scene::new().await;
    scene.config.policy.base_ms = 1_000_000;
    scene.config.policy.cap_ms = 1_000_000;
    let client = scene.start().await;
    let run = planaria_proto::workflow::v1::TaskRun {
        frame: 4,
        reference: "/do/0/charge".into(),
        ..Default::default()
    };
    let workflow =
        planaria_proto::workflow::v1::Workflow { tasks: vec![run], ..Default::default() };
    scene.mesh.state().workflows.insert("w".into(), workflow);
    scene.happened("w", Event::TaskStarted(TaskStarted::default()));
    scene.happened("w", failed(1, true));
    let list = || {
        let mut client = client.clone();
        async move {
            let request = ListRetriesRequest {
                workflow_id: "w".into(),
                page_size: 1,
                namespace: "shop".into(),
            };
            client.list_retries(request).await.unwrap().into_inner().retries
        }
    };
    let retry = eventually(|| async { list().await.pop() }).await;
    assert_eq!(retry.task, "/do/0/charge");
    assert_eq!((retry.failed_attempt, retry.failure, retry.attempts_max), (1, 1, 10));
    assert_eq!(retry.function, "charge-card:1.0.0");
    scene.happened("w", Event::WorkflowCancelled(WorkflowCancelled::default()));
    eventually(|| async { list().await.is_empty().then_some(()) }).await;
}
