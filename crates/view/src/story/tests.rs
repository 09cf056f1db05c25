use planaria_proto::types::v1::{Phase, Signal};
use planaria_proto::workflow::v1::task_started::{Call, Detail};
use planaria_proto::workflow::v1::{
    AttemptFailed, AttemptLost, ErrorCaught, RetryStarted, TaskCompleted, TaskFaulted, TaskStarted,
    WorkflowCompleted, WorkflowFaulted, WorkflowRerun, WorkflowRetried, WorkflowStarted,
};
use proptest::prelude::*;
use prost_types::Timestamp;

use super::*;
use crate::gantt::{Look, rows, window};

fn at(ms: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: ms / 1000, nanos: (ms % 1000) as i32 * 1_000_000 })
}

fn history(facts: Vec<(i64, Event)>) -> Vec<HistoryEvent> {
    let numbered = facts.into_iter().enumerate();
    let event = |(index, (ms, event)): (usize, (i64, Event))| HistoryEvent {
        seq: index as u64 + 1,
        at: at(ms),
        event: Some(event),
    };
    numbered.map(event).collect()
}

fn begun() -> Event {
    Event::WorkflowStarted(WorkflowStarted { input: b"{}".to_vec().into(), ..Default::default() })
}

fn started(frame: u32, task: &str, parent: u32) -> Event {
    let call = !crate::document::is_body(task);
    let detail = call.then(|| Detail::Call(Call::default()));
    Event::TaskStarted(TaskStarted {
        frame,
        task: task.into(),
        parent,
        detail,
        ..Default::default()
    })
}

fn by(attempt: u32, worker: &str, from: i64) -> Option<Execution> {
    let started_at = at(from);
    Some(Execution { attempt, worker_id: worker.into(), started_at, ..Default::default() })
}

fn completed(frame: u32, execution: Option<Execution>) -> Event {
    Event::TaskCompleted(TaskCompleted { frame, execution, ..Default::default() })
}

fn lost(frame: u32, attempt: u32, worker: &str, from: i64, signal_at: i64) -> Event {
    Event::AttemptLost(AttemptLost {
        frame,
        execution: by(attempt, worker, from),
        signal: Signal::StreamLost as i32,
        signal_at: at(signal_at),
        losses: 1,
        ..Default::default()
    })
}

/// A worker dies and another one takes over.
fn crash() -> Vec<HistoryEvent> {
    history(vec![
        (1000, begun()),
        (1000, started(1, "/do", 0)),
        (1000, started(2, "/do/0/charge", 1)),
        (2000, lost(2, 1, "worker-1", 1010, 1900)),
        (4000, completed(2, by(2, "worker-2", 2065))),
        (4000, completed(1, None)),
        (4000, Event::WorkflowCompleted(WorkflowCompleted::default())),
    ])
}

#[test]
fn a_loss_is_told_with_its_healing() {
    let story = Story::fold(&crash());
    assert_eq!(story.phase, Phase::Completed);
    let rows = rows(&story);
    assert_eq!(rows.len(), 1);
    let looks: Vec<_> =
        rows[0].bars.iter().map(|bar| (bar.look, bar.from_ms, bar.until_ms)).collect();
    assert_eq!(
        looks,
        [
            (Look::Lost, 1010, Some(1900)),
            (Look::Gap, 1900, Some(2065)),
            (Look::Completed, 2065, Some(4000)),
        ]
    );
    assert_eq!(rows[0].words, ["worker-1 lost (stream lost), runs again on worker-2 after 165 ms"]);
    assert_eq!(window(&story, Some(9000)), (1000, 4000));
    let states = story.states();
    assert_eq!(states["/do/0/charge"].remark.as_deref(), Some("attempt 2, worker-1 lost"));
}

