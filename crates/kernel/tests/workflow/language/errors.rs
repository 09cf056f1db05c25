//! `raise`, and `try` with `catch`.

use planaria_kernel::definition::ErrorFilter;
use planaria_kernel::workflow::ErrorObject;
use serde_json::{Value, json};

use super::start;
use crate::definition::{Catching, Flow, Task, Work, call, set, task};
use crate::toy::{Expression, equal, literal, object, path};

fn raise(name: &str, kind: &str, status: u16) -> Task {
    task(name, Work::Raise(literal(json!({ "type": kind, "status": status, "title": "T" }))))
}

fn trying(body: Vec<Task>, catch: Catching) -> Task {
    task("try", Work::Try { body, catch: Box::new(catch) })
}

/// Catches what the filter lets through and yields the error.
fn handling(errors: ErrorFilter) -> Catching {
    Catching { errors, body: Some(vec![set("handle", path("$error"))]), ..Catching::default() }
}

fn caught(body: Vec<Task>, catch: Catching) -> Value {
    start(vec![trying(body, catch)], &json!({ "n": 1 })).output()
}

#[test]
fn an_uncaught_error_faults_the_workflow_and_says_where() {
    let inner = task("list", Work::Do(vec![raise("bad", "urn:bad", 418)]));
    let error = start(vec![inner], &json!({})).error();
    assert_eq!((error.kind.as_str(), error.status), ("urn:bad", 418));
    assert_eq!(error.instance.as_deref(), Some("/do/0/list/do/0/bad"));
}

#[test]
fn an_error_may_name_its_instance_itself() {
    let own = json!({ "type": "urn:bad", "status": "500", "instance": "/mine" });
    let error = start(vec![task("bad", Work::Raise(literal(own)))], &json!({})).error();
    assert_eq!((error.status, error.instance.as_deref()), (500, Some("/mine")));
}

#[test]
fn what_is_no_error_object_is_an_expression_error() {
    let error = start(vec![task("bad", Work::Raise(literal(json!(7))))], &json!({})).error();
    assert!(error.kind.ends_with("/errors/expression"));
}

#[test]
fn the_handler_sees_the_error_and_the_input_of_the_try() {
    let seen = object(vec![("error", path("$error")), ("input", path("."))]);
    let catch = Catching { body: Some(vec![set("h", seen)]), ..Catching::default() };
    let body = vec![set("lost", literal(json!("x"))), raise("bad", "urn:bad", 400)];
    let expected = json!({
        "error": {
            "type": "urn:bad", "status": 400, "title": "T",
            "instance": "/do/0/try/try/1/bad",
        },
        "input": { "n": 1 },
    });
    assert_eq!(caught(body, catch), expected);
}

#[test]
fn without_a_handler_the_input_of_the_try_flows_on() {
    assert_eq!(caught(vec![raise("bad", "urn:bad", 400)], Catching::default()), json!({ "n": 1 }));
}

#[test]
fn a_body_without_errors_leaves_the_handler_out() {
    let output = caught(vec![set("fine", literal(json!(2)))], handling(ErrorFilter::default()));
    assert_eq!(output, json!(2));
}

#[test]
fn filters_ask_for_each_member() {
    let text = |text: &str| Some(text.to_owned());
    let none = ErrorFilter::default;
    let matching = [
        ErrorFilter { kind: text("urn:bad"), ..none() },
        ErrorFilter { status: Some(400), ..none() },
        ErrorFilter { title: text("T"), ..none() },
        ErrorFilter { instance: text("/do/0/try/try/0/bad"), ..none() },
        ErrorFilter { kind: text("urn:bad"), status: Some(400), ..none() },
    ];
    for filter in matching {
        let output = caught(vec![raise("bad", "urn:bad", 400)], handling(filter.clone()));
        assert_eq!(output["status"], json!(400), "{filter:?}");
    }
    let different = [
        ErrorFilter { kind: text("urn:other"), ..none() },
        ErrorFilter { status: Some(401), ..none() },
        ErrorFilter { title: text("U"), ..none() },
        ErrorFilter { detail: text("D"), ..none() },
        ErrorFilter { instance: text("/do/0"), ..none() },
        ErrorFilter { kind: text("urn:bad"), status: Some(401), ..none() },
    ];
    for filter in different {
        let tasks = vec![trying(vec![raise("bad", "urn:bad", 400)], handling(filter))];
        assert_eq!(start(tasks, &json!({})).error().kind, "urn:bad");
    }
}

