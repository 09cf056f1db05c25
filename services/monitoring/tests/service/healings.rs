//! Healings are copied from the log, listed, and told as they happen.

use planaria_fake_mesh::{eventually, healing};
use planaria_proto::monitoring::v1::{
    ListHealingsRequest, ListHealingsResponse, WatchHealingsRequest,
};
use planaria_proto::types::v1::{Healing, HealingAction, Signal};
use prost_types::{Duration, Timestamp};
use tonic_types::StatusExt;

use crate::scene::{Client, Scene, overview};

/// A healing detected at a time; healed after so many milliseconds, if at all.
fn detected(id: &str, incident: &str, at_ms: u64, healed_after_ms: Option<i32>) -> Healing {
    let at = |at_ms: u64| Timestamp {
        seconds: i64::try_from(at_ms / 1_000).unwrap(),
        nanos: i32::try_from(at_ms % 1_000).unwrap() * 1_000_000,
    };
    let span = |ms: i32| Duration { seconds: 0, nanos: ms * 1_000_000 };
    Healing {
        id: id.into(),
        incident: incident.into(),
        signal: Signal::StreamLost.into(),
        action: HealingAction::Rerun.into(),
        workflow_id: format!("workflow-of-{id}"),
        detected_at: Some(at(at_ms)),
        healed_at: healed_after_ms.map(|_| at(at_ms)),
        detected_after: Some(span(20)),
        healed_after: healed_after_ms.map(span),
        ..Healing::default()
    }
}

async fn list(client: &Client, request: ListHealingsRequest) -> ListHealingsResponse {
    client.clone().list_healings(request).await.unwrap().into_inner()
}

fn ids(healings: &[Healing]) -> Vec<&str> {
    healings.iter().map(|healing| healing.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn healings_are_told_twice_and_kept_once_over_any_restart() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    let now_ms = planaria_runtime::clock::now_ms();
    let mut watch =
        client.clone().watch_healings(WatchHealingsRequest {}).await.unwrap().into_inner();
    scene.mesh().push(healing(detected("h1", "w1", now_ms, None)));
    let told = watch.message().await.unwrap().unwrap().healings;
    assert!(told[0].healed_at.is_none());
    let now = overview(&client).await;
    assert_eq!((now.healings_open, now.healings_recent), (1, 1));
    let finding = "1 healing is under way: planaria healing list".to_owned();
    assert!(now.findings.contains(&finding), "{:?}", now.findings);

    scene.mesh().push(healing(detected("h1", "w1", now_ms, Some(80))));
    let told = watch.message().await.unwrap().unwrap().healings;
    assert!(told[0].healed_at.is_some());
    let now = overview(&client).await;
    assert_eq!((now.healings_open, now.healings_recent), (0, 1));
    let span = |ms: i32| Some(Duration { seconds: 0, nanos: ms * 1_000_000 });
    assert_eq!((now.detected_after_p50, now.healed_after_p99), (span(20), span(80)));

    scene.kill().await;
    scene.mesh().push(healing(detected("h2", "w1", now_ms + 1, Some(40))));
    let client = scene.start().await;
    let all = eventually(|| async {
        let all = list(&client, ListHealingsRequest::default()).await.healings;
        (all.len() == 2).then_some(all)
    })
    .await;
    assert_eq!(ids(&all), ["h2", "h1"]);
    assert!(all.iter().all(|healing| healing.healed_at.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn healings_are_listed_newest_first_by_page_and_filter() {
    let mut scene = Scene::new().await;
    let mut client = scene.start().await;
    for number in 0..5_u64 {
        let incident = if number % 2 == 0 { "even" } else { "odd" };
        let id = format!("h{number}");
        scene.mesh().push(healing(detected(&id, incident, 1_000 + number, Some(1))));
    }
    let all = ListHealingsRequest::default;
    eventually(|| async { (list(&client, all()).await.healings.len() == 5).then_some(()) }).await;
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = list(&client, ListHealingsRequest { page_size: 2, page_token, ..all() }).await;
        pages.extend(page.healings);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(ids(&pages), ["h4", "h3", "h2", "h1", "h0"]);
    let odd = list(&client, ListHealingsRequest { incident: "odd".into(), ..all() }).await;
    assert_eq!(ids(&odd.healings), ["h3", "h1"]);
    let workflow_id = "workflow-of-h2".to_owned();
    let one = list(&client, ListHealingsRequest { workflow_id, ..all() }).await;
    assert_eq!(ids(&one.healings), ["h2"]);
    let request = ListHealingsRequest { page_token: "nonsense".into(), ..all() };
    let status = client.list_healings(request).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "PAGE_TOKEN_INVALID");
}
