//! How deep documents may be nested: one limit, told where they come in, and never a silent null.

use planaria_kernel::Json;
use planaria_proto::task::v1::Acceptance;
use planaria_proto::types::v1::{Payload, Phase};
use planaria_proto::workflow::v1::{SignalWorkflowRequest, StartWorkflowRequest};
use serde_json::{Value, json};
use tonic::Code::InvalidArgument;

use crate::worker::{Worker, output_of};
use crate::world::{World, event, refused, start};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[tokio::test]
async fn what_comes_in_too_deep_is_refused_with_its_place() {
    let world = World::new().await;
    world.publish("same", "- a: { call: echo }").await;
    let mut request = start("same", nested(Json::DEPTH_MAX));
    world.workflows().start_workflow(with(&request)).await.expect("deep, but not too deep");
    // Serde writes it without a limit.
    let data = nested(Json::DEPTH_MAX + 1).to_string().into();
    request.input = Some(Payload { data, ..Payload::default() });
    let status = world.workflows().start_workflow(with(&request)).await.expect_err("too deep");
    let violations = refused(&status, InvalidArgument, "INPUT_INVALID");
    let (field, told) = &violations[0];
    assert_eq!(field, "start.input");
    assert!(told.contains("127 levels at line 1 column 128: flatten it"), "{told}");

    let id = world.start_workflow("same", json!({})).await;
    let signal = |levels| SignalWorkflowRequest {
        workflow_id: id.clone(),
        event: Some(event("deep", "1", &nested(levels))),
    };
    let signalled = world.workflows().signal_workflow(signal(Json::EVENT_DEPTH_MAX)).await;
    let status = signalled.expect_err("the event goes around it");
    let violations = refused(&status, InvalidArgument, "EVENT_INVALID");
    assert_eq!(violations[0].0, "event.data");
}

fn with(request: &planaria_proto::workflow::v1::WorkflowStart) -> StartWorkflowRequest {
    StartWorkflowRequest { start: Some(request.clone()) }
}

#[tokio::test]
async fn deep_documents_go_through_whole_or_fault() {
    let world = World::new().await;
    let deep = nested(Json::DEPTH_MAX);
    world.publish("same", "- a: { call: echo }").await;
    world.publish("wrap", "- a: { set: { inner: '${ . }' } }").await;
    let id = world.start_workflow("same", deep.clone()).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    let report = vec![output_of(&task, &deep)];
    assert_eq!(worker.report(report).await, [Acceptance::Accepted]);
    assert_eq!(world.output(&id).await, deep);

    let id = world.start_workflow("wrap", deep).await;
    let faulted = world.until(&id, Phase::Faulted).await;
    let error = faulted.error.expect("an error");
    assert!(error.r#type.ends_with("/expression"), "{error:?}");
    assert!(error.detail.contains("deeper than 127 levels"), "{error:?}");
}