fn outcome(when: Option<Expression>, except_when: Option<Expression>) -> bool {
    let catch = Catching { when, except_when, ..Catching::default() };
    let tasks = vec![trying(vec![raise("bad", "urn:bad", 400)], catch)];
    matches!(
        start(tasks, &json!({})).workflow.phase,
        planaria_kernel::workflow::Phase::Completed { .. }
    )
}

#[test]
fn when_and_except_when_decide_with_the_error() {
    let is = |status: u16| Some(equal(path("$error.status"), literal(json!(status))));
    assert!(outcome(is(400), None));
    assert!(!outcome(is(401), None));
    assert!(!outcome(None, is(400)));
    assert!(outcome(None, is(401)));
    assert!(!outcome(is(400), is(400)));
}

#[test]
fn what_the_inner_try_does_not_catch_the_outer_does() {
    let other = ErrorFilter { status: Some(999), ..ErrorFilter::default() };
    let inner = trying(vec![raise("bad", "urn:bad", 400)], handling(other));
    let output = caught(vec![inner], handling(ErrorFilter::default()));
    assert_eq!(output["instance"], json!("/do/0/try/try/0/try/try/0/bad"));
}

#[test]
fn an_error_in_a_handler_goes_outward() {
    let inner =
        Catching { body: Some(vec![raise("worse", "urn:worse", 500)]), ..Catching::default() };
    let inner = trying(vec![raise("bad", "urn:bad", 400)], inner);
    let output = caught(vec![inner.clone()], handling(ErrorFilter::default()));
    assert_eq!(output["type"], json!("urn:worse"));
    assert_eq!(start(vec![inner], &json!({})).error().kind, "urn:worse");
}

#[test]
fn an_error_of_the_catch_itself_is_the_trys_own_and_goes_outward() {
    let broken = Catching { when: Some(Expression::Fail("no")), ..Catching::default() };
    let inner = trying(vec![raise("bad", "urn:bad", 400)], broken);
    let error = start(vec![inner.clone()], &json!({})).error();
    assert!(error.kind.ends_with("/errors/expression"));
    assert_eq!(error.instance.as_deref(), Some("/do/0/try"));
    let output = caught(vec![inner], handling(ErrorFilter::default()));
    assert_eq!(output["instance"], json!("/do/0/try/try/0/try"));
}

#[test]
fn catch_then_directs_the_flow_only_when_an_error_was_caught() {
    let run = |first: Task, body: Option<Vec<Task>>| {
        let then = Some(Flow::To("rescue".to_owned()));
        let catch = Catching { then, body, ..Catching::default() };
        let tasks = vec![
            trying(vec![first], catch),
            set("normal", literal(json!("normal"))).then(Flow::End),
            set("rescue", literal(json!("rescue"))),
        ];
        start(tasks, &json!({})).output()
    };
    let handler = || Some(vec![set("h", path("."))]);
    assert_eq!(run(set("fine", path(".")), None), json!("normal"));
    assert_eq!(run(raise("bad", "urn:bad", 400), None), json!("rescue"));
    assert_eq!(run(raise("bad", "urn:bad", 400), handler()), json!("rescue"));
}

#[test]
fn end_in_a_handler_ends_the_workflow() {
    let handler = vec![set("h", literal(json!("h"))).then(Flow::End)];
    let catch = Catching { body: Some(handler), ..Catching::default() };
    let tasks =
        vec![trying(vec![raise("bad", "urn:bad", 400)], catch), set("never", literal(json!(0)))];
    assert_eq!(start(tasks, &json!({})).output(), json!("h"));
}

#[test]
fn a_function_that_the_system_gave_up_on_can_be_caught() {
    let mut shell =
        start(vec![trying(vec![call("pay")], handling(ErrorFilter::default()))], &json!({}));
    let quarantined =
        ErrorObject { kind: ErrorObject::QUARANTINED.to_owned(), ..ErrorObject::runtime("poison") };
    shell.gives_up("pay", quarantined);
    let error = shell.output();
    assert_eq!(error["type"], json!(ErrorObject::QUARANTINED));
    assert_eq!(error["instance"], json!("/do/0/try/try/0/pay"));
}
