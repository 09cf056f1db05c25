//! What people do to a workflow: retry, rerun, skip. And what must not be lost meanwhile.

use planaria_kernel::Json;
use planaria_kernel::workflow::{ErrorObject, Fact, Input, Rejected, Timer};
use serde_json::{Value, json};

use crate::definition::{Definition, Work, call, set, task};
use crate::language::{start, start_root};
use crate::shell::Shell;
use crate::toy::{append, equal, literal, path};

fn retry(shell: &mut Shell) {
    shell.apply(Input::Retry { reason: "mended".to_owned() }).unwrap();
}

fn skip(shell: &mut Shell, name: &str, output: Option<Value>) {
    let frame = shell.frame(name);
    let output = output.as_ref().map(Json::from_value);
    shell.apply(Input::Skip { frame, output, reason: "by hand".to_owned() }).unwrap();
}

fn broken() -> ErrorObject {
    ErrorObject::runtime("broken")
}

#[test]
fn a_retry_goes_on_from_the_fault_with_the_same_input() {
    let mut shell = start(vec![set("a", literal(json!(1))), call("b")], &json!({}));
    let frame = shell.frame("b");
    shell.gives_up("b", broken());
    retry(&mut shell);
    assert_eq!((shell.frame("b"), shell.arguments("b")), (frame, json!(1)));
    shell.returns("b", &json!(2));
    assert_eq!(shell.output(), json!(2));
}

#[test]
fn after_a_retry_the_old_attempts_number_is_not_used_again() {
    let branches = vec![call("a").timeout_ms(10), call("b")];
    let fork = task("fork", Work::Fork { branches, compete: false });
    let mut shell = start(vec![fork], &json!({}));
    // Attempt 1 of both is with a worker when the workflow faults.
    shell.fires("a", Timer::Timeout);
    retry(&mut shell);
    let attempts: Vec<u32> = shell.tasks.values().map(|row| row.attempt).collect();
    assert_eq!(attempts, [2, 2]);
    shell.fires("a", Timer::Timeout);
    retry(&mut shell);
    let attempts: Vec<u32> = shell.tasks.values().map(|row| row.attempt).collect();
    assert_eq!(attempts, [3, 3]);
}

#[test]
fn a_retry_begins_the_timeouts_anew() {
    let root = task("do", Work::Do(vec![call("a")])).timeout_ms(1_000);
    let mut shell = start_root(root, &json!({}));
    shell.gives_up("a", broken());
    shell.now_ms += 60_000;
    retry(&mut shell);
    assert_eq!(shell.timers[&(shell.frame("do"), Timer::Timeout)], shell.now_ms + 1_000);
}

#[test]
fn a_retry_of_a_task_whose_condition_failed_asks_the_condition_again() {
    let by_chance = equal(append(path("."), literal(json!(0))), literal(json!([0])));
    let branches = vec![set("a", literal(json!("ran"))).only_if(by_chance), call("b")];
    let fork = task("fork", Work::Fork { branches, compete: false });
    // The condition fails as long as the input is no array.
    let mut shell = start(vec![fork], &json!({}));
    let first = shell.error();
    retry(&mut shell);
    assert_eq!(shell.error(), first);
    assert!(!shell.history.iter().any(|recorded| matches!(&recorded.fact, Fact::TaskCompleted(_))));
}

#[test]
fn a_skip_of_a_faulted_task_lets_the_workflow_go_on() {
    let mut shell = start(vec![call("a"), call("b")], &json!({ "n": 1 }));
    shell.gives_up("a", broken());
    skip(&mut shell, "a", Some(json!("by hand")));
    assert_eq!(shell.arguments("b"), json!("by hand"));
    skip(&mut shell, "b", None);
    assert_eq!(shell.output(), json!("by hand"));
}

