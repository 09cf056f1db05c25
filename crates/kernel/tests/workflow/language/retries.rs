//! `catch.retry`: the author's retries and their limits.

use planaria_kernel::definition::{Backoff, Jitter};
use planaria_kernel::workflow::{ErrorObject, Timer};
use serde_json::json;

use super::start;
use crate::definition::{Catching, Length, Retrying, Work, call, retrying, set, task};
use crate::shell::Shell;
use crate::toy::{Expression, equal, literal, path};

/// A function in a try with that policy; the handler yields the error's detail.
fn paying(retry: Retrying) -> Shell {
    let body = Some(vec![set("handle", path("$error.detail"))]);
    let catch = Box::new(Catching { retry: Some(retry), body, ..Catching::default() });
    start(vec![task("try", Work::Try { body: vec![call("pay")], catch })], &json!({ "n": 1 }))
}

fn fail(shell: &mut Shell, detail: &str) {
    shell.gives_up("pay", ErrorObject::runtime(detail));
}

/// Milliseconds until the next run.
fn delay(shell: &Shell) -> u64 {
    shell.timers[&(shell.frame("try"), Timer::Retry)] - shell.now_ms
}

#[test]
fn the_body_runs_again_with_the_input_of_the_try_until_it_works() {
    let mut shell = paying(retrying(5));
    for _ in 0..2 {
        assert_eq!(shell.arguments("pay"), json!({ "n": 1 }));
        fail(&mut shell, "no");
        assert!(shell.tasks.is_empty());
        shell.fires("try", Timer::Retry);
    }
    shell.returns("pay", &json!("paid"));
    assert_eq!(shell.output(), json!("paid"));
}

#[test]
fn after_the_last_retry_the_error_is_handled() {
    let mut shell = paying(retrying(2));
    for detail in ["first", "second"] {
        fail(&mut shell, detail);
        shell.fires("try", Timer::Retry);
    }
    fail(&mut shell, "third");
    assert_eq!(shell.output(), json!("third"));
}

#[test]
fn delays_grow_by_the_backoff_and_jitter_adds() {
    let backoff = Backoff::Exponential { multiplier: 3.0, delay_max_ms: Some(500) };
    let jitter = Some(Jitter { from_ms: 10, to_ms: 19 });
    let delay_of = Length::Of(literal(json!(100)));
    let mut shell = paying(Retrying { delay: delay_of, backoff, jitter, ..retrying(9) });
    for (random, expected) in [(0, 110), (7, 317), (9, 519), (10, 510)] {
        shell.random = random;
        fail(&mut shell, "no");
        assert_eq!(delay(&shell), expected);
        shell.fires("try", Timer::Retry);
    }
}

#[test]
fn the_duration_limits_all_runs_and_delays_together() {
    let duration = Some(Length::Fixed(250));
    let delay = Length::Fixed(100);
    let mut shell = paying(Retrying { delay, duration, attempts_max: None, ..retrying(0) });
    for _ in 0..2 {
        fail(&mut shell, "no");
        shell.fires("try", Timer::Retry);
    }
    fail(&mut shell, "too late");
    assert_eq!(shell.output(), json!("too late"));
}

#[test]
fn a_run_that_takes_too_long_is_ended_and_counts_as_failed() {
    let attempt_duration = Some(Length::Fixed(40));
    let mut shell = paying(Retrying { attempt_duration, ..retrying(1) });
    shell.fires("/do/0/try/try", Timer::Timeout);
    assert!(shell.tasks.is_empty());
    shell.fires("try", Timer::Retry);
    assert_eq!(shell.timers.len(), 1);
    shell.fires("/do/0/try/try", Timer::Timeout);
    assert_eq!(shell.output(), json!("/do/0/try/try did not end in time"));
}

#[test]
fn when_decides_whether_it_is_retried() {
    let when = Some(equal(path("$error.detail"), literal(json!("busy"))));
    let mut shell = paying(Retrying { when, ..retrying(9) });
    fail(&mut shell, "busy");
    shell.fires("try", Timer::Retry);
    fail(&mut shell, "broken");
    assert_eq!(shell.output(), json!("broken"));
}

#[test]
fn a_delay_that_is_no_length_of_time_is_the_trys_error() {
    let mut shell = paying(Retrying { delay: Length::Of(literal(json!("?"))), ..retrying(1) });
    fail(&mut shell, "no");
    assert_eq!(shell.error().instance.as_deref(), Some("/do/0/try"));
    let mut shell = paying(Retrying { delay: Length::Of(Expression::Fail("?")), ..retrying(1) });
    fail(&mut shell, "no");
    assert_eq!(shell.error().detail.as_deref(), Some("?"));
}

#[test]
fn each_run_of_the_body_counts_its_own_function_failures() {
    let mut shell = paying(retrying(2));
    let frame = shell.frame("pay");
    shell.apply(shell.failure(frame)).unwrap();
    shell.apply(shell.failure(frame)).unwrap();
    assert_eq!(shell.workflow.frames[&frame].failures, 2);
    fail(&mut shell, "no");
    shell.fires("try", Timer::Retry);
    let again = shell.frame("pay");
    assert!(again > frame);
    assert_eq!(shell.workflow.frames[&again].failures, 0);
}
