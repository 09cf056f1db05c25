//! Every state against every input: what is recorded, or why it is refused.

use std::fmt::Write as _;

use expect_test::expect_file;
use planaria_kernel::Json;
use planaria_kernel::definition::Read;
use planaria_kernel::workflow::{ErrorObject, Fact, FrameId, Input, Timer};
use serde_json::json;

use crate::definition::{Catching, Definition, Length, Task, Work, call, retrying, set, task};
use crate::shell::Shell;
use crate::toy::{equal, literal, path};

/// A state to try inputs on: its name, the workflow, and the frame that they are for.
type State = (&'static str, Shell, FrameId);

fn started(tasks: Vec<Task>) -> Shell {
    let mut shell = Shell::new(&Definition::new(tasks));
    shell.apply(Input::Start { input: Json::NULL }).unwrap();
    shell
}

fn state(name: &'static str, tasks: Vec<Task>, of: &str) -> State {
    let shell = started(tasks);
    let frame = shell.frame(of);
    (name, shell, frame)
}

/// The state after one more input.
fn after(name: &'static str, (_, mut shell, frame): State, input: Input) -> State {
    shell.apply(input).unwrap();
    (name, shell, frame)
}

fn trying(retry: bool) -> Vec<Task> {
    let retry = retry.then(|| retrying(1));
    let body = Some(vec![call("handler")]);
    let catch = Box::new(Catching { retry, body, ..Catching::default() });
    vec![task("try", Work::Try { body: vec![call("a")], catch })]
}

fn fork(compete: bool) -> Vec<Task> {
    vec![task("fork", Work::Fork { branches: vec![call("a"), call("b")], compete })]
}

fn give_up(shell: &Shell) -> Input {
    Input::GiveUp { frame: shell.frame("a"), error: ErrorObject::runtime("broken") }
}

fn faulted(tasks: Vec<Task>, of: &str) -> State {
    let state = state("", tasks, of);
    let input = give_up(&state.1);
    after("faulted", state, input)
}

/// One input, and the workflow stops after one step, so that frames are seen between two.
fn halfway(name: &'static str, tasks: Vec<Task>, steps: usize, frame: u32) -> State {
    let mut shell = Shell::new(&Definition::new(tasks));
    shell.limits.local_steps_max = steps;
    shell.apply(Input::Start { input: Json::NULL }).unwrap();
    shell.limits.local_steps_max = 1_000;
    (name, shell, FrameId(frame))
}

fn states() -> Vec<State> {
    let a = || vec![call("a"), call("b")];
    let pause = || task("pause", Work::Wait(Length::Fixed(10)));
    let wanted = equal(path(".type"), literal(json!("t")));
    let listen = || task("listen", Work::Listen { filter: wanted.clone(), read: Read::Data });
    let each = Work::For { items: literal(json!([1])), condition: None, body: vec![call("a")] };
    let emit = || task("emit", Work::Emit(literal(json!({ "type": "e" }))));
    let suspend = || Input::Suspend { reason: String::new() };
    let delayed = state("", trying(true), "try");
    let retries = give_up(&delayed.1);
    let handled = state("", trying(false), "try");
    let catches = give_up(&handled.1);
    vec![
        ("pending", Shell::new(&Definition::new(a())), FrameId(1)),
        ("sequence", started(a()), FrameId(1)),
        state("loop", vec![task("each", each)], "each"),
        state("fork", fork(false), "fork"),
        state("fork, competing", fork(true), "fork"),
        state("branch, competing", fork(true), "b"),
        state("try, body", trying(false), "try"),
        after("try, delay", delayed, retries),
        after("try, handler", handled, catches),
        state("call", a(), "a"),
        state("call with timeout", vec![call("a").timeout_ms(5)], "a"),
        state("wait", vec![pause()], "pause"),
        state("wait with timeout", vec![pause().timeout_ms(5)], "pause"),
        state("listen", vec![listen()], "listen"),
        halfway("local", vec![set("s", path("."))], 2, 2),
        halfway("finishing", vec![emit()], 3, 2),
        halfway("faulted task", vec![task("r", Work::Raise(literal(json!(1))))], 3, 2),
        after("suspended, call", state("", a(), "a"), suspend()),
        after("suspended, wait", state("", vec![pause()], "pause"), suspend()),
        after("suspended, listen", state("", vec![listen()], "listen"), suspend()),
        faulted(a(), "a"),
        after("cancelled", state("", a(), "a"), Input::Cancel { reason: String::new() }),
        ("completed", started(vec![set("s", path("."))]), FrameId(2)),
        ("no such frame", started(a()), FrameId(99)),
    ]
}

fn inputs(shell: &Shell, frame: FrameId) -> Vec<(&'static str, Input)> {
    let event = || Json::from_value(&json!({ "type": "t" }));
    let reason = || "why".to_owned();
    let id = || "e".to_owned();
    let error = ErrorObject::runtime("broken");
    let execution = shell.execution(frame);
    vec![
        ("start", Input::Start { input: Json::NULL }),
        ("continue", Input::Continue),
        ("returned", Input::Returned { frame, output: Json::EMPTY_OBJECT, execution }),
        ("attempt failed", shell.failure(frame)),
        ("attempt lost", shell.loss(frame, 0)),
        ("give up", Input::GiveUp { frame, error }),
        ("wait fired", Input::TimerFired { frame, timer: Timer::Wait }),
        ("timeout fired", Input::TimerFired { frame, timer: Timer::Timeout }),
        ("retry fired", Input::TimerFired { frame, timer: Timer::Retry }),
        ("signal", Input::Signal { id: id(), event: event() }),
        ("publish", Input::Publish { id: id(), event: event() }),
        ("suspend", Input::Suspend { reason: reason() }),
        ("resume", Input::Resume),
        ("cancel", Input::Cancel { reason: reason() }),
        ("retry", Input::Retry { reason: reason() }),
        ("skip", Input::Skip { frame, output: None, reason: reason() }),
    ]
}

/// A fact's name and, where it has one, its frame.
fn name(fact: &Fact) -> String {
    let text = format!("{fact:?}");
    let name = text.split([' ', '(']).next().unwrap_or_default().to_owned();
    match fact {
        Fact::TaskStarted(started) => format!("{name}#{}", started.frame.0),
        Fact::TaskCompleted(completed) => format!("{name}#{}", completed.frame.0),
        Fact::TaskFaulted { frame, .. } | Fact::EventConsumed { frame, .. } => {
            format!("{name}#{}", frame.0)
        }
        _ => name,
    }
}

#[test]
fn every_state_against_every_input() {
    let mut table = String::new();
    for (state, shell, frame) in states() {
        let _ = writeln!(table, "{state} (frame {})", frame.0);
        for (input_name, input) in inputs(&shell, frame) {
            let mut shell = shell.clone();
            let answer = match shell.apply(input) {
                Ok(facts) if facts.is_empty() => "nothing".to_owned(),
                Ok(facts) => facts.iter().map(name).collect::<Vec<_>>().join(", "),
                Err(rejected) => format!("- {rejected}"),
            };
            let _ = writeln!(table, "  {input_name:<14} {answer}");
        }
    }
    expect_file!["./testdata/matrix.txt"].assert_eq(&table);
}
