//! Starts, idempotency, get and list.

use std::collections::BTreeSet;

use planaria_proto::types::v1::{Payload, Phase};
use planaria_proto::workflow::v1::list_workflows_request::Filter;
use planaria_proto::workflow::v1::*;
use serde_json::{Value, json};
use tonic::Code;

use crate::worker::Worker;
use crate::world::{World, json as document_of, reference, refused, start};

const ECHO: &str = "- echo: { call: echo }";

fn keyed(name: &str, input: Value, key: &str) -> WorkflowStart {
    WorkflowStart { idempotency_key: key.to_owned(), ..start(name, input) }
}

#[tokio::test]
async fn a_run_answers_the_output_and_a_start_answers_at_once() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { answer: '${ .a + 1 }' } }").await;
    let ran = world.run("set", json!({"a": 41})).await;
    assert_eq!(ran.phase(), Phase::Completed);
    assert_eq!(document_of(ran.output), json!({"answer": 42}));

    world.publish("echo", ECHO).await;
    let id = world.start_workflow("echo", json!({"a": 1})).await;
    let workflow = world.get(&id).await;
    assert_eq!(workflow.phase(), Phase::Running);
    assert_eq!(workflow.waiting_for, "a worker of echo in queue default; none is connected");
    assert_eq!(document_of(workflow.input), json!({"a": 1}));
    assert_eq!((&*workflow.tasks[0].name, &*workflow.tasks[0].state), ("echo", "queued"));

    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    let running = world.get(&id).await;
    assert_eq!((&*running.tasks[0].worker_id, &*running.tasks[0].state), ("w", "running"));
    worker.complete(&task, json!("done")).await;
    assert_eq!(world.output(&id).await, json!("done"));
    let workflow = world.get(&id).await;
    assert_eq!(workflow.tasks[0].phase(), Phase::Completed);
    assert_eq!(workflow.history_length, world.history(&id).await.len() as u64);
}

#[tokio::test]
async fn an_input_is_the_same_however_it_is_laid_out() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    let mut answers = Vec::new();
    for text in [r#"{"a":1,"b":[true,"x"]}"#, r#" { "b": [ true, "\u0078" ], "a": 1 } "#] {
        let input = Payload { content_type: String::new(), data: text.into() };
        let start = WorkflowStart { input: Some(input), ..keyed("set", json!({}), "order-1") };
        let request = StartWorkflowRequest { start: Some(start) };
        answers
            .push(world.workflows().start_workflow(request).await.expect("started").into_inner());
    }
    assert_eq!(answers[0].workflow_id, answers[1].workflow_id);
    assert_eq!((answers[0].existed, answers[1].existed), (false, true));
}

#[tokio::test]
async fn one_key_starts_one_workflow() {
    let world = World::new().await;
    world.publish("echo", ECHO).await;
    let starts = (0..50).map(|_| {
        let mut workflows = world.workflows();
        async move {
            let start = Some(keyed("echo", json!({"a": 1}), "order-1"));
            let response = workflows.start_workflow(StartWorkflowRequest { start }).await;
            response.expect("started").into_inner()
        }
    });
    let answers = futures_util::future::join_all(starts).await;
    let ids: BTreeSet<&str> = answers.iter().map(|answer| &*answer.workflow_id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.existed).count(), 1);
    let first = answers[0].workflow_id.clone();

    // The same key with another input is refused, now and after a restart.
    let mut world = world;
    for _ in 0..2 {
        let other = Some(keyed("echo", json!({"a": 2}), "order-1"));
        let status = world
            .workflows()
            .start_workflow(StartWorkflowRequest { start: other.clone() })
            .await
            .expect_err("another input");
        refused(&status, Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED");
        assert!(status.message().contains(&first), "{status:?}");
        let run = world.workflows().run_workflow(RunWorkflowRequest { start: other }).await;
        refused(&run.expect_err("same"), Code::AlreadyExists, "IDEMPOTENCY_KEY_REUSED");
        let again = StartWorkflowRequest { start: Some(keyed("echo", json!({"a": 1}), "order-1")) };
        let again = world.workflows().start_workflow(again).await.expect("the same");
        let again = again.into_inner();
        assert_eq!((&*again.workflow_id, again.existed), (&*first, true));
        assert_eq!(list(&world, Filter::default(), 10).await.len(), 1);
        world.restart_killed().await;
    }
}

