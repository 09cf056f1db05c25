use planaria_proto::workflow::v1::{GetWorkflowRequest, StartWorkflowRequest};
use prost_reflect::prost::Message as _;

use super::*;

fn method(api: &Api, anchor: &str) -> Method {
    let mut methods = api.services.iter().flat_map(|service| &service.methods);
    methods.find(|method| method.anchor == anchor).unwrap().clone()
}

#[test]
fn what_is_shown_is_what_the_gateway_lets_in() {
    let gateway = include_str!("../../../../services/gateway/src/routes.rs");
    let listed: Vec<&str> = gateway
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(\"planaria.")?.split('"').next())
        .collect();
    assert_eq!(listed.len(), PUBLIC.len());
    for name in &listed {
        assert!(PUBLIC.contains(&&*format!("planaria.{name}")), "{name}");
    }
}

#[test]
fn everything_public_has_a_comment_and_leads_to_types_that_are_there() {
    let api = Api::read().unwrap();
    for service in &api.services {
        assert!(!service.about.is_empty(), "{}", service.full_name);
        for method in &service.methods {
            assert!(!method.about.is_empty(), "{}", method.path);
            for name in [&method.input, &method.output] {
                assert!(api.types.contains_key(name), "{name}");
            }
        }
    }
    for it in api.types.values() {
        let Type::Message(message) = it else { continue };
        for link in message.fields.iter().filter_map(|field| field.link.as_ref()) {
            assert!(api.types.contains_key(link), "{link}");
        }
    }
}

#[test]
fn fields_tell_what_they_hold_with_their_comments() {
    let api = Api::read().unwrap();
    let Type::Message(event) = &api.types["planaria.types.v1.CloudEvent"] else { panic!() };
    let extensions = event.fields.iter().find(|field| field.name == "extensions").unwrap();
    assert_eq!((&*extensions.kind, &extensions.link), ("map of string to string", &None));
    let Type::Message(filter) = &api.types["planaria.notification.v1.EventFilter"] else {
        panic!()
    };
    assert_eq!(filter.fields[0].kind, "list of string");
    assert_eq!(filter.fields[0].about, "The type starts with one of these; empty = all.");
    assert_eq!(filter.fields[2].json_name, "workflowId");
    let Type::Enum(phase) = &api.types["planaria.types.v1.Phase"] else { panic!() };
    let waiting = &phase.values[3];
    assert_eq!(waiting.name, "PHASE_WAITING");
    assert_eq!(waiting.about, "Nothing to execute: a timer, an event or a retry is awaited.");
}

#[test]
fn every_example_can_be_sent_as_it_is() {
    let api = Api::read().unwrap();
    for method in api.services.iter().flat_map(|service| &service.methods) {
        request(method, &example(method))
            .unwrap_or_else(|error| panic!("{}: {error}", method.path));
    }
    let start = method(&api, "WorkflowService.StartWorkflow");
    let sent = StartWorkflowRequest::decode(&*request(&start, &example(&start)).unwrap()).unwrap();
    assert_eq!(&*sent.start.unwrap().input.unwrap().data, b"{}");
}

#[test]
fn bodies_become_requests_and_problems_are_named() {
    let api = Api::read().unwrap();
    let get = method(&api, "WorkflowService.GetWorkflow");
    let bytes = request(&get, r#"{"workflowId": "w1"}"#).unwrap();
    assert_eq!(GetWorkflowRequest::decode(&*bytes).unwrap().workflow_id, "w1");
    assert!(request(&get, " ").unwrap().is_empty());
    for (body, told) in [("{", "EOF"), (r#"{"nothing": 1}"#, "nothing"), ("{} x", "trailing")] {
        let error = request(&get, body).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn only_what_looks_is_sent_without_a_question() {
    let api = Api::read().unwrap();
    for (anchor, changes) in [
        ("WorkflowService.GetHistory", false),
        ("MonitoringService.WatchOverview", false),
        ("NotificationService.Subscribe", false),
        ("DefinitionService.ValidateDefinition", false),
        ("WorkflowService.RunWorkflow", true),
        ("RetryService.RetryNow", true),
        ("WorkerService.Drain", true),
    ] {
        assert_eq!(method(&api, anchor).changes, changes, "{anchor}");
    }
}

#[test]
fn lines_for_the_shell_are_quoted() {
    let api = Api::read().unwrap();
    let get = method(&api, "WorkflowService.GetWorkflow");
    let line = grpcurl(&get, "http://127.0.0.1:8080", "{\"workflowId\": \"it's\"}", false);
    let path = "planaria.workflow.v1.WorkflowService/GetWorkflow";
    assert_eq!(
        line,
        format!(r#"grpcurl -plaintext -d '{{"workflowId":"it'\''s"}}' 127.0.0.1:8080 {path}"#)
    );
    let line = grpcurl(&get, "https://mesh.example", "{}", true);
    let key = r#"-H "authorization: Bearer $PLANARIA_API_KEY""#;
    assert_eq!(line, format!("grpcurl {key} -d '{{}}' mesh.example:443 {path}"));
}

#[test]
fn searches_find_methods_by_all_their_words() {
    let api = Api::read().unwrap();
    let found = api.find("webhook secret");
    let methods: Vec<&str> =
        found.iter().flat_map(|service| &service.methods).map(|it| &*it.name).collect();
    assert!(methods.contains(&"RotateWebhookSecret"), "{methods:?}");
    assert!(!methods.contains(&"StartWorkflow"));
    assert!(api.find("no such thing").is_empty());
    assert_eq!(api.find("").len(), PUBLIC.len());
    assert!(api.find_types("phase_waiting").iter().any(|it| it.full_name().ends_with(".Phase")));
}
