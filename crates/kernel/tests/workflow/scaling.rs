//! Wide forks: each completion costs the same, however many branches there are.

use std::time::{Duration, Instant};

use planaria_kernel::Json;
use planaria_kernel::workflow::{
    Execution, FrameId, Input, Limits, Phase, Surroundings, Workflow, apply,
};

use crate::definition::{Definition, Work, call, task};
use crate::toy::Toy;

/// Runs a fork of so many functions without a shell's checks: time per completion.
#[allow(clippy::disallowed_methods, reason = "a test that measures reads the clock")]
#[expect(clippy::disallowed_methods, reason = "what it costs is what is measured here")]
fn run(branches: usize) -> Duration {
    let calls = (0..branches).map(|n| call(&format!("t{n}"))).collect();
    let fork = task("fork", Work::Fork { branches: calls, compete: false });
    let definition = Definition::new(vec![fork]);
    let mut workflow = Workflow::new("w".into(), definition.graph.clone());
    let mut evaluator = Toy::new(definition.tables);
    let limits = Limits::default();
    let mut tell = |workflow: &mut Workflow, input: Input| {
        let mut surroundings =
            Surroundings { now_ms: 0, random: 0, limits: &limits, evaluator: &mut evaluator };
        apply(workflow, input, &mut surroundings).unwrap().facts.len()
    };
    tell(&mut workflow, Input::Start { input: Json::NULL });
    while workflow.can_continue() {
        tell(&mut workflow, Input::Continue);
    }
    let calls: Vec<FrameId> = workflow.frames.keys().skip(2).copied().collect();
    assert_eq!(calls.len(), branches);
    let begun = Instant::now();
    let mut facts = 0;
    for frame in calls {
        let execution = Execution {
            attempt: 1,
            worker: String::new(),
            session: String::new(),
            started_at_ms: 0,
            function: String::new(),
            destination: None,
            failures: 0,
        };
        facts += tell(&mut workflow, Input::Returned { frame, output: Json::NULL, execution });
    }
    // Each branch, the fork, the list, the workflow.
    assert_eq!(facts, branches + 3);
    assert!(matches!(workflow.phase, Phase::Completed { .. }));
    begun.elapsed() / u32::try_from(branches).unwrap()
}

#[test]
fn ten_thousand_branches_complete() {
    run(10_000);
}

#[test]
#[ignore = "compares wall times; run it by hand on a quiet machine"]
fn a_completion_costs_the_same_among_ten_thousand_branches_as_among_one_thousand() {
    let (few, many) = (run(1_000), run(10_000));
    assert!(many < few * 4, "{few:?} among 1 000, {many:?} among 10 000");
}