#[tokio::test]
async fn a_repeated_run_waits_for_the_same_workflow() {
    let world = World::new().await;
    world.publish("echo", ECHO).await;
    let run = || {
        let mut workflows = world.workflows();
        let start = Some(keyed("echo", json!(1), "k"));
        async move { workflows.run_workflow(RunWorkflowRequest { start }).await.expect("ran") }
    };
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let (first, second, ()) = tokio::join!(run(), run(), async {
        let task = worker.next().await;
        worker.complete(&task, json!("only once")).await;
    });
    let (first, second, third) =
        (first.into_inner(), second.into_inner(), run().await.into_inner());
    assert_eq!(first, second);
    assert_eq!(first, third);
    assert_eq!(document_of(first.output), json!("only once"));
}

#[tokio::test]
async fn each_start_of_a_batch_has_its_own_outcome() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    let starts = vec![
        start("set", json!({})),
        start("no-such", json!({})),
        keyed("set", json!(1), "k"),
        keyed("set", json!(1), "k"),
        WorkflowStart { input: Some(Default::default()), ..start("set", json!({})) },
    ];
    let response = world.workflows().start_workflows(StartWorkflowsRequest { starts }).await;
    let outcomes = response.expect("answered").into_inner().outcomes;
    let reasons: Vec<&str> = outcomes.iter().map(|outcome| &*outcome.error_reason).collect();
    assert_eq!(reasons, ["", "DEFINITION_NOT_FOUND", "", "", "INPUT_INVALID"]);
    assert_eq!(outcomes[2].workflow_id, outcomes[3].workflow_id);
    // All of a batch start at the same time: either may be the first.
    assert_ne!(outcomes[2].existed, outcomes[3].existed);
    let starts = vec![keyed("set", json!(2), "k"), start("set", json!({}))];
    let response = world.workflows().start_workflows(StartWorkflowsRequest { starts }).await;
    let again = response.expect("answered").into_inner().outcomes;
    assert_eq!(again[0].error_reason, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(again[1].error_reason, "");
    assert_eq!(world.until(&outcomes[0].workflow_id, Phase::Completed).await.error, None);
}

async fn list(world: &World, filter: Filter, page_size: u32) -> Vec<Workflow> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let filter = Some(filter.clone());
        let request = ListWorkflowsRequest { filter, page_size, page_token };
        let page = world.workflows().list_workflows(request).await.expect("a page").into_inner();
        assert!(page.workflows.len() <= page_size as usize);
        found.extend(page.workflows);
        if page.next_page_token.is_empty() {
            return found;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let world = World::new().await;
    world.publish("echo", ECHO).await;
    world.publish("set", "- set: { set: { a: 1 } }").await;
    world.publish("failing", "- failing: { call: failing }").await;
    world.publish("waiting", "- wait: { wait: PT1H }").await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(world.run("set", json!({})).await.workflow_id);
    }
    let echo = world.start_workflow("echo", json!({})).await;
    let failing = world.start_workflow("failing", json!({})).await;
    let waiting = world.start_workflow("waiting", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["failing"]).await;
    let task = worker.next().await;
    worker.fail(&task, true).await;

    let all = list(&world, Filter::default(), 3).await;
    let mut newest_first: Vec<&String> = ids.iter().chain([&echo, &failing, &waiting]).collect();
    newest_first.reverse();
    assert_eq!(all.iter().map(|workflow| &workflow.id).collect::<Vec<_>>(), newest_first);

    let only = async |filter: Filter| -> Vec<String> {
        list(&world, filter, 100).await.into_iter().map(|workflow| workflow.id).collect()
    };
    let phases = |phase: Phase| Filter { phases: vec![phase.into()], ..Filter::default() };
    assert_eq!(only(phases(Phase::Completed)).await.len(), 7);
    assert_eq!(only(phases(Phase::Running)).await, [&*echo]);
    assert_eq!(only(phases(Phase::Waiting)).await, [&*waiting, &*failing]);
    assert_eq!(only(Filter { retrying: true, ..Filter::default() }).await, [&*failing]);
    let waits = Filter { waiting_for_worker: true, ..Filter::default() };
    assert_eq!(only(waits).await, [&*echo]);
    let definition = Some(reference("waiting"));
    assert_eq!(only(Filter { definition, ..Filter::default() }).await, [&*waiting]);
    let at = world.get(&ids[3]).await.started_at;
    let before = Filter { started_before: at, ..Filter::default() };
    let after = Filter { started_after: at, ..Filter::default() };
    let (before, after) = (only(before).await, only(after).await);
    assert!(!before.contains(&ids[3]) && after.contains(&ids[3]));
    assert_eq!(before.len() + after.len(), 10);
}
