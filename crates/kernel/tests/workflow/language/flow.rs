//! `then`, `switch` and nested lists.

use serde_json::{Value, json};

use super::start;
use crate::definition::{Flow, Task, Work, set, task};
use crate::toy::{append, equal, literal, path};

/// Appends its name to the list that flows.
fn step(name: &str) -> Task {
    set(name, append(path("."), literal(json!(name))))
}

fn run(tasks: Vec<Task>) -> Value {
    start(tasks, &json!([])).output()
}

fn list(name: &str, tasks: Vec<Task>) -> Task {
    task(name, Work::Do(tasks))
}

#[test]
fn tasks_run_in_document_order() {
    assert_eq!(run(vec![step("a"), step("b"), step("c")]), json!(["a", "b", "c"]));
}

#[test]
fn goto_jumps_forth_and_back_in_its_list() {
    let tasks = vec![step("a").goto("c"), step("b").then(Flow::End), step("c").goto("b")];
    assert_eq!(run(tasks), json!(["a", "c", "b"]));
}

#[test]
fn exit_leaves_the_list_that_holds_the_task_only() {
    let inner = list("inner", vec![step("a").then(Flow::Exit), step("never")]);
    assert_eq!(run(vec![inner, step("b")]), json!(["a", "b"]));
}

#[test]
fn exit_in_the_outermost_list_completes_the_workflow() {
    assert_eq!(run(vec![step("a").then(Flow::Exit), step("never")]), json!(["a"]));
}

#[test]
fn end_completes_the_workflow_from_any_depth() {
    let deep = list("deep", vec![step("a").then(Flow::End), step("never")]);
    let outer = list("outer", vec![deep, step("neither")]);
    assert_eq!(run(vec![outer, step("nor")]), json!(["a"]));
}

#[test]
fn a_nested_list_may_direct_the_flow_too() {
    let inner = list("inner", vec![step("a")]).goto("c");
    assert_eq!(run(vec![inner, step("never"), step("c")]), json!(["a", "c"]));
}

fn order(kind: &str) -> Value {
    let is = |kind: &str| Some(equal(path(".kind"), literal(json!(kind))));
    let to = |name: &str| Flow::To(name.to_owned());
    let cases = vec![
        (is("electronic"), to("digital")),
        (is("physical"), to("parcel")),
        (is("both"), to("parcel")),
        (None, to("unknown")),
    ];
    let name = |name: &'static str| set(name, literal(json!(name))).then(Flow::Exit);
    let tasks =
        vec![task("which", Work::Switch(cases)), name("digital"), name("parcel"), name("unknown")];
    start(tasks, &json!({ "kind": kind })).output()
}

#[test]
fn a_switch_takes_the_first_case_that_holds_or_the_default() {
    assert_eq!(order("electronic"), json!("digital"));
    assert_eq!(order("physical"), json!("parcel"));
    assert_eq!(order("both"), json!("parcel"));
    assert_eq!(order("x"), json!("unknown"));
}

#[test]
fn a_switch_without_a_match_goes_where_its_own_then_says() {
    let switch = task("which", Work::Switch(vec![(Some(literal(json!(false))), Flow::End)]));
    let tasks = vec![switch.goto("b"), step("never"), step("b")];
    assert_eq!(run(tasks), json!(["b"]));
}

#[test]
fn a_loop_of_gotos_ends_at_the_limit_of_the_history() {
    use planaria_kernel::Json;
    use planaria_kernel::workflow::{ErrorObject, Input};

    use crate::definition::Definition;
    use crate::shell::Shell;

    let mut shell = Shell::new(&Definition::new(vec![set("a", path(".")).goto("a")]));
    shell.limits.history_events_max = 500;
    shell.limits.local_steps_max = 100;
    shell.apply(Input::Start { input: Json::NULL }).unwrap();
    assert!(shell.wants_continue);
    shell.drain();
    assert_eq!(shell.error().kind, ErrorObject::LIMIT);
    assert_eq!(shell.history.len(), 501);
}
