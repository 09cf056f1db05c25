//! `timeout` and `wait`.

use planaria_kernel::workflow::{Input, Rejected, Timer};
use serde_json::json;

use super::{start, start_root};
use crate::definition::{Catching, Length, Task, Work, call, set, task};
use crate::toy::{Expression, path};

fn timed_out(error: &planaria_kernel::workflow::ErrorObject, instance: &str) {
    assert!(error.kind.ends_with("/errors/timeout"), "{error:?}");
    assert_eq!((error.status, error.instance.as_deref()), (408, Some(instance)));
}

#[test]
fn a_function_that_takes_too_long_faults_and_is_abandoned() {
    let mut shell = start(vec![call("slow").timeout_ms(100)], &json!({}));
    let row = &shell.tasks[&shell.frame("slow")];
    assert_eq!(row.deadline_ms, Some(shell.now_ms + 100));
    shell.fires("slow", Timer::Timeout);
    timed_out(&shell.error(), "/do/0/slow");
}

#[test]
fn a_function_in_time_disarms_its_timeout() {
    let mut shell = start(vec![call("quick").timeout_ms(100), call("next")], &json!({}));
    let frame = shell.frame("quick");
    shell.returns("quick", &json!(1));
    assert!(shell.timers.is_empty());
    let late = Input::TimerFired { frame, timer: Timer::Timeout };
    assert_eq!(shell.apply(late), Err(Rejected::NotOpen));
}

#[test]
fn a_list_that_takes_too_long_ends_all_that_it_holds() {
    let inner = vec![call("a").timeout_ms(500), call("never")];
    let list = task("list", Work::Do(inner)).timeout_ms(100);
    let body = Some(vec![set("handle", path("$error.instance"))]);
    let catch = Box::new(Catching { body, ..Catching::default() });
    let mut shell = start(vec![task("try", Work::Try { body: vec![list], catch })], &json!({}));
    shell.fires("list", Timer::Timeout);
    assert_eq!(shell.output(), json!("/do/0/try/try/0/list"));
}

#[test]
fn the_workflow_itself_times_out() {
    let root = task("do", Work::Do(vec![call("slow")])).timeout_ms(1_000);
    let mut shell = start_root(root, &json!({}));
    shell.fires("do", Timer::Timeout);
    timed_out(&shell.error(), "/do");
}

#[test]
fn a_timeout_may_be_computed_from_the_input() {
    let slow = Task { timeout: Some(Length::Of(path(".after"))), ..call("slow") };
    let shell = start(vec![slow.clone()], &json!({ "after": 30 }));
    assert_eq!(shell.timers[&(shell.frame("slow"), Timer::Timeout)], shell.now_ms + 30);
    let error = start(vec![slow], &json!({ "after": "soon" })).error();
    assert!(error.kind.ends_with("/errors/expression"));
}

#[test]
fn a_wait_lets_time_pass_and_its_input_through() {
    let mut shell = start(vec![task("pause", Work::Wait(Length::Fixed(250)))], &json!({ "n": 1 }));
    assert_eq!(shell.timers[&(shell.frame("pause"), Timer::Wait)], shell.now_ms + 250);
    shell.fires("pause", Timer::Wait);
    assert_eq!(shell.output(), json!({ "n": 1 }));
}

#[test]
fn a_wait_can_time_out() {
    let pause = task("pause", Work::Wait(Length::Fixed(250))).timeout_ms(100);
    let mut shell = start(vec![pause], &json!({}));
    shell.fires("pause", Timer::Timeout);
    timed_out(&shell.error(), "/do/0/pause");
}

#[test]
fn a_result_that_cannot_be_made_an_output_faults_the_task() {
    let shaped = call("a").timeout_ms(100).output_as(Expression::Fail("shape"));
    let mut shell = start(vec![shaped], &json!({}));
    shell.returns("a", &json!(1));
    assert_eq!(shell.error().detail.as_deref(), Some("shape"));
}

#[test]
fn a_suspended_workflow_takes_results_but_goes_no_further() {
    let mut shell = start(vec![call("a"), call("b")], &json!({}));
    shell.apply(Input::Suspend { reason: "hold".to_owned() }).unwrap();
    shell.returns("a", &json!(1));
    assert!(shell.tasks.is_empty());
    shell.apply(Input::Resume).unwrap();
    assert_eq!(shell.arguments("b"), json!(1));
}
