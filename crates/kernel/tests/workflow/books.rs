//! The books against the history: what a shell keeps is right after every commit, and no row that
//! was lost, made up or changed goes unnoticed.

use std::collections::BTreeMap;

use planaria_kernel::Json;
use planaria_kernel::repair::books::{Books, Difference, Row, TaskBook, compare, due};
use planaria_kernel::repair::record::{Flaw, numbered, ordered};
use planaria_kernel::workflow::{FrameId, FrameState, Input, Recorded, Workflow};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::random::Tape;
use crate::schedule::Choice;
use crate::shell::Shell;

type Case = (Vec<u8>, Vec<Choice>);

fn case() -> impl Strategy<Value = Case> {
    (vec(any::<u8>(), 0..160), vec(any::<Choice>(), 0..40))
}

/// What the shell has, as a store would.
fn books(shell: &Shell) -> Books {
    let book = |attempt| TaskBook { waits_for_retry: false, attempt, is_declared: true };
    Books {
        tasks: shell.tasks.iter().map(|(&frame, row)| (frame, book(row.attempt))).collect(),
        timers: shell.timers.clone(),
        listeners: due(&shell.workflow).listeners,
    }
}

/// Runs a case; `look` sees the shell after each event.
fn run((tape, choices): &Case, mut look: impl FnMut(&Shell)) -> Shell {
    let mut shell = Shell::new(&Tape::new(tape).definition());
    shell.apply(Input::Start { input: Json::EMPTY_OBJECT }).expect("a fresh workflow starts");
    look(&shell);
    for &choice in choices {
        let _ = shell.happen(choice);
        look(&shell);
    }
    shell
}

fn folded(shell: &Shell) -> Workflow {
    Workflow::fold(&shell.workflow.id, &shell.workflow.graph, &shell.history)
}

/// Every single error that books can have, and what must be said of it.
fn spoilt(right: &Books, last_frame: u32) -> Vec<(Books, Difference)> {
    let mut all = Vec::new();
    let mut spoil = |said, change: &dyn Fn(&mut Books)| {
        let mut books = right.clone();
        change(&mut books);
        all.push((books, said));
    };
    for &frame in right.tasks.keys() {
        let row = Row::Task(frame);
        let of = move |books: &mut Books| books.tasks[&frame];
        spoil(Difference::Missing(row), &|books| {
            books.tasks.remove(&frame);
        });
        spoil(Difference::Wrong(row), &|books| {
            let book = TaskBook { attempt: 0, ..of(books) };
            books.tasks.insert(frame, book);
        });
        spoil(Difference::Wrong(row), &|books| {
            let book = TaskBook { is_declared: false, ..of(books) };
            books.tasks.insert(frame, book);
        });
    }
    for &(frame, timer) in right.timers.keys() {
        let row = Row::Timer(frame, timer);
        spoil(Difference::Missing(row), &|books| {
            books.timers.remove(&(frame, timer));
        });
        spoil(Difference::Wrong(row), &|books| {
            *books.timers.get_mut(&(frame, timer)).expect("it is there") += 1;
        });
    }
    for &frame in right.listeners.keys() {
        let row = Row::Listener(frame);
        spoil(Difference::Missing(row), &|books| {
            books.listeners.remove(&frame);
        });
        spoil(Difference::Wrong(row), &|books| {
            books.listeners.insert(frame, "another.type".into());
        });
    }
    let made_up = TaskBook { waits_for_retry: false, attempt: 1, is_declared: true };
    let unused = (1..=last_frame).map(FrameId).find(|frame| !right.tasks.contains_key(frame));
    if let Some(frame) = unused {
        let said = Difference::Stray(Row::Task(frame));
        spoil(said, &|books| {
            books.tasks.insert(frame, made_up);
        });
    }
    let ahead = FrameId(last_frame + 1);
    spoil(Difference::Ahead(ahead), &|books| {
        books.tasks.insert(ahead, made_up);
    });
    all
}

fn settings() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = default.cases.max(500);
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn right_books_are_right_and_every_error_is_named(case in case()) {
        run(&case, |shell| {
            let (workflow, right) = (folded(shell), books(shell));
            assert_eq!(compare(&workflow, &right), [], "{}", shell.story());
            for (wrong, said) in spoilt(&right, workflow.last_frame) {
                assert_eq!(compare(&workflow, &wrong), [said], "{wrong:?}\n{}", shell.story());
            }
        });
    }

    /// What is due is right: books made of it need no repair.
    #[test]
    fn what_is_rebuilt_is_right(case in case()) {
        let workflow = folded(&run(&case, |_| {}));
        prop_assert_eq!(compare(&workflow, &due(&workflow)), []);
    }

    /// Of every part of a history, but for its end, it is known when it is missing, there twice,
    /// or in another's place.
    #[test]
    fn no_record_is_lost_unnoticed(
        counts in vec(1..5_u64, 1..30),
        at in any::<prop::sample::Index>(),
    ) {
        let mut next = 1;
        let mut records: Vec<(u64, u64)> = Vec::new();
        for count in counts {
            records.push((next, count));
            next += count;
        }
        prop_assert_eq!(numbered(records.iter().copied()), Ok(()));
        let at = at.index(records.len());
        let (first, count) = records[at];
        let mut twice = records.clone();
        twice.insert(at, (first, count));
        prop_assert_eq!(numbered(twice), Err(Flaw::Twice { from: first }));
        if at + 1 < records.len() {
            let mut swapped = records.clone();
            swapped.swap(at, at + 1);
            prop_assert!(numbered(swapped).is_err());
            records.remove(at);
            let gap = Flaw::Gap { from: first, to: first + count };
            prop_assert_eq!(numbered(records), Err(gap));
        }
    }

    #[test]
    fn what_happened_is_in_order_and_what_cannot_have_happened_is_not(case in case()) {
        let shell = run(&case, |_| {});
        let history = &shell.history;
        prop_assert_eq!(ordered(history), Ok(()), "{}", shell.story());
        prop_assert_eq!(ordered(&history[1..]), Err(Flaw::NotStarted));
        let again: Vec<Recorded> = history.iter().chain(&history[..1]).cloned().collect();
        let seq = again.len() as u64;
        prop_assert_eq!(ordered(&again), Err(Flaw::StartedAgain { seq }));
    }
}

#[test]
fn a_retry_is_waited_for_only_where_something_failed() {
    use crate::definition::call;
    let mut shell = crate::language::start(vec![call("a")], &serde_json::json!({}));
    let frame = shell.frame("a");
    let waits = |attempt| {
        let task = TaskBook { waits_for_retry: true, attempt, is_declared: true };
        Books { tasks: BTreeMap::from([(frame, task)]), ..Books::default() }
    };
    let wrong = [Difference::Wrong(Row::Task(frame))];
    assert_eq!(compare(&shell.workflow, &waits(1)), wrong, "nothing failed yet");
    shell.happen((8, 0)).unwrap();
    assert!(matches!(shell.workflow.frames[&frame].state, FrameState::Call { .. }));
    assert_eq!(compare(&shell.workflow, &waits(1)), []);
    assert_eq!(compare(&shell.workflow, &waits(2)), wrong, "the second has not failed");
}
