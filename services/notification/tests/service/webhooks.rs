//! Webhooks: what is posted, how it is signed, and what becomes of it.

use std::collections::BTreeSet;

use planaria_fake_mesh::eventually;
use planaria_proto::notification::v1::*;
use planaria_runtime::{StoreSettings, clock};
use planaria_store::testing::TestDatabase;
use prost_types::Duration;
use tonic_types::StatusExt;

use crate::scene::{Client, Scene};
use crate::sink::{Answer, Received, Sink};

const STARTED: &str = "io.serverlessworkflow.workflow.started";

/// A scene whose webhooks may lead to this machine, and are tried again at once.
async fn scene() -> Scene {
    let mut scene = Scene::new().await;
    let webhooks = &mut scene.config.webhooks;
    webhooks.egress_allow = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    webhooks.delays_ms = vec![0, 10, 10];
    webhooks.poll_ms = 20;
    scene
}

async fn create(client: &Client, url: String) -> (String, String) {
    let filter = EventFilter { types: vec![STARTED.into()], ..EventFilter::default() };
    let request = CreateWebhookRequest { url, filter: Some(filter), ..Default::default() };
    let created = client.clone().create_webhook(request).await.unwrap().into_inner();
    (created.webhook.unwrap().id, created.secret)
}

async fn deliveries(client: &Client, webhook_id: &str) -> Vec<WebhookDelivery> {
    let request = ListDeliveriesRequest { webhook_id: webhook_id.to_owned(), ..Default::default() };
    client.clone().list_deliveries(request).await.unwrap().into_inner().deliveries
}

/// Waits until all of so many deliveries are in a state.
async fn settled(
    client: &Client,
    webhook: &str,
    count: usize,
    state: DeliveryState,
) -> Vec<WebhookDelivery> {
    eventually(|| async {
        let all = deliveries(client, webhook).await;
        let there = all.len() == count && all.iter().all(|delivery| delivery.state() == state);
        there.then_some(all)
    })
    .await
}

async fn webhook(client: &Client, id: &str) -> Webhook {
    let request = GetWebhookRequest { id: id.to_owned() };
    client.clone().get_webhook(request).await.unwrap().into_inner().webhook.unwrap()
}

fn verify(secret: &str, received: &Received) {
    let verifier = standardwebhooks::Webhook::new(secret).unwrap();
    verifier.verify(&received.body, &received.headers).unwrap();
}

