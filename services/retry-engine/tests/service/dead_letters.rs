//! What the system gives up on is kept with its story, and can be redriven.

use planaria_fake_mesh::{attempt_failed, definition};
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::retry::v1::{
    DeadLetter, DeadLetterCause, DeadLetterState, GetDeadLetterRequest, ListDeadLettersRequest,
    RedriveDeadLettersRequest,
};
use planaria_proto::types::v1::WorkflowError;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::task_started::{Call, Detail};
use planaria_proto::workflow::v1::{
    HistoryEvent, TaskStarted, WorkflowFaulted, WorkflowRetried, WorkflowStarted,
};
use planaria_runtime::ReplicaChannel;
use prost_types::Timestamp;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::scene::{PATIENCE, Scene, eventually};

fn faulted(error: &str) -> Event {
    Event::WorkflowFaulted(WorkflowFaulted {
        frame: 4,
        task: "/do/0/charge".into(),
        error: Some(WorkflowError { r#type: error.into(), ..WorkflowError::default() }),
    })
}

async fn list(
    client: &RetryServiceClient<ReplicaChannel>,
    state: DeadLetterState,
) -> Vec<DeadLetter> {
    let request = ListDeadLettersRequest { state: state.into(), ..Default::default() };
    client.clone().list_dead_letters(request).await.unwrap().into_inner().dead_letters
}

async fn await_listed(
    client: &RetryServiceClient<ReplicaChannel>,
    state: DeadLetterState,
    count: usize,
) -> Vec<DeadLetter> {
    eventually(|| async {
        let letters = list(client, state).await;
        (letters.len() == count).then_some(letters)
    })
    .await
}

/// Reconciles at its start only: afterwards the log alone tells what happened.
async fn quiet() -> Scene {
    let mut scene = Scene::new().await;
    scene.config.reconcile.interval_ms = 3_600_000;
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_kept_with_its_cause_and_story_and_is_redriven_once() {
    let mut scene = quiet().await;
    let mut client = scene.start().await;
    scene.happened("w", Event::AttemptFailed(attempt_failed(4, 1, false)));
    scene.decisions(1).await;
    scene.happened("w", faulted("https://example.com/errors/declined"));
    let letter = await_listed(&client, DeadLetterState::Open, 1).await.remove(0);
    assert_eq!(letter.cause(), DeadLetterCause::NotRetryable);
    assert_eq!(letter.definition, Some(definition()));

    let call = Call { arguments: Some("{\"amount\":3}".into()) };
    let started = |frame, task: &str| TaskStarted {
        frame,
        task: task.into(),
        detail: Some(Detail::Call(call.clone())),
        ..TaskStarted::default()
    };
    let events = [
        Event::WorkflowStarted(WorkflowStarted::default()),
        Event::TaskStarted(started(3, "/do/1/ship")),
        Event::TaskStarted(started(4, "/do/0/charge")),
        Event::AttemptFailed(attempt_failed(3, 1, false)),
        Event::AttemptFailed(attempt_failed(4, 1, false)),
        faulted("x"),
    ];
    let history =
        (1..).zip(events).map(|(seq, event)| HistoryEvent { seq, at: None, event: Some(event) });
    scene.mesh.state().histories.insert("w".into(), history.collect());
    let request = GetDeadLetterRequest { id: letter.id.clone() };
    let shown = client.get_dead_letter(request).await.unwrap().into_inner().dead_letter.unwrap();
    let story: Vec<_> = shown.story.iter().map(|event| event.seq).collect();
    assert_eq!(story, [3, 5, 6]);
    assert_eq!(shown.arguments.unwrap().data, "{\"amount\":3}");

    let request = RedriveDeadLettersRequest { ids: vec![letter.id.clone()], input: None };
    let redriven = client.redrive_dead_letters(request.clone()).await.unwrap().into_inner();
    assert!(redriven.outcomes[0].redriven, "{redriven:?}");
    let again = client.redrive_dead_letters(request).await.unwrap().into_inner();
    assert_eq!(again.outcomes[0].detail, "it was redriven before");
    let retried = scene.mesh.state().retried.clone();
    assert_eq!(retried, [("w".to_owned(), format!("redrive of dead letter {}", letter.id))]);
    let redriven = list(&client, DeadLetterState::Redriven).await.remove(0);
    assert!(redriven.redriven_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_whose_end_was_not_seen_is_told_by_the_log() {
    let mut scene = quiet().await;
    let client = scene.start().await;
    scene.happened("poison", faulted("https://planaria.dev/errors/quarantined"));
    let letter = await_listed(&client, DeadLetterState::Open, 1).await.remove(0);
    assert_eq!(letter.cause(), DeadLetterCause::Quarantined);
    let reason = format!("redrive of dead letter {}", letter.id);
    scene.happened("poison", Event::WorkflowRetried(WorkflowRetried { reason }));
    await_listed(&client, DeadLetterState::Redriven, 1).await;
    scene.happened("poison", faulted("https://example.com/errors/other"));
    let letters = await_listed(&client, DeadLetterState::Open, 1).await;
    assert_eq!(letters[0].cause(), DeadLetterCause::Uncaught);
    scene.happened("poison", Event::WorkflowRetried(WorkflowRetried { reason: "me".into() }));
    await_listed(&client, DeadLetterState::Resolved, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redriving_what_cannot_be_redriven_says_why() {
    let mut scene = quiet().await;
    let mut client = scene.start().await;
    for workflow in ["running", "gone"] {
        scene.happened(workflow, faulted("x"));
    }
    let letters = await_listed(&client, DeadLetterState::Open, 2).await;
    let refusals = [
        ("running", Status::new(Code::FailedPrecondition, "it runs")),
        ("gone", Status::new(Code::Unavailable, "not now")),
    ];
    scene.mesh.state().retry_refusals = refusals.map(|(id, why)| (id.to_owned(), why)).into();

    let mut ids: Vec<_> = letters.iter().map(|letter| letter.id.clone()).collect();
    ids.sort();
    let unknown =
        RedriveDeadLettersRequest { ids: vec![ids[0].clone(), "nonsense".into()], input: None };
    let status = client.redrive_dead_letters(unknown).await.unwrap_err();
    let reason = status.get_details_error_info().unwrap().reason;
    assert_eq!((status.code(), reason.as_str()), (Code::NotFound, "DEAD_LETTER_NOT_FOUND"));
    assert_eq!(list(&client, DeadLetterState::Open).await.len(), 2);

    let request = RedriveDeadLettersRequest { ids, input: None };
    let outcomes = client.redrive_dead_letters(request).await.unwrap().into_inner().outcomes;
    assert!(outcomes[0].detail.contains("not now"), "{outcomes:?}");
    assert!(outcomes[1].detail.contains("not faulted any more"), "{outcomes:?}");
    let open = list(&client, DeadLetterState::Open).await;
    assert_eq!(open.iter().map(|letter| letter.workflow_id.as_str()).collect::<Vec<_>>(), ["gone"]);

    let request = ListDeadLettersRequest { page_token: "x".into(), ..Default::default() };
    let status = client.list_dead_letters(request).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "PAGE_TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_one_answer_stays_open() {
    let mut scene = Scene::new().await;
    scene.mesh.state().faulted_page_max = Some(2);
    for workflow in ["a", "b", "c", "d", "e"] {
        scene.happened(workflow, faulted("https://example.com/errors/declined"));
    }
    let client = scene.start().await;
    await_listed(&client, DeadLetterState::Open, 5).await;
    // Several rounds of the reconciler, of three answers each.
    let seen = scene.mesh.state().faulted_calls + 12;
    let rounds = scene.mesh.wait_until(|state| state.faulted_calls >= seen);
    tokio::time::timeout(PATIENCE, rounds).await.expect("it goes on to reconcile");
    assert_eq!(list(&client, DeadLetterState::Open).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_contradict_the_orchestrator_are_mended() {
    let mut scene = Scene::new().await;
    // Small pages: the check goes on behind each.
    scene.config.reconcile.page_max = 2;
    let faulted_at = |workflow: String| Faulted {
        workflow_id: workflow,
        definition: Some(definition()),
        at: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        task: "/do/0/charge".into(),
        error: None,
    };
    scene.mesh.state().faulted = (0..5).map(|n| faulted_at(format!("w{n}"))).collect();
    let client = scene.start().await;
    scene.happened("w7", faulted("x"));
    scene.mesh.state().faulted.retain(|faulted| faulted.workflow_id != "w7");
    await_open(&client, &["w0", "w1", "w2", "w3", "w4"]).await;
    // Somebody skipped the task: the workflow is just not faulted any more.
    scene.mesh.state().faulted.remove(3);
    await_open(&client, &["w0", "w1", "w2", "w4"]).await;
    let resolved = list(&client, DeadLetterState::Resolved).await;
    let mut resolved: Vec<_> = resolved.into_iter().map(|letter| letter.workflow_id).collect();
    resolved.sort();
    assert_eq!(resolved, ["w3", "w7"]);
}

/// Waits until exactly these workflows have an open dead letter, and `w7` has had one.
async fn await_open(client: &RetryServiceClient<ReplicaChannel>, workflows: &[&str]) {
    eventually(|| async {
        let mut open: Vec<_> = list(client, DeadLetterState::Open)
            .await
            .into_iter()
            .map(|letter| letter.workflow_id)
            .collect();
        open.sort();
        let resolved = list(client, DeadLetterState::Resolved).await;
        let w7_resolved = resolved.iter().any(|letter| letter.workflow_id == "w7");
        (open == workflows && w7_resolved).then_some(())
    })
    .await;
}
