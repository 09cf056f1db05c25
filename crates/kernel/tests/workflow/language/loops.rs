//! `for`.

use serde_json::json;

use super::start;
use crate::definition::{Flow, Task, Work, call, set, task};
use crate::toy::{Expression, append, equal, literal, object, path};

fn colors(condition: Option<Expression>, body: Vec<Task>) -> Task {
    task("colors", Work::For { items: path(".colors"), condition, body })
}

fn mark() -> Task {
    let value = object(vec![
        ("colors", path(".colors")),
        ("seen", append(path(".seen"), path("$item"))),
        ("at", append(path(".at"), path("$index"))),
    ]);
    set("mark", value)
}

#[test]
fn iterations_hand_their_output_on_and_see_item_and_index() {
    let shell = start(vec![colors(None, vec![mark()])], &json!({ "colors": ["r", "g", "b"] }));
    let expected = json!({ "colors": ["r", "g", "b"], "seen": ["r", "g", "b"], "at": [0, 1, 2] });
    assert_eq!(shell.output(), expected);
}

#[test]
fn while_is_asked_before_each_iteration_with_the_data_so_far() {
    let not_yet = equal(path(".seen"), literal(json!(null)));
    let tasks = vec![colors(Some(not_yet), vec![mark()])];
    let output = start(tasks, &json!({ "colors": ["r", "g"] })).output();
    assert_eq!((&output["seen"], &output["at"]), (&json!(["r"]), &json!([0])));
}

#[test]
fn while_sees_the_item() {
    let until_green = equal(path("$item"), literal(json!("r")));
    let tasks = vec![colors(Some(until_green), vec![mark()])];
    let output = start(tasks, &json!({ "colors": ["r", "g", "r"] })).output();
    assert_eq!(output["seen"], json!(["r"]));
}

#[test]
fn no_items_no_iterations() {
    let shell = start(vec![colors(None, vec![mark()])], &json!({ "colors": [] }));
    assert_eq!(shell.output(), json!({ "colors": [] }));
}

#[test]
fn what_is_no_array_is_an_expression_error() {
    let error = start(vec![colors(None, vec![mark()])], &json!({ "colors": 3 })).error();
    assert!(error.kind.ends_with("/errors/expression"));
    assert_eq!(error.instance.as_deref(), Some("/do/0/colors"));
}

#[test]
fn functions_in_a_loop_run_one_after_the_other() {
    let with = Work::Call { arguments: Some(path("$item")) };
    let mut shell = start(
        vec![colors(None, vec![task("paint", with)])],
        &json!({
            "colors": ["r", "g"],
        }),
    );
    for color in ["r", "g"] {
        assert_eq!(shell.arguments("paint"), json!(color));
        assert_eq!(shell.tasks.len(), 1);
        shell.returns("paint", &json!({ "painted": color }));
    }
    assert_eq!(shell.output(), json!({ "painted": "g" }));
}

#[test]
fn exit_ends_the_iteration_and_end_the_workflow() {
    let colors_of = |then: Flow| {
        let body = vec![mark().then(then), set("never", literal(json!(0)))];
        let after = set("after", append(path(".seen"), literal(json!("after"))));
        start(vec![colors(None, body), after], &json!({ "colors": ["r", "g"] })).output()
    };
    assert_eq!(colors_of(Flow::Exit), json!(["r", "g", "after"]));
    assert_eq!(colors_of(Flow::End)["seen"], json!(["r"]));
}

#[test]
fn an_inner_loop_hides_the_variables_of_the_outer() {
    let inner = task(
        "inner",
        Work::For {
            items: path("$item"),
            condition: None,
            body: vec![set("take", append(path("."), path("$item")))],
        },
    );
    let outer = task(
        "outer",
        Work::For { items: literal(json!([[1, 2], [3]])), condition: None, body: vec![inner] },
    );
    assert_eq!(start(vec![outer], &json!([])).output(), json!([1, 2, 3]));
}

#[test]
fn a_loop_that_faults_has_no_further_iterations() {
    let mut shell = start(vec![colors(None, vec![call("paint")])], &json!({ "colors": [1, 2] }));
    let error = planaria_kernel::workflow::ErrorObject::runtime("dry");
    shell.gives_up("paint", error);
    assert_eq!(shell.error().instance.as_deref(), Some("/do/0/colors/do/0/paint"));
}
