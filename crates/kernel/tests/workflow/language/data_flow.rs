//! Input, output, export and context.

use serde_json::json;

use super::{start, start_root};
use crate::definition::{Task, Work, call, set, task};
use crate::toy::{Expression, Schema, equal, literal, object, path, sum};

#[test]
fn outputs_flow_from_task_to_task_and_out() {
    let first = set("first", object(vec![("n", sum(path(".n"), literal(json!(1))))]));
    let second = set("second", object(vec![("n", sum(path(".n"), literal(json!(10))))]));
    assert_eq!(start(vec![first, second], &json!({ "n": 1 })).output(), json!({ "n": 12 }));
}

#[test]
fn a_set_replaces_the_data() {
    let shell = start(vec![set("a", literal(json!({ "b": 2 })))], &json!({ "a": 1 }));
    assert_eq!(shell.output(), json!({ "b": 2 }));
}

#[test]
fn input_from_is_what_the_task_sees_and_the_raw_input_stays_visible() {
    let seen = object(vec![
        ("dot", path(".")),
        ("input", path("$input")),
        ("raw", path("$task.input")),
        ("workflow", path("$workflow.input.inner")),
    ]);
    let shell = start(vec![set("a", seen).input_from(path(".inner"))], &json!({ "inner": 5 }));
    let expected = json!({ "dot": 5, "input": 5, "raw": { "inner": 5 }, "workflow": 5 });
    assert_eq!(shell.output(), expected);
}

#[test]
fn output_as_shapes_what_flows_on_and_sees_both() {
    let shaped = object(vec![("from", path(".n")), ("raw", path("$task.output.n"))]);
    let a = set("a", literal(json!({ "n": 3 }))).output_as(shaped);
    assert_eq!(start(vec![a], &json!({})).output(), json!({ "from": 3, "raw": 3 }));
}

#[test]
fn export_replaces_the_context_and_sees_the_transformed_output() {
    let a = set("a", literal(json!({ "n": 3 })))
        .output_as(path(".n"))
        .export_as(object(vec![("seen", path(".")), ("output", path("$output"))]));
    let keep = object(vec![("before", path("$context")), ("two", literal(json!(2)))]);
    let b = set("b", path("$context")).export_as(keep);
    let shell = start(vec![a, b, set("c", path("$context"))], &json!({}));
    let first = json!({ "seen": 3, "output": 3 });
    assert_eq!(shell.output(), json!({ "before": first, "two": 2 }));
}

#[test]
fn the_context_begins_empty() {
    assert_eq!(start(vec![set("a", path("$context"))], &json!({ "x": 1 })).output(), json!({}));
}

#[test]
fn a_function_gets_its_arguments_or_its_input() {
    let with = object(vec![("amount", path(".total"))]);
    let charge = task("charge", Work::Call { arguments: Some(with) });
    let mut shell = start(vec![charge, call("ship")], &json!({ "total": 9 }));
    assert_eq!(shell.arguments("charge"), json!({ "amount": 9 }));
    shell.returns("charge", &json!({ "paid": true }));
    assert_eq!(shell.arguments("ship"), json!({ "paid": true }));
    shell.returns("ship", &json!("gone"));
    assert_eq!(shell.output(), json!("gone"));
}

#[test]
fn the_workflow_has_input_and_output_of_its_own() {
    let root = task("do", Work::Do(vec![set("a", sum(path("."), literal(json!(1))))]))
        .input_from(path(".n"))
        .output_as(object(vec![("result", path("."))]));
    assert_eq!(start_root(root, &json!({ "n": 1 })).output(), json!({ "result": 2 }));
}

#[test]
fn a_task_whose_condition_is_false_passes_its_raw_input_on() {
    let skipped = set("a", literal(json!("no")))
        .only_if(equal(path(".go"), literal(json!(true))))
        .input_from(path(".inner"));
    let shell = start(vec![skipped], &json!({ "go": false, "inner": 1 }));
    assert_eq!(shell.output(), json!({ "go": false, "inner": 1 }));
    assert!(shell.entered().is_empty());
}

#[test]
fn schemas_are_checked_at_each_place() {
    let plain = || set("a", literal(json!({ "n": 1 })));
    let at_input = Task { input_schema: Some(Schema::Has("x")), ..plain() };
    let at_output = Task { output_schema: Some(Schema::Has("x")), ..plain() };
    let at_export = Task { export_schema: Some(Schema::Has("x")), ..plain().export_as(path(".")) };
    for task in [at_input, at_output, at_export] {
        let error = start(vec![task], &json!({})).error();
        assert!(error.kind.ends_with("/errors/validation"), "{error:?}");
        assert_eq!((error.status, error.instance.as_deref()), (400, Some("/do/0/a")));
    }
}

#[test]
fn an_expression_that_fails_is_an_expression_error_of_its_task() {
    let places = [
        set("a", Expression::Fail("oh")),
        set("a", path(".")).only_if(Expression::Fail("oh")),
        set("a", path(".")).input_from(Expression::Fail("oh")),
        set("a", path(".")).output_as(Expression::Fail("oh")),
        set("a", path(".")).export_as(Expression::Fail("oh")),
    ];
    for place in places {
        let error = start(vec![place], &json!({})).error();
        assert!(error.kind.ends_with("/errors/expression"), "{error:?}");
        assert_eq!((error.status, error.detail.as_deref()), (400, Some("oh")));
        assert_eq!(error.instance.as_deref(), Some("/do/0/a"));
    }
}