#[test]
fn looking_back_shows_what_ran_then() {
    let events = crash();
    let state = |count| {
        let story = Story::after(&events, count);
        story.states().get("/do/0/charge").map(|state| (state.state, story.phase))
    };
    assert_eq!(state(2), None);
    // The attempt began 10 ms later.
    assert_eq!(state(3), Some((State::Queued, Phase::Running)));
    assert_eq!(state(4), Some((State::Healing, Phase::Running)));
    assert_eq!(state(7), Some((State::Completed, Phase::Completed)));
    assert_eq!(Story::after(&events, 99), Story::fold(&events));
}

#[test]
fn an_attempt_runs_as_soon_as_it_is_told() {
    let mut story = Story::fold(&crash()[..4]);
    assert_eq!(heals(&story.runs[1])[0].words, "worker-1 lost (stream lost), runs again soon");
    story.attempt_started(&AttemptStarted {
        frame: 2,
        task: String::new(),
        execution: by(2, "worker-2", 2065),
    });
    assert_eq!(story.runs[1].state, State::Running);
    assert_eq!(story.runs[1].attempts[1].outcome, Outcome::Running);
    // What the watch tells late changes nothing.
    let mut over = Story::fold(&crash());
    over.attempt_started(&AttemptStarted {
        frame: 2,
        task: String::new(),
        execution: by(2, "worker-2", 2065),
    });
    assert_eq!(over, Story::fold(&crash()));
}

#[test]
fn a_caught_error_ends_what_was_tried() {
    let failed = |attempt| {
        Event::AttemptFailed(AttemptFailed {
            frame: 4,
            execution: by(attempt, "w", 1000),
            failure: attempt,
            ..Default::default()
        })
    };
    let caught =
        |retry_at| Event::ErrorCaught(ErrorCaught { frame: 2, retry_at, ..Default::default() });
    let events = history(vec![
        (1000, begun()),
        (1000, started(1, "/do", 0)),
        (1000, started(2, "/do/0/pay", 1)),
        (1000, started(3, "/do/0/pay/try", 2)),
        (1000, started(4, "/do/0/pay/try/0/charge", 3)),
        (1100, failed(1)),
        (1100, Event::TaskFaulted(TaskFaulted { frame: 4, error: None })),
        (1100, caught(at(1300))),
        (1300, Event::RetryStarted(RetryStarted { frame: 2 })),
        (1300, started(5, "/do/0/pay/try", 2)),
        (1300, started(6, "/do/0/pay/try/0/charge", 5)),
    ]);
    let of = |count: usize, frame| Story::fold(&events[..count]).run(frame).map(|run| run.state);
    assert_eq!(of(6, 4), Some(State::Retrying));
    assert_eq!((of(8, 4), of(8, 3)), (Some(State::Faulted), Some(State::Abandoned)));
    assert_eq!((of(8, 2), of(9, 2)), (Some(State::Retrying), Some(State::Open)));
    let story = Story::fold(&events);
    assert_eq!(story.states()["/do/0/pay/try/0/charge"].runs, 2);
    assert_eq!(story.states()["/do/0/pay/try/0/charge"].state, State::Queued);
    assert_eq!(story.states()["/do/0/pay"].remark.as_deref(), Some("caught an error"));
}

#[test]
fn a_retry_goes_on_from_the_fault() {
    let mut facts = vec![
        (1000, begun()),
        (1000, started(1, "/do", 0)),
        (1000, started(2, "/do/0/charge", 1)),
        (1100, Event::TaskFaulted(TaskFaulted { frame: 2, error: None })),
        (
            1100,
            Event::WorkflowFaulted(WorkflowFaulted {
                task: "/do/0/charge".into(),
                ..Default::default()
            }),
        ),
    ];
    let story = Story::fold(&history(facts.clone()));
    assert_eq!((story.phase, story.states()["/do/0/charge"].attention), (Phase::Faulted, true));
    assert_eq!(story.error.map(|(_, task)| task).as_deref(), Some("/do/0/charge"));
    facts.push((2000, Event::WorkflowRetried(WorkflowRetried::default())));
    let story = Story::fold(&history(facts));
    assert_eq!((story.phase, story.error), (Phase::Running, None));
    assert_eq!(story.runs[1].state, State::Queued);
}