fn ids(received: &[Received]) -> Vec<&str> {
    received.iter().map(|request| request.header("webhook-id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_happen_from_now_on_are_posted_once_and_signed() {
    let mut scene = scene().await;
    let sink = Sink::start(|_| Answer::Body(200, "x".repeat(5_000))).await;
    let client = scene.start().await;
    scene.workflow_starts("before");
    let (id, secret) = create(&client, sink.url()).await;
    scene.workflow_starts("first");
    let received = sink.wait_for(1).await;
    assert_eq!(received[0].header("content-type"), "application/cloudevents+json");
    verify(&secret, &received[0]);
    let event = received[0].event();
    assert_eq!((&event["subject"], &event["id"]), (&"first".into(), &"1-2-0".into()));
    assert_eq!(event["data"]["definition"]["name"], "order");
    let delivered = settled(&client, &id, 1, DeliveryState::Delivered).await;
    assert_eq!(delivered[0].id, received[0].header("webhook-id"));
    assert_eq!((delivered[0].status, delivered[0].attempts), (200, 1));
    assert_eq!(delivered[0].response.len(), 1_024);

    scene.kill().await;
    scene.workflow_starts("meanwhile");
    let client = scene.start().await;
    scene.workflow_starts("last");
    settled(&client, &id, 3, DeliveryState::Delivered).await;
    let subjects: BTreeSet<_> =
        sink.received().iter().map(|request| request.event()["subject"].to_string()).collect();
    assert_eq!(subjects.len(), 3);
    assert_eq!(sink.received().len(), 3, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_tried_again_with_its_id_until_it_is_given_up() {
    let mut scene = scene().await;
    let sink = Sink::start(|number| match number {
        0 => Answer::Status(503),
        1 => Answer::Header(302, "location", "http://169.254.169.254/"),
        3..6 => Answer::Status(500),
        _ => Answer::Status(204),
    })
    .await;
    let client = scene.start().await;
    let (id, _) = create(&client, sink.url()).await;
    scene.workflow_starts("first");
    let delivered = settled(&client, &id, 1, DeliveryState::Delivered).await;
    assert_eq!((delivered[0].attempts, delivered[0].status), (3, 204));
    let received = sink.received();
    assert_eq!(ids(&received), [delivered[0].id.as_str(); 3]);

    scene.workflow_starts("second");
    sink.wait_for(6).await;
    let all = eventually(|| async {
        let all = deliveries(&client, &id).await;
        (all[0].state() == DeliveryState::Failed).then_some(all)
    })
    .await;
    assert_eq!((all[0].attempts, all[0].error.as_str()), (3, "500 Internal Server Error"));
    let request = ResendDeliveriesRequest { ids: vec![all[0].id.clone()], ..Default::default() };
    let resent = client.clone().resend_deliveries(request).await.unwrap().into_inner().resent;
    assert_eq!(resent, 1);
    settled(&client, &id, 2, DeliveryState::Delivered).await;
    let received = sink.received();
    assert_eq!(ids(&received)[3..], [all[0].id.as_str(); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_ask_for_later_or_for_nothing_more() {
    let mut scene = scene().await;
    scene.config.webhooks.delays_ms = vec![0, 10, 100_000];
    let busy = Sink::start(|_| Answer::Header(429, "retry-after", "60")).await;
    let gone = Sink::start(|_| Answer::Status(410)).await;
    let client = scene.start().await;
    let (later, _) = create(&client, busy.url()).await;
    let (never, _) = create(&client, gone.url()).await;
    let before_s = i64::try_from(clock::now_ms() / 1_000).unwrap();
    scene.workflow_starts("first");
    let waiting = eventually(|| async {
        let all = deliveries(&client, &later).await;
        all.into_iter().find(|delivery| delivery.attempts == 1)
    })
    .await;
    assert!(waiting.next_at.unwrap().seconds >= before_s + 59, "{:?}", waiting.next_at);
    settled(&client, &never, 1, DeliveryState::Failed).await;
    let disabled = webhook(&client, &never).await;
    assert!(!disabled.enabled && disabled.disabled_because.contains("410"));
    scene.workflow_starts("second");
    eventually(|| async { (deliveries(&client, &later).await.len() == 2).then_some(()) }).await;
    assert_eq!(gone.received().len(), 1);
    assert_eq!(deliveries(&client, &never).await.len(), 1);
    // From now on, and without what happened meanwhile.
    let request = EnableWebhookRequest { id: never.clone() };
    client.clone().enable_webhook(request).await.unwrap();
    scene.workflow_starts("third");
    let subjects = gone.wait_for(2).await;
    assert_eq!(subjects[1].event()["subject"], "third");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_does_not_answer_delays_no_other() {
    let mut scene = scene().await;
    scene.config.webhooks.endpoint_attempts_max = 2;
    scene.config.webhooks.attempt_ms_max = 600_000;
    let dead = Sink::start(|_| Answer::Nothing).await;
    let alive = Sink::start(|_| Answer::Status(200)).await;
    let client = scene.start().await;
    let (hanging, _) = create(&client, dead.url()).await;
    let (id, _) = create(&client, alive.url()).await;
    for number in 0..30 {
        scene.workflow_starts(&format!("w{number}"));
    }
    settled(&client, &id, 30, DeliveryState::Delivered).await;
    assert_eq!(dead.received().len(), 2);
    assert_eq!(webhook(&client, &hanging).await.deliveries_pending, 30);
    let request = DeleteWebhookRequest { id: hanging.clone() };
    client.clone().delete_webhook(request).await.unwrap();
    assert!(deliveries(&client, &hanging).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_secrets_rotate_both_sign() {
    let mut scene = scene().await;
    let sink = Sink::start(|_| Answer::Status(200)).await;
    let mut client = scene.start().await;
    let (id, former) = create(&client, sink.url()).await;
    let rotate = |overlap_s| RotateWebhookSecretRequest {
        id: id.clone(),
        overlap: Some(Duration { seconds: overlap_s, nanos: 0 }),
        ..RotateWebhookSecretRequest::default()
    };
    let new = client.rotate_webhook_secret(rotate(3_600)).await.unwrap().into_inner().secret;
    let request = TestWebhookRequest { id: id.clone() };
    let tested = client.test_webhook(request.clone()).await.unwrap().into_inner();
    let delivery = tested.delivery.unwrap();
    assert_eq!(delivery.state(), DeliveryState::Delivered);
    let received = sink.wait_for(1).await;
    assert_eq!(received[0].event()["type"], "dev.planaria.webhook.test.v1");
    verify(&former, &received[0]);
    verify(&new, &received[0]);
    // Without an overlap the former one is worth nothing any more.
    let newest = client.rotate_webhook_secret(rotate(0)).await.unwrap().into_inner().secret;
    client.test_webhook(request).await.unwrap();
    let received = sink.wait_for(2).await;
    verify(&newest, &received[1]);
    let verifier = standardwebhooks::Webhook::new(&new).unwrap();
    assert!(verifier.verify(&received[1].body, &received[1].headers).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_posted_to_where_it_is_not_allowed() {
    let mut scene = scene().await;
    scene.config.webhooks.egress_allow.clear();
    let sink = Sink::start(|_| Answer::Status(200)).await;
    let mut client = scene.start().await;
    let refused = async |url: &str, secret: &str| {
        let request = CreateWebhookRequest {
            url: url.to_owned(),
            secret: secret.to_owned(),
            ..CreateWebhookRequest::default()
        };
        let status = client.clone().create_webhook(request).await.unwrap_err();
        status.get_details_error_info().unwrap().reason
    };
    assert_eq!(refused(&sink.url(), "").await, "URL_NOT_ALLOWED");
    assert_eq!(refused("nonsense", "").await, "URL_INVALID");
    assert_eq!(refused("https://hooks.example", "short").await, "SECRET_INVALID");
    // A name may be looked up only when it is called.
    let (id, _) = create(&client, sink.url_by_name()).await;
    let request = TestWebhookRequest { id };
    let tested = client.test_webhook(request).await.unwrap().into_inner().delivery.unwrap();
    assert_eq!((tested.state(), tested.status), (DeliveryState::Failed, 0));
    assert!(tested.error.contains("are not allowed here"), "{}", tested.error);
    assert!(sink.received().is_empty());
    let request = GetWebhookRequest { id: "unknown".into() };
    let status = client.get_webhook(request).await.unwrap_err();
    assert_eq!(status.get_details_error_info().unwrap().reason, "WEBHOOK_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_work_and_one_that_dies_loses_nothing() {
    let database = TestDatabase::create().await;
    let mut scene = scene().await;
    scene.store = StoreSettings { url: database.url.clone(), ..StoreSettings::default() };
    scene.config.webhooks.lease_ms = 300;
    // Claims of the dead one end soon.
    scene.config.webhooks.attempt_ms_max = 2_000;
    scene.config.webhooks.note_ms_max = 500;
    let sink = Sink::start(|_| Answer::Status(200)).await;
    let first = scene.start().await;
    let second = scene.start().await;
    let (id, secret) = create(&first, sink.url()).await;
    for number in 0..60 {
        scene.workflow_starts(&format!("w{number}"));
        if number == 20 {
            sink.wait_for(10).await;
            scene.kill().await;
        }
    }
    // What the dead replica had taken comes when its claim ends, within PATIENCE.
    settled(&second, &id, 60, DeliveryState::Delivered).await;
    let received = sink.received();
    let distinct: BTreeSet<_> = ids(&received).into_iter().collect();
    assert_eq!(distinct.len(), 60, "none is missing, and duplicates have the same id");
    received.iter().for_each(|request| verify(&secret, request));
}
