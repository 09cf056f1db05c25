//! What holds for every definition, whatever happens in whatever order.

use planaria_kernel::Json;
use planaria_kernel::workflow::{Fact, Input, Limits, Phase};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::random::Tape;
use crate::schedule::Choice;
use crate::shell::Shell;

/// A definition and what happens to a workflow of it.
#[derive(Clone, Debug)]
struct Case {
    tape: Vec<u8>,
    choices: Vec<Choice>,
    local_steps_max: usize,
}

fn case() -> impl Strategy<Value = Case> {
    (vec(any::<u8>(), 0..240), vec(any::<Choice>(), 0..80), 1..40_usize)
        .prop_map(|(tape, choices, local_steps_max)| Case { tape, choices, local_steps_max })
}

fn shell(case: &Case) -> Shell {
    let mut shell = Shell::new(&Tape::new(&case.tape).definition());
    shell.limits = Limits { history_events_max: 250, inbox_events_max: 5, ..Limits::default() };
    shell
}

/// The whole case; the shell checks after every commit.
fn run(case: &Case) -> Shell {
    let mut shell = shell(case);
    shell.limits.local_steps_max = case.local_steps_max;
    let input = Json::from_value(&json!({ "n": 0 }));
    shell.apply(Input::Start { input }).expect("a fresh workflow starts");
    for &choice in &case.choices {
        // A refusal is an answer too: the shell has checked that it changed nothing.
        let _ = shell.happen(choice);
    }
    shell
}

/// `PROPTEST_CASES` may ask for more.
fn settings() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = default.cases.max(3_000);
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(settings())]

    /// Books, replay, order of facts, numbers and liveness: see the shell's checks.
    #[test]
    fn every_commit_is_sound(case in case()) {
        run(&case).check_replay();
    }

    /// Left alone by people, and with every function and timer coming back, a workflow ends.
    #[test]
    fn what_is_answered_comes_to_an_end(case in case()) {
        let mut shell = shell(&case);
        shell.apply(Input::Start { input: Json::EMPTY_OBJECT }).unwrap();
        for round in 0..2_000_u32 {
            if shell.workflow.phase.is_over() {
                break;
            }
            shell.drain();
            let event = json!({ "type": "t", "data": { "n": round % 4 } });
            let event = Json::from_value(&event);
            let _ = shell.apply(Input::Publish { id: format!("e{round}"), event });
            let _ = shell.happen(((round % 19) as u8, (round % 251) as u8));
        }
        let listens = shell.workflow.frames.values()
            .any(|frame| frame.state == planaria_kernel::workflow::FrameState::Listen);
        prop_assert!(shell.workflow.phase.is_over() || listens, "{}", shell.story());
    }

    /// The same happenings make the same history.
    #[test]
    fn the_same_again_is_the_same(case in case()) {
        prop_assert_eq!(run(&case).history, run(&case).history);
    }

    /// Waiting for values changes nothing but the time it takes.
    #[test]
    fn pending_values_change_nothing(case in case()) {
        let mut prompt = shell(&case);
        let mut slow = shell(&case);
        slow.evaluator.pending_max = 2;
        for shell in [&mut prompt, &mut slow] {
            shell.apply(Input::Start { input: Json::EMPTY_OBJECT }).unwrap();
            shell.drain();
        }
        for &choice in &case.choices {
            prop_assert_eq!(prompt.happen(choice), slow.happen(choice));
            prompt.drain();
            slow.drain();
            prop_assert_eq!(&prompt.history, &slow.history);
            prop_assert_eq!(&prompt.tasks, &slow.tasks);
            prop_assert_eq!(&prompt.timers, &slow.timers);
        }
        prop_assert_eq!(prompt.published, slow.published);
    }

    /// A history has at most one end per time that somebody had the workflow go on.
    #[test]
    fn there_is_one_end(case in case()) {
        let shell = run(&case);
        let is_end = |fact: &Fact| matches!(
            fact,
            Fact::WorkflowCompleted { .. } | Fact::WorkflowFaulted { .. }
                | Fact::WorkflowCancelled { .. }
        );
        let goes_on = |fact: &Fact| matches!(
            fact,
            Fact::WorkflowRetried { .. } | Fact::WorkflowRerun(_)
        );
        let mut ended = false;
        for recorded in &shell.history {
            let cancels = matches!(recorded.fact, Fact::WorkflowCancelled { .. });
            prop_assert!(!ended || goes_on(&recorded.fact) || cancels, "{}", shell.story());
            ended = is_end(&recorded.fact);
        }
        prop_assert_eq!(ended, shell.workflow.phase.is_over());
        prop_assert!(shell.workflow.phase != Phase::Pending);
    }
}

/// The random cases reach what they are there for.
#[test]
fn random_cases_reach_every_kind_of_fact() {
    use std::collections::BTreeMap;

    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1_000 {
        let case = case().new_tree(&mut runner).expect("a case").current();
        for recorded in run(&case).history {
            let text = format!("{:?}", recorded.fact);
            let name = text.split([' ', '(']).next().unwrap_or_default().to_owned();
            *seen.entry(name).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 19, "{seen:?}");
    assert!(seen.values().all(|&times| times >= 20), "{seen:?}");
}
