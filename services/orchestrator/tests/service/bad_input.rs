//! Every refusal that the contract names: its code, its stable reason, the field, and that nothing
//! changed.

use planaria_orchestrator::Config;
use planaria_proto::types::v1::{CloudEvent, DefinitionReference, Payload, Phase};
use planaria_proto::workflow::v1::*;
use prost_types::Timestamp;
use serde_json::{Value, json};
use tonic::Code::{AlreadyExists, InvalidArgument, NotFound};
use tonic::Status;

use crate::worker::Worker;
use crate::world::{
    World, document, event, json as document_of, payload, reference, refused, start,
};

async fn put(world: &World, source: impl Into<Vec<u8>>) -> Result<PutDefinitionResponse, Status> {
    let request = PutDefinitionRequest { source: source.into().into() };
    Ok(world.definitions().put_definition(request).await?.into_inner())
}

async fn list_definitions(world: &World, page_size: u32) -> Vec<DefinitionReference> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDefinitionsRequest { page_size, page_token, ..Default::default() };
        let page = world.definitions().list_definitions(request).await.expect("a page");
        let page = page.into_inner();
        found.extend(page.definitions.into_iter().filter_map(|definition| definition.reference));
        if page.next_page_token.is_empty() {
            return found;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn documents_that_are_no_definitions_are_refused_with_the_place() {
    let world = World::with(Config { document_bytes_max: 64 * 1024, ..Config::default() }).await;
    let good = document("d", "- a: { set: { a: 1 } }");
    let cases: Vec<(String, &str, &str)> = vec![
        ("document: {\n  dsl: [".to_owned(), "SYNTAX_INVALID", "line 2"),
        ("{\"document\": {\"dsl\" \"1\"}}".to_owned(), "SYNTAX_INVALID", "line 1"),
        (String::new(), "", ""),
        ("[]".to_owned(), "TYPE_MISMATCH", "line 1"),
        (good.replace("1.0.3", "9.9.9"), "VERSION_UNSUPPORTED", "line 1, column 18"),
        (document("d", "- a: { set: { a: 1 }, then: nowhere }"), "REFERENCE_UNKNOWN", "line 3"),
        (document("d", "- a: { set: { a: '${ .[ }' } }"), "EXPRESSION_INVALID", "line 3"),
        (document("d", "- a: { set: { a: '${ env }' } }"), "EXPRESSION_FORBIDDEN", "line 3"),
        (document("d", "- a: { run: { shell: { command: ls } } }"), "NOT_SUPPORTED_YET", "line 3"),
        (document("d", "- a: { set: { a: 1 }, a: 1, a: 2 }"), "KEY_", "line 3"),
    ];
    for (source, reason, place) in cases {
        let status = put(&world, source.clone()).await.expect_err(&source);
        let violations = refused(&status, InvalidArgument, "DEFINITION_INVALID");
        let (field, told) = violations.first().expect("a violation");
        assert!(field.starts_with("source"), "{field}");
        assert!(told.contains(reason) && told.contains(place), "{source}: {told}");
        // Validation says the same, and is no failure itself.
        let request = ValidateDefinitionRequest { source: source.into() };
        let response = world.definitions().validate_definition(request).await.expect("checked");
        let problems = response.into_inner().problems;
        assert_eq!(problems.len(), violations.len());
        assert!(problems[0].reason.contains(reason), "{problems:?}");
    }
    let unsupported = put(&world, document("d", "- a: { run: { shell: { command: ls } } }")).await;
    let status = unsupported.expect_err("not yet");
    let violations = refused(&status, InvalidArgument, "DEFINITION_INVALID");
    assert!(violations[0].0.contains("/do/0/a/run/shell"), "{violations:?}");
    assert!(violations[0].1.contains("not supported yet"), "{violations:?}");
    let not_text = put(&world, [good.as_bytes(), b"# \xff\xfe"].concat()).await.expect_err("bytes");
    refused(&not_text, InvalidArgument, "DEFINITION_INVALID");
    let large = format!("{good}#{}", "x".repeat(64 * 1024));
    let status = put(&world, large.clone()).await.expect_err("too large");
    refused(&status, InvalidArgument, "DOCUMENT_TOO_LARGE");
    let request = ValidateDefinitionRequest { source: large.into() };
    let status = world.definitions().validate_definition(request).await.expect_err("too large");
    refused(&status, InvalidArgument, "DOCUMENT_TOO_LARGE");
    assert!(list_definitions(&world, 100).await.is_empty(), "nothing was published");
}

#[tokio::test]
async fn a_version_is_published_once_and_unknown_functions_are_told() {
    let world = World::new().await;
    let source = document("d", "- a: { call: charge, metadata: { planaria: { queue: pay } } }");
    let first = put(&world, source.clone()).await.expect("published");
    assert!(first.created);
    let warning = &first.warnings[0];
    assert_eq!((&*warning.reason, &*warning.pointer), ("FUNCTION_UNKNOWN", "/do/0/a"));
    assert_eq!((warning.line, warning.column), (3, 6));
    assert!(warning.message.contains("charge") && warning.message.contains("queue pay"));
    let again = put(&world, source.clone()).await.expect("the same");
    assert_eq!((again.created, &again.definition), (false, &first.definition));
    let other = put(&world, format!("{source}\n# other")).await.expect_err("another text");
    refused(&other, AlreadyExists, "DEFINITION_EXISTS");
    let get = GetDefinitionRequest { reference: Some(reference("d")) };
    let shown = world.definitions().get_definition(get).await.expect("shown").into_inner();
    assert_eq!(shown.definition.expect("shown").source, source);

    let id = world.start_workflow("d", json!({})).await;
    assert!(world.get(&id).await.waiting_for.contains("a worker of charge in queue pay"));
    let _worker = Worker::new(&world, "w", &["charge"]).await;
    let known = put(&world, source).await.expect("the same");
    assert!(known.warnings.is_empty(), "{:?}", known.warnings);
}

#[tokio::test]
async fn definitions_are_listed_page_by_page() {
    let world = World::new().await;
    for name in ["a", "b"] {
        for version in ["1.2.0", "1.10.0", "1.9.0"] {
            let source = document(name, "- a: { set: { a: 1 } }");
            let source = source.replace("version: 1.0.0", &format!("version: {version}"));
            put(&world, source).await.expect("published");
        }
    }
    for page_size in [1, 2, 5, 100] {
        let listed = list_definitions(&world, page_size).await;
        let listed: Vec<(&str, &str)> =
            listed.iter().map(|found| (&*found.name, &*found.version)).collect();
        let versions = ["1.10.0", "1.9.0", "1.2.0"];
        let expected: Vec<(&str, &str)> = ["a", "b"]
            .into_iter()
            .flat_map(|name| versions.map(|version| (name, version)))
            .collect();
        assert_eq!(listed, expected, "pages of {page_size}");
    }
    let highest = DefinitionReference { version: String::new(), ..reference("a") };
    let get = GetDefinitionRequest { reference: Some(highest) };
    let shown = world.definitions().get_definition(get).await.expect("shown").into_inner();
    let shown = shown.definition.and_then(|definition| definition.reference);
    assert_eq!(shown.expect("shown").version, "1.10.0");
    for page_token in ["nonsense", "a\nb", "a\nb\nc\nd", "\0"] {
        let page_token = page_token.to_owned();
        let request = ListDefinitionsRequest { page_token, ..Default::default() };
        let status = world.definitions().list_definitions(request).await.expect_err("nonsense");
        let violations = refused(&status, InvalidArgument, "PAGE_TOKEN_INVALID");
        assert_eq!(violations[0].0, "page_token");
    }
}

/// Tries a start both ways.
async fn refuse_start(
    world: &World,
    start: WorkflowStart,
    code: tonic::Code,
    reason: &str,
) -> Vec<(String, String)> {
    let request = StartWorkflowRequest { start: Some(start.clone()) };
    let status = world.workflows().start_workflow(request).await.expect_err(reason);
    let violations = refused(&status, code, reason);
    let request = RunWorkflowRequest { start: Some(start) };
    let status = world.workflows().run_workflow(request).await.expect_err(reason);
    assert_eq!(refused(&status, code, reason), violations);
    violations
}

#[tokio::test]
async fn starts_that_cannot_be_are_refused() {
    let world = World::new().await;
    world.publish("set", "- set: { set: { got: '${ . }' } }").await;
    let unknown = [
        DefinitionReference { version: "1.0.1".to_owned(), ..reference("set") },
        DefinitionReference { namespace: "other".to_owned(), ..reference("set") },
        DefinitionReference { namespace: String::new(), ..reference("set") },
        reference("no-such"),
        reference("nul\0byte"),
    ];
    for definition in unknown {
        let get = GetDefinitionRequest { reference: Some(definition.clone()) };
        let status = world.definitions().get_definition(get).await.expect_err("unknown");
        refused(&status, NotFound, "DEFINITION_NOT_FOUND");
        let start = WorkflowStart { definition: Some(definition), ..start("set", json!({})) };
        refuse_start(&world, start, NotFound, "DEFINITION_NOT_FOUND").await;
    }
    let unnamed = WorkflowStart { definition: None, ..start("set", json!({})) };
    let violations = refuse_start(&world, unnamed, InvalidArgument, "REQUEST_INVALID").await;
    assert_eq!(violations[0].0, "start.definition");
    for key in ["x".repeat(129), "x".repeat(1 << 20), "nul\0".to_owned()] {
        let start = WorkflowStart { idempotency_key: key, ..start("set", json!({})) };
        let violations = refuse_start(&world, start, InvalidArgument, "REQUEST_INVALID").await;
        assert_eq!(violations[0].0, "start.idempotency_key");
    }
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let inputs: Vec<Vec<u8>> = vec![
        b"{".to_vec(),
        b"".to_vec(),
        b"{} x".to_vec(),
        b"\"\xff\"".to_vec(),
        br#""\ud800""#.to_vec(),
        br#"{"\udfff": 1}"#.to_vec(),
        b"\"\0\"".to_vec(),
        b"1e999".to_vec(),
        nested(1_000).into_bytes(),
        nested(100_000).into_bytes(),
    ];
    for data in inputs {
        let input = Some(Payload { content_type: String::new(), data: data.into() });
        let start = WorkflowStart { input, ..start("set", json!({})) };
        let violations = refuse_start(&world, start, InvalidArgument, "INPUT_INVALID").await;
        assert_eq!(violations[0].0, "start.input");
        assert!(violations[0].1.contains("line 1 column"), "{violations:?}");
    }
    let xml = Payload { content_type: "application/xml".to_owned(), data: "<a/>".into() };
    let xml = WorkflowStart { input: Some(xml), ..start("set", json!({})) };
    refuse_start(&world, xml, InvalidArgument, "INPUT_INVALID").await;
    let large = start("set", json!("x".repeat(256 * 1024)));
    refuse_start(&world, large, InvalidArgument, "PAYLOAD_TOO_LARGE").await;
    let many = StartWorkflowsRequest { starts: vec![start("set", json!({})); 1_001] };
    let status = world.workflows().start_workflows(many).await.expect_err("too many");
    refused(&status, InvalidArgument, "REQUEST_INVALID");
    let all = world.workflows().list_workflows(ListWorkflowsRequest::default()).await;
    assert!(all.expect("a list").into_inner().workflows.is_empty(), "nothing was started");

    // What is only unusual goes through unharmed.
    let deep: Value = serde_json::from_str(&nested(64)).expect("JSON");
    for input in [json!("nul \u{0} and \u{1f600}"), deep, json!({"": {"a/b~c": [null]}})] {
        let ran = world.run("set", input.clone()).await;
        assert_eq!(document_of(ran.output), json!({"got": input}));
    }
}

#[tokio::test]
#[allow(clippy::needless_update, reason = "some requests have nothing but the id")]
async fn what_names_no_workflow_is_not_found() {
    let world = World::new().await;
    for id in ["", "nonsense", "0193a5a0-0000-7000-8000-000000000000", "nul\0", "../../etc"] {
        let workflow_id = id.to_owned();
        let mut client = world.workflows();
        let mut statuses = Vec::new();
        macro_rules! ask {
            ($method:ident, $request:ident { $($field:ident: $value:expr),* }) => {
                let request = $request {
                    workflow_id: workflow_id.clone(), $($field: $value,)* ..Default::default()
                };
                statuses.push(client.$method(request).await.map(drop).expect_err(id));
            };
        }
        ask!(get_workflow, GetWorkflowRequest {});
        ask!(get_history, GetHistoryRequest {});
        ask!(watch_workflow, WatchWorkflowRequest {});
        ask!(suspend_workflow, SuspendWorkflowRequest {});
        ask!(resume_workflow, ResumeWorkflowRequest {});
        ask!(cancel_workflow, CancelWorkflowRequest {});
        ask!(retry_workflow, RetryWorkflowRequest {});
        ask!(rerun_workflow, RerunWorkflowRequest { task: "/do/0/a".to_owned() });
        ask!(skip_task, SkipTaskRequest { task: "/do/0/a".to_owned() });
        ask!(signal_workflow, SignalWorkflowRequest { event: Some(event("t", "", &json!(1))) });
        for status in statuses {
            refused(&status, NotFound, "WORKFLOW_NOT_FOUND");
        }
    }
    for page_token in ["nonsense", "\0"] {
        let page_token = page_token.to_owned();
        let request = ListWorkflowsRequest { page_token, ..Default::default() };
        let status = world.workflows().list_workflows(request).await.expect_err("nonsense");
        let violations = refused(&status, InvalidArgument, "PAGE_TOKEN_INVALID");
        assert_eq!(violations[0].0, "page_token");
    }
    // Times beyond all range are times, not errors.
    for seconds in [i64::MAX, i64::MIN] {
        let at = Some(Timestamp { seconds, nanos: i32::MAX });
        let filter = list_workflows_request::Filter {
            started_after: at,
            started_before: at,
            ..Default::default()
        };
        let request = ListWorkflowsRequest { filter: Some(filter), ..Default::default() };
        world.workflows().list_workflows(request).await.expect("an empty list");
    }
}

#[tokio::test]
async fn events_that_are_none_are_refused() {
    let world = World::new().await;
    world.publish("listen", "- a: { listen: { to: { one: { with: { type: go } } } } }").await;
    let id = world.start_workflow("listen", json!({})).await;
    world.until(&id, Phase::Waiting).await;
    let length = world.history(&id).await.len();
    let large = "x".repeat(300 * 1024);
    let cases = [
        ("EVENT_INVALID", CloudEvent::default()),
        ("EVENT_INVALID", CloudEvent { data: "{".into(), ..event("go", "1", &json!(1)) }),
        (
            "EVENT_INVALID",
            CloudEvent { data: br#""\ud800""#.to_vec().into(), ..event("go", "1", &json!(1)) },
        ),
        ("PAYLOAD_TOO_LARGE", event("go", "1", &json!(large))),
        (
            "PAYLOAD_TOO_LARGE",
            CloudEvent {
                extensions: [("a".to_owned(), large.clone())].into(),
                ..event("go", "1", &json!(1))
            },
        ),
    ];
    for (reason, event) in cases {
        let status = world.signal(&id, event.clone()).await.expect_err(reason);
        refused(&status, InvalidArgument, reason);
        let request = PublishEventRequest { event: Some(event) };
        let status = world.workflows().publish_event(request).await.expect_err(reason);
        refused(&status, InvalidArgument, reason);
    }
    assert_eq!(world.history(&id).await.len(), length, "nothing changed");
    let at = Some(Timestamp { seconds: i64::MAX, nanos: i32::MAX });
    let far = CloudEvent { time: at, ..event("go", "1", &json!(1)) };
    assert!(world.signal(&id, far).await.expect("an event like others"));
    assert_eq!(world.output(&id).await, json!([1]));
}

#[tokio::test]
async fn outputs_and_inputs_given_by_hand_are_checked() {
    let world = World::new().await;
    world.publish("one", "- a: { call: echo }").await;
    let id = world.start_workflow("one", json!({})).await;
    let length = world.history(&id).await.len();
    let bad = Some(Payload { content_type: String::new(), data: "{".into() });
    let large = Some(payload(&json!("x".repeat(300 * 1024))));
    for (payload, reason) in [(bad, "INPUT_INVALID"), (large, "PAYLOAD_TOO_LARGE")] {
        let request = SkipTaskRequest {
            workflow_id: id.clone(),
            task: "/do/0/a".to_owned(),
            output: payload.clone(),
            reason: String::new(),
        };
        let status = world.workflows().skip_task(request).await.expect_err(reason);
        refused(&status, InvalidArgument, reason);
        let (workflow_id, task) = (id.clone(), "/do/0/a".to_owned());
        let request = RerunWorkflowRequest { workflow_id, task, input: payload };
        let status = world.workflows().rerun_workflow(request).await.expect_err(reason);
        refused(&status, InvalidArgument, reason);
    }
    assert_eq!(world.history(&id).await.len(), length, "nothing changed");
    // A reason of any length is kept, cut.
    let reason = "ä".repeat(100_000);
    let request = CancelWorkflowRequest { workflow_id: id.clone(), reason };
    world.workflows().cancel_workflow(request).await.expect("cancelled");
    let kept = format!("{:?}", world.history(&id).await.last().expect("an event"));
    assert!(kept.len() < 20_000, "{}", kept.len());
}