#[test]
fn a_rerun_leaves_runs_behind() {
    let mut events = crash();
    let rerun = WorkflowRerun { from_seq: 3, task: "/do/0/charge".into(), ..Default::default() };
    let more = vec![(5000, Event::WorkflowRerun(rerun)), (5000, started(3, "/do/0/charge", 1))];
    let before = events.clone();
    for (index, mut event) in history(more).into_iter().enumerate() {
        event.seq = 8 + index as u64;
        events.push(event);
    }
    let story = Story::fold(&events);
    assert_eq!((story.phase, story.output.clone()), (Phase::Running, None));
    assert_eq!(story.run(1).map(|run| run.state), Some(State::Open));
    assert_eq!(story.run(2).map(|run| run.left_behind), Some(true));
    assert_eq!(story.states()["/do/0/charge"].state, State::Queued);
    // Taken one by one it is the same.
    let mut live = Story::fold(&before);
    for index in before.len()..events.len() {
        live.go_on(&events[..index], &events[index]);
    }
    assert_eq!(live, story);
}

#[test]
fn lines_name_their_tasks() {
    let events = crash();
    let story = Story::fold(&events);
    let lines: Vec<_> = events.iter().filter_map(|event| Line::of(event, &story)).collect();
    assert_eq!((&*lines[2].task, &*lines[2].text), ("/do/0/charge", "started"));
    assert_eq!(
        (lines[3].class, lines[3].bad, &*lines[3].task),
        (Class::Attempt, true, "/do/0/charge")
    );
    assert!(lines[3].has("worker-1") && lines[3].has("charge") && !lines[3].has("worker-9"));
    let payload = payload(&events[3]);
    assert_eq!(payload["execution"]["worker"], "worker-1");
    assert_eq!(payload["signal"], "stream lost");
    assert_eq!(payload["signalAt"], "1970-01-01T00:00:01.900Z");
    assert!(payload.get("detail").is_none());
}

fn fact() -> impl Strategy<Value = Event> {
    let frame = 1u32..20;
    prop_oneof![
        (frame.clone(), frame.clone()).prop_map(|(frame, parent)| {
            started(frame, &format!("/do/{frame}/t"), parent.min(frame - 1))
        }),
        frame.clone().prop_map(|frame| completed(frame, by(1, "w", 0))),
        (frame.clone(), 1u32..4).prop_map(|(frame, attempt)| lost(frame, attempt, "w", 0, 0)),
        frame.clone().prop_map(|frame| { Event::TaskFaulted(TaskFaulted { frame, error: None }) }),
        frame.prop_map(|frame| Event::ErrorCaught(ErrorCaught { frame, ..Default::default() })),
        Just(Event::WorkflowRetried(WorkflowRetried::default())),
        Just(Event::WorkflowFaulted(WorkflowFaulted::default())),
        (1u64..30).prop_map(|from_seq| {
            Event::WorkflowRerun(WorkflowRerun { from_seq, ..Default::default() })
        }),
    ]
}

proptest! {
    /// Whatever a history says, it can be shown after each event, live as when looking back.
    #[test]
    fn any_history_can_be_told(facts in proptest::collection::vec(fact(), 0..40)) {
        let mut facts: Vec<_> =
            facts.into_iter().enumerate().map(|(at, it)| (at as i64, it)).collect();
        // No frame has the number of another one.
        for (index, (_, fact)) in facts.iter_mut().enumerate() {
            if let Event::TaskStarted(started) = fact {
                (started.frame, started.parent) = (index as u32 + 1, started.parent * 2);
                started.parent = started.parent.min(index as u32);
            }
        }
        let events = history(facts);
        let mut live = Story::default();
        for index in 0..events.len() {
            live.go_on(&events[..index], &events[index]);
            let whole = Story::fold(&events[..=index]);
            prop_assert_eq!((live.phase, live.states()), (whole.phase, whole.states()));
            prop_assert!(rows(&live).len() <= live.runs.len());
            prop_assert!(Story::after(&events, index).seq == index as u64);
        }
    }
}