#[test]
fn a_skipped_branch_of_a_race_wins_it_and_ends_the_others() {
    let branches = vec![call("a"), call("b").timeout_ms(100)];
    let fork = task("fork", Work::Fork { branches, compete: true });
    let mut shell = start(vec![fork, call("next")], &json!({}));
    skip(&mut shell, "a", Some(json!("by hand")));
    assert_eq!((shell.tasks.len(), shell.timers.len()), (1, 0));
    assert_eq!(shell.arguments("next"), json!("by hand"));
}

#[test]
fn what_is_over_stays_over() {
    let mut shell = start(vec![set("a", path("."))], &json!({}));
    for input in [
        Input::Cancel { reason: String::new() },
        Input::Retry { reason: String::new() },
        Input::Suspend { reason: String::new() },
        Input::Resume,
    ] {
        assert_eq!(shell.apply(input), Err(Rejected::PhaseInvalid { phase: "completed" }));
    }
}

#[test]
fn a_rerun_goes_on_from_a_task_of_a_completed_workflow() {
    let mut shell = start(vec![call("a"), call("b")], &json!({}));
    shell.returns("a", &json!("old"));
    shell.returns("b", &json!("done"));
    assert!(shell.rerun("/do/1/b", None));
    assert_eq!(shell.arguments("b"), json!("old"));
    assert!(shell.rerun("/do/1/b", Some(&json!("new"))));
    assert_eq!(shell.arguments("b"), json!("new"));
    shell.returns("b", &json!("done again"));
    assert_eq!(shell.output(), json!("done again"));
}

#[test]
fn a_rerun_from_a_task_that_was_retried_takes_the_new_input() {
    let mut shell = start(vec![call("a")], &json!("old"));
    shell.gives_up("a", broken());
    retry(&mut shell);
    shell.gives_up("a", broken());
    assert!(shell.rerun("/do/0/a", Some(&json!("new"))));
    assert_eq!(shell.arguments("a"), json!("new"));
}

#[test]
fn a_rerun_begins_the_timeouts_anew() {
    let root = task("do", Work::Do(vec![call("a")])).timeout_ms(1_000);
    let mut shell = start_root(root, &json!({}));
    shell.returns("a", &json!(1));
    shell.now_ms += 60_000;
    assert!(shell.rerun("/do/0/a", None));
    assert_eq!(shell.timers[&(shell.frame("do"), Timer::Timeout)], shell.now_ms + 1_000);
}

#[test]
fn what_a_rerun_left_behind_is_no_place_to_go_on_from() {
    let mut shell = start(vec![call("a"), call("b")], &json!({}));
    shell.returns("a", &json!("wrong"));
    assert!(shell.rerun("/do/0/a", None));
    assert!(!shell.rerun("/do/1/b", None));
    shell.returns("a", &json!("right"));
    assert!(shell.rerun("/do/1/b", None));
    assert_eq!(shell.arguments("b"), json!("right"));
}

#[test]
fn many_reruns_are_not_slow_to_replay() {
    let mut shell = start(vec![call("a")], &json!({}));
    // Were each fold to fold its prefix anew, this would take 2^60 steps.
    for _ in 0..60 {
        assert!(shell.rerun("/do/0/a", None));
    }
    shell.returns("a", &json!("done"));
    assert_eq!(shell.output(), json!("done"));
}

#[test]
fn a_result_is_in_the_step_that_took_it_however_much_else_is_ready() {
    let branches = (0..100).map(|n| call(&format!("t{n}"))).collect();
    let fork = task("fork", Work::Fork { branches, compete: false });
    let mut shell = Shell::new(&Definition::new(vec![fork]));
    shell.limits.local_steps_max = 10;
    shell.apply(Input::Start { input: Json::NULL }).unwrap();
    let frame = shell.frame("t0");
    let execution = shell.execution(frame);
    let facts = shell.apply(Input::Returned { frame, output: Json::NULL, execution }).unwrap();
    assert!(matches!(facts.first(), Some(Fact::TaskCompleted(done)) if done.frame == frame));
}
