//! Events reach their readers: all, in order, from where they want.

use planaria_fake_mesh::{PATIENCE, session_opened};
use planaria_proto::notification::v1::EventFilter;
use planaria_proto::workflow::v1::{TaskRun, Workflow};
use tonic_types::StatusExt;

use crate::scene::{Scene, subscribe, subscribe_by};

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn from_now_on_means_what_comes_after_the_answer() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    scene.workflow_starts("old");
    let mut reader = subscribe(&client, "", &[]).await.unwrap();
    scene.workflow_starts("new");
    let event = reader.next().await.unwrap().event.unwrap();
    assert_eq!((event.subject.as_str(), event.id.as_str()), ("new", "1-2-0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cursor_resumes_behind_its_event_also_at_another_start_of_the_service() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    for number in 0..3 {
        scene.workflow_starts(&format!("w{number}"));
    }
    let mut reader = subscribe(&client, "start", &[]).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..9 {
        let delivery = reader.next().await.unwrap();
        all.push((delivery.cursor, delivery.event.unwrap().id));
    }
    let mut ids: Vec<_> = all.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!(ids[..4], ["1-1-0", "1-1-1", "1-1-2", "1-2-0"]);
    scene.kill().await;
    let client = scene.start().await;
    scene.task_completes("w0", 1);
    ids.push("1-4-0".into());
    for (position, (cursor, _)) in all.iter().enumerate() {
        let mut reader = subscribe(&client, cursor, &[]).await.unwrap();
        let rest = reader.take(9 - position).await;
        let rest: Vec<_> = rest.into_iter().map(|(id, _)| id).collect();
        assert_eq!(rest, ids[position + 1..], "{cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_were_behind_join_the_others_without_a_gap() {
    let mut scene = Scene::new().await;
    // Small, so that the slow reader falls behind again.
    scene.config.shared_batches_max = 2;
    scene.config.unread_max = 1;
    let client = scene.start().await;
    for number in 0..50 {
        scene.workflow_starts(&format!("old-{number}"));
    }
    let types = ["io.serverlessworkflow.workflow."];
    let mut behind = subscribe(&client, "start", &types).await.unwrap();
    let mut live = subscribe(&client, "", &types).await.unwrap();
    for number in 0..500 {
        scene.workflow_starts(&format!("new-{number}"));
        if number % 50 == 0 {
            // The stream is broken under both.
            scene.mesh().stop().await;
            scene.mesh().restart().await;
        }
    }
    let expected: Vec<_> =
        (1..=550).map(|seq| (format!("1-{seq}-0"), "workflow.started.v1".to_owned())).collect();
    assert_eq!(live.take(500).await, expected[50..]);
    assert_eq!(behind.take(550).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_named_also_where_their_start_was_not_read() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    let run = |frame| TaskRun { frame, reference: format!("/do/{frame}"), ..TaskRun::default() };
    let workflow = Workflow { tasks: vec![run(7)], ..Workflow::default() };
    scene.mesh().state().workflows.insert("unread".into(), workflow);
    let mut reader =
        subscribe(&client, "", &["io.serverlessworkflow.task.completed"]).await.unwrap();
    scene.workflow_starts("read");
    scene.task_completes("read", 2);
    scene.task_completes("unread", 7);
    scene.task_completes("gone", 1);
    for expected in ["/do/2", "/do/7", ""] {
        let event = reader.next().await.unwrap().event.unwrap();
        let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
        assert_eq!(data["task"], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_filtered_by_namespace_workflow_definition_and_text() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    let named = |text: &str| text.to_owned();
    let filters = [
        EventFilter { namespace: named("shop"), ..EventFilter::default() },
        EventFilter { definition: named("order"), ..EventFilter::default() },
        EventFilter { workflow_id: named("w2"), ..EventFilter::default() },
        EventFilter { text: named("W2.SHOP"), ..EventFilter::default() },
        EventFilter { namespace: named("other"), ..EventFilter::default() },
    ];
    let mut readers = Vec::new();
    for filter in filters {
        readers.push(subscribe_by(&client, "", filter).await.unwrap());
    }
    scene.mesh().push(session_opened("w"));
    scene.workflow_starts("w1");
    scene.workflow_starts("w2");
    let expected = [["1-2-0", "1-2-1"], ["1-2-0", "1-2-1"], ["1-3-0", "1-3-1"], ["1-3-0", "1-3-1"]];
    for (reader, expected) in readers.iter_mut().zip(expected) {
        let ids: Vec<_> = reader.take(2).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, expected);
    }
    let nothing = tokio::time::timeout(std::time::Duration::ZERO, readers[4].next()).await;
    assert!(nothing.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_while_nobody_is_subscribed() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    let first = subscribe(&client, "", &[]).await.unwrap();
    let second = subscribe(&client, "", &[]).await.unwrap();
    // One reading for both.
    assert_eq!(scene.mesh().state().log_streams, 1);
    drop((first, second));
    let let_go = scene.mesh().wait_until(|state| state.log_streams_open == 0);
    tokio::time::timeout(PATIENCE, let_go).await.unwrap();
    let mut third = subscribe(&client, "", &[]).await.unwrap();
    scene.mesh().push(session_opened("w"));
    assert_eq!(third.take(1).await[0].1, "dev.planaria.worker.joined.v1");
    assert_eq!(scene.mesh().state().log_streams, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_subscribed_to_is_refused_with_a_reason() {
    let mut scene = Scene::new().await;
    scene.config.subscribers_max = 1;
    scene.config.join_ms_max = 2_000;
    scene.config.tail.open_ms_max = 2_000;
    let client = scene.start().await;
    let refused = async |cursor: &str| {
        let reader = subscribe(&client, cursor, &[]).await;
        reason(&reader.err().expect("it is refused"))
    };
    assert_eq!(refused("nonsense").await, "CURSOR_INVALID");
    for number in 0..4 {
        scene.workflow_starts(&format!("w{number}"));
    }
    scene.mesh().trim_before(4);
    assert_eq!(refused("2.1-1").await, "CURSOR_TOO_OLD");
    let kept = subscribe(&client, "2.1-3", &[]).await.unwrap();
    assert_eq!(refused("").await, "TOO_MANY_SUBSCRIBERS");
    drop(kept);
    scene.mesh().stop().await;
    let unavailable = async {
        // The one seat is free when the service has seen its reader go.
        while refused("start").await != "ORCHESTRATOR_UNAVAILABLE" {}
    };
    tokio::time::timeout(PATIENCE, unavailable).await.unwrap();
}
