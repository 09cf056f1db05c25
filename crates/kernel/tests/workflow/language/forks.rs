//! `fork`.

use planaria_kernel::Json;
use planaria_kernel::workflow::{ErrorObject, Rejected};
use serde_json::json;

use super::start;
use crate::definition::{Catching, Flow, Task, Work, call, set, task};
use crate::toy::{append, equal, literal, path};

fn fork(compete: bool, branches: Vec<Task>) -> Task {
    task("fork", Work::Fork { branches, compete })
}

#[test]
fn branches_run_at_the_same_time_and_join_in_order() {
    let mut shell = start(vec![fork(false, vec![call("a"), call("b")])], &json!({ "n": 1 }));
    assert_eq!(shell.tasks.len(), 2);
    assert_eq!(shell.arguments("b"), json!({ "n": 1 }));
    shell.returns("b", &json!("second"));
    shell.returns("a", &json!("first"));
    assert_eq!(shell.output(), json!(["first", "second"]));
}

#[test]
fn outputs_that_are_too_deep_together_are_a_fault() {
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (levels, fits) in [(Json::DEPTH_MAX - 1, true), (Json::DEPTH_MAX, false)] {
        let mut shell = start(vec![fork(false, vec![call("a"), call("b")])], &json!({}));
        shell.returns("a", &nested(levels));
        shell.returns("b", &json!(1));
        if fits {
            assert_eq!(shell.output(), json!([nested(levels), 1]));
        } else {
            assert_eq!(shell.error().kind, ErrorObject::LIMIT);
        }
    }
}

#[test]
fn the_first_to_complete_wins_and_the_others_are_abandoned() {
    let nested = task("nested", Work::Do(vec![call("b").timeout_ms(5)])).timeout_ms(9);
    let mut shell = start(vec![fork(true, vec![call("a"), nested])], &json!({}));
    let loser = shell.frame("b");
    let execution = shell.execution(loser);
    shell.returns("a", &json!("won"));
    assert_eq!(shell.output(), json!("won"));
    let late =
        planaria_kernel::workflow::Input::Returned { frame: loser, output: Json::NULL, execution };
    assert_eq!(shell.apply(late), Err(Rejected::PhaseInvalid { phase: "completed" }));
}

#[test]
fn only_one_local_branch_wins() {
    let branch = |name: &'static str| set(name, append(path("."), literal(json!(name))));
    let tasks = vec![fork(true, vec![branch("red"), branch("green"), branch("blue")])];
    assert_eq!(start(tasks, &json!([])).output(), json!(["red"]));
}

#[test]
fn a_skipped_branch_joins_with_its_input_and_does_not_compete() {
    let never = || set("never", literal(json!("x"))).only_if(literal(json!(false)));
    let joined = start(vec![fork(false, vec![never(), set("b", literal(json!(2)))])], &json!(1));
    assert_eq!(joined.output(), json!([1, 2]));
    let mut raced = start(vec![fork(true, vec![never(), call("b")])], &json!(1));
    raced.returns("b", &json!(2));
    assert_eq!(raced.output(), json!(2));
    assert_eq!(start(vec![fork(true, vec![never()])], &json!(1)).output(), json!(1));
}

#[test]
fn a_fork_without_branches_yields_an_empty_array() {
    assert_eq!(start(vec![fork(false, vec![])], &json!(1)).output(), json!([]));
}

#[test]
fn an_uncaught_error_in_one_branch_faults_the_workflow() {
    let mut shell = start(vec![fork(false, vec![call("a"), call("b")])], &json!({}));
    shell.gives_up("a", ErrorObject::runtime("broken"));
    assert_eq!(shell.error().instance.as_deref(), Some("/do/0/fork/fork/branches/0/a"));
    assert!(shell.tasks.is_empty());
}

#[test]
fn a_branch_that_catches_its_error_leaves_the_others_alone() {
    let safe = task("safe", Work::Try { body: vec![call("a")], catch: Box::default() });
    let mut shell = start(vec![fork(false, vec![safe, call("b")])], &json!(0));
    shell.gives_up("a", ErrorObject::runtime("broken"));
    assert_eq!(shell.tasks.len(), 1);
    shell.returns("b", &json!(2));
    assert_eq!(shell.output(), json!([0, 2]));
}

#[test]
fn a_try_around_a_fork_ends_all_branches() {
    let body = vec![fork(false, vec![call("a"), call("b").timeout_ms(50)])];
    let handler = vec![set("handled", path("$error.detail"))];
    let catch = Box::new(Catching { body: Some(handler), ..Catching::default() });
    let mut shell = start(vec![task("try", Work::Try { body, catch }), call("c")], &json!({}));
    shell.gives_up("a", ErrorObject::runtime("broken"));
    assert_eq!(shell.arguments("c"), json!("broken"));
    assert_eq!((shell.tasks.len(), shell.timers.len()), (1, 0));
}

#[test]
fn end_in_a_branch_ends_the_workflow_when_the_branches_have_joined() {
    let ends = set("ends", literal(json!(1))).then(Flow::End);
    let branches = vec![ends, call("b")];
    let mut shell = start(vec![fork(false, branches), call("never")], &json!({}));
    shell.returns("b", &json!(2));
    assert_eq!(shell.output(), json!([1, 2]));
}

#[test]
fn branches_share_the_context() {
    let exports = set("a", path(".")).export_as(literal(json!({ "seen": true })));
    let reads = set("b", equal(path("$context.seen"), literal(json!(true))));
    assert_eq!(
        start(vec![fork(false, vec![exports, reads])], &json!(0)).output(),
        json!([0, true])
    );
}
