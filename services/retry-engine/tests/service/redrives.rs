//! Redrives by filter: counted first, at a limited rate, with another input, once.

use planaria_proto::retry::v1::{
    DeadLetterFilter, DeadLetterGroup, DeadLetterState, GetRedriveRequest,
    ListDeadLetterGroupsRequest, ListDeadLettersRequest, Redrive, RedriveDeadLettersRequest,
    RedriveState, StartRedriveRequest, StopRedriveRequest,
};
use planaria_proto::types::v1::{Payload, WorkflowError};
use planaria_proto::workflow::v1::WorkflowFaulted;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_runtime::clock;
use tonic::Code;
use tonic_types::StatusExt;

use crate::scene::{PATIENCE, Scene, eventually};

fn faulted(detail: &str) -> Event {
    let error = WorkflowError { detail: detail.into(), ..WorkflowError::default() };
    let task = "/do/0/charge".into();
    Event::WorkflowFaulted(WorkflowFaulted { frame: 4, task, error: Some(error) })
}

/// A scene in which so many cards were declined and one shop is closed.
async fn declined(count: u32) -> Scene {
    let mut scene = Scene::new().await;
    scene.start().await;
    for number in 0..count {
        scene.happened(&format!("w{number}"), faulted(&format!("card {number} declined")));
    }
    scene.happened("closed", faulted("the shop is closed"));
    let count = u64::from(count) + 1;
    eventually(|| async {
        let listed = scene.client().list_dead_letters(ListDeadLettersRequest::default()).await;
        (listed.unwrap().into_inner().total == count).then_some(())
    })
    .await;
    scene
}

fn start(fingerprint: &str) -> StartRedriveRequest {
    let fingerprint = fingerprint.to_owned();
    let filter = DeadLetterFilter { fingerprint, ..DeadLetterFilter::default() };
    StartRedriveRequest {
        redrive_id: "mine".into(),
        filter: Some(filter),
        rate: 100.0,
        ..StartRedriveRequest::default()
    }
}

async fn fingerprint(scene: &Scene) -> String {
    let request = ListDeadLetterGroupsRequest::default();
    let groups = scene.client().list_dead_letter_groups(request).await;
    let groups = groups.unwrap().into_inner().groups;
    assert_eq!(groups.len(), 2, "{groups:?}");
    // With one of each, none of them comes first for sure.
    let is_card = |group: &&DeadLetterGroup| {
        group.error.as_ref().is_some_and(|error| error.detail.contains("declined"))
    };
    groups.iter().find(is_card).expect("the declined").fingerprint.clone()
}

async fn ended(scene: &Scene) -> Redrive {
    eventually(|| async {
        let get = GetRedriveRequest { redrive_id: "mine".into() };
        let redrive = scene.client().get_redrive(get).await.unwrap().into_inner().redrive?;
        (redrive.state() != RedriveState::Running).then_some(redrive)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_names_is_counted_and_then_redriven_once() {
    let scene = declined(7).await;
    let mut client = scene.client();
    let same = start(&fingerprint(&scene).await);
    let dry = StartRedriveRequest { dry_run: true, ..same.clone() };
    let counted = client.start_redrive(dry).await.unwrap().into_inner().redrive.unwrap();
    assert_eq!((counted.matched, counted.id.as_str()), (7, ""));
    assert!(scene.mesh.state().retried.is_empty());

    let started = client.start_redrive(same.clone()).await.unwrap().into_inner();
    let again = client.start_redrive(same.clone()).await.unwrap().into_inner();
    let at = |redrive: Option<Redrive>| redrive.unwrap().started_at;
    assert_eq!(at(started.redrive), at(again.redrive));
    let redrive = ended(&scene).await;
    assert_eq!((redrive.matched, redrive.redriven, redrive.refused), (7, 7, 0));
    let retried = scene.mesh.state().retried.clone();
    assert_eq!(retried.len(), 7, "{retried:?}");
    assert!(retried.iter().all(|(workflow, _)| workflow != "closed"));

    let other = StartRedriveRequest { rate: 3.0, ..same };
    let status = client.start_redrive(other).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "REDRIVE_DIFFERS");
    let status = client.start_redrive(StartRedriveRequest::default()).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "FILTER_EMPTY");
    let unknown = GetRedriveRequest { redrive_id: "nobody's".into() };
    let status = client.get_redrive(unknown).await.unwrap_err();
    assert_eq!((status.code(), status.message().contains("nobody's")), (Code::NotFound, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_keeps_its_rate_and_can_be_stopped() {
    let scene = declined(6).await;
    let mut client = scene.client();
    let slow = StartRedriveRequest { rate: 4.0, ..start(&fingerprint(&scene).await) };
    let began_ms = clock::now_ms();
    client.start_redrive(slow).await.unwrap();
    let three = scene.mesh.wait_until(|state| state.retried.len() >= 3);
    tokio::time::timeout(PATIENCE, three).await.expect("three were redriven");
    // Two pauses of a quarter of a second lie between three.
    assert!(clock::now_ms() - began_ms >= 500);
    let stop = StopRedriveRequest { redrive_id: "mine".into() };
    client.stop_redrive(stop).await.unwrap();
    let redrive = ended(&scene).await;
    assert_eq!(redrive.state(), RedriveState::Stopped);
    let open = client.list_dead_letters(ListDeadLettersRequest::default()).await.unwrap();
    assert!(open.into_inner().total >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_input_the_task_runs_again() {
    let scene = declined(1).await;
    let mut client = scene.client();
    let input = |data: &'static str| {
        Some(Payload { content_type: String::new(), data: data.as_bytes().into() })
    };
    let wrong = StartRedriveRequest { input: input("{"), ..start(&fingerprint(&scene).await) };
    let status = client.start_redrive(wrong.clone()).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "INPUT_INVALID");
    let right = StartRedriveRequest { input: input(r#"{"card":2}"#), ..wrong };
    client.start_redrive(right).await.unwrap();
    assert_eq!(ended(&scene).await.redriven, 1);
    let expected = ("w0".to_owned(), "/do/0/charge".to_owned(), br#"{"card":2}"#.to_vec());
    assert_eq!(scene.mesh.state().rerun, [expected]);
    assert!(scene.mesh.state().retried.is_empty());

    let open = client.list_dead_letters(ListDeadLettersRequest::default()).await.unwrap();
    let ids = open.into_inner().dead_letters.into_iter().map(|letter| letter.id).collect();
    let request = RedriveDeadLettersRequest { ids, input: input("7") };
    let outcomes = client.redrive_dead_letters(request).await.unwrap().into_inner().outcomes;
    assert!(outcomes.len() == 1 && outcomes[0].redriven, "{outcomes:?}");
    assert_eq!(scene.mesh.state().rerun.len(), 2);
    let state = DeadLetterState::Redriven.into();
    let redriven = ListDeadLettersRequest { state, ..Default::default() };
    assert_eq!(client.list_dead_letters(redriven).await.unwrap().into_inner().total, 2);
}
