//! Signals and published events.

use planaria_proto::types::v1::{CloudEvent, Phase};
use planaria_proto::workflow::v1::PublishEventRequest;
use serde_json::json;
use tonic::Code;

use crate::world::{World, event, refused};

const LISTEN: &str = "- a: { listen: { to: { one: { with: { type: paid } } } } }
- b: { listen: { to: { one: { with: { type: shipped } } } } }";

async fn publish(world: &World, event: CloudEvent) -> u32 {
    let request = PublishEventRequest { event: Some(event) };
    world.workflows().publish_event(request).await.expect("published").into_inner().consumers
}

#[tokio::test]
async fn a_signal_is_taken_or_kept_and_counts_once() {
    let world = World::new().await;
    world.publish("listen", LISTEN).await;
    let id = world.start_workflow("listen", json!({})).await;
    world.until(&id, Phase::Waiting).await;
    let kept = event("shipped", "s1", &json!(2));
    assert!(!world.signal(&id, kept.clone()).await.expect("kept"), "nobody listens yet");
    let length = world.history(&id).await.len();
    assert!(!world.signal(&id, kept).await.expect("safe to retry"));
    assert_eq!(world.history(&id).await.len(), length, "the same event counts once");
    let paid = event("paid", "p1", &json!(1));
    assert!(world.signal(&id, paid.clone()).await.expect("taken"));
    assert_eq!(world.output(&id).await, json!([2]));
    let status = world.signal(&id, event("paid", "p2", &json!(1))).await.expect_err("over");
    refused(&status, Code::FailedPrecondition, "WORKFLOW_PHASE_INVALID");
}

#[tokio::test]
async fn a_kept_signal_survives_a_restart() {
    let mut world = World::new().await;
    world.publish("listen", LISTEN).await;
    let id = world.start_workflow("listen", json!({})).await;
    assert!(!world.signal(&id, event("shipped", "s1", &json!(2))).await.expect("kept"));
    world.restart_killed().await;
    assert!(!world.signal(&id, event("shipped", "s1", &json!(2))).await.expect("known"));
    assert!(world.signal(&id, event("paid", "p1", &json!(1))).await.expect("taken"));
    assert_eq!(world.output(&id).await, json!([2]));
}

#[tokio::test]
async fn a_published_event_reaches_everyone_who_listens_now() {
    let world = World::new().await;
    world.publish("listen", LISTEN).await;
    assert_eq!(publish(&world, event("paid", "e0", &json!(0))).await, 0);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.start_workflow("listen", json!({})).await);
    }
    assert_eq!(publish(&world, event("shipped", "e1", &json!(1))).await, 0);
    assert_eq!(publish(&world, event("paid", "e2", &json!(2))).await, 5);
    assert_eq!(publish(&world, event("paid", "e3", &json!(3))).await, 0);
    assert_eq!(publish(&world, event("shipped", "e4", &json!(4))).await, 5);
    for id in &ids {
        assert_eq!(world.output(id).await, json!([4]));
    }
}

#[tokio::test]
async fn what_one_workflow_emits_another_hears() {
    let world = World::new().await;
    world.publish("listen", LISTEN).await;
    let emit = "- a:
    emit:
      event:
        with: { type: paid, source: 'https://a.example/', data: '${ . }' }";
    world.publish("emit", emit).await;
    let id = world.start_workflow("listen", json!({})).await;
    world.until(&id, Phase::Waiting).await;
    let emitted = world.run("emit", json!(7)).await;
    assert_eq!(emitted.phase(), Phase::Completed);
    assert!(world.signal(&id, event("shipped", "s", &json!(8))).await.is_ok());
    assert_eq!(world.output(&id).await, json!([8]));
}
