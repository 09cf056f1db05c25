//! A small run that kept every promise, and what the checker says when one of them is broken in it.

use std::collections::{BTreeMap, BTreeSet};

use planaria_proto::retry::v1::{BreakerChange, BreakerKey, BreakerPhase, DeadLetter};
use planaria_proto::types::v1::{Payload, Phase};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::task_started::{Call as CallDetail, Detail, Wait};
use planaria_proto::workflow::v1::{
    AttemptFailed, AttemptLost, EventReceived, Execution, HistoryEvent, TaskCompleted, TaskStarted,
    Workflow, WorkflowCompleted, WorkflowStarted,
};
use prost_types::Timestamp;
use serde_json::{Value, json};

use crate::database::Database;
use crate::evidence::{Evidence, Promise};
use crate::journal::{Call, Entry, Fault, Outcome};
use crate::public::Story;
use crate::report;

const ID: &str = "0198-a";

fn at(ms: i64) -> Option<Timestamp> {
    let nanos = i32::try_from(ms % 1_000).unwrap() * 1_000_000;
    Some(Timestamp { seconds: ms / 1_000, nanos })
}

fn execution(attempt: u32, worker: &str) -> Option<Execution> {
    let (worker_id, session_id) = (worker.to_owned(), format!("session of {worker}"));
    Some(Execution { attempt, worker_id, session_id, ..Execution::default() })
}

fn entry(at_ms: u64, what: &str, worker: &str, attempt: u32) -> Entry {
    Entry {
        at_ms,
        what: what.into(),
        worker: worker.into(),
        incarnation: "7".into(),
        workflow: ID.into(),
        task: "/do/0/first".into(),
        key: "key-of-first".into(),
        attempt,
        acceptance: String::new(),
        released: false,
    }
}

fn started(frame: u32, task: &str, detail: Detail) -> Event {
    let task = task.to_owned();
    Event::TaskStarted(TaskStarted { frame, task, detail: Some(detail), ..Default::default() })
}

/// A function fails, is tried again, is lost with its killed worker, runs elsewhere; then a pause.
fn events() -> Vec<(i64, Event)> {
    let output = |by: &str| Some(json!({ "n": 2, "by": by }).to_string().into());
    vec![
        (100_000, Event::WorkflowStarted(WorkflowStarted::default())),
        (100_000, started(2, "/do/0/first", Detail::Call(CallDetail::default()))),
        (
            100_050,
            Event::AttemptFailed(AttemptFailed {
                frame: 2,
                execution: execution(1, "worker-1"),
                failure: 1,
                ..Default::default()
            }),
        ),
        (
            100_400,
            Event::AttemptLost(AttemptLost {
                frame: 2,
                execution: execution(2, "worker-1"),
                losses: 1,
                ..Default::default()
            }),
        ),
        (
            100_500,
            Event::TaskCompleted(TaskCompleted {
                frame: 2,
                output: output("worker-2:7:3"),
                execution: execution(3, "worker-2"),
                ..Default::default()
            }),
        ),
        (100_500, started(3, "/do/1/pause", Detail::Wait(Wait { until: at(101_000) }))),
        (101_001, Event::TaskCompleted(TaskCompleted { frame: 3, ..Default::default() })),
        (
            101_001,
            Event::EventReceived(EventReceived { id: "event-1".into(), ..Default::default() }),
        ),
        (101_001, Event::WorkflowCompleted(WorkflowCompleted { output: "2".into() })),
    ]
}

fn story(events: Vec<(i64, Event)>) -> Story {
    let numbered = (1..).zip(events);
    let history = numbered
        .map(|(seq, (ms, event))| HistoryEvent { seq, at: at(ms), event: Some(event) })
        .collect();
    let mut workflow = Workflow { id: ID.into(), ..Default::default() };
    workflow.set_phase(Phase::Completed);
    workflow.output = Some(Payload { data: "2".into(), ..Default::default() });
    Story { workflow, history }
}

fn sound() -> Evidence {
    let call = |call: &str, event: &str| Call {
        call: call.into(),
        at_ms: 99_900,
        answered_ms: 99_950,
        outcome: Outcome::Ok,
        reason: String::new(),
        workflow: ID.into(),
        key: "1-1".into(),
        kind: "linear".into(),
        event: event.into(),
        phase: "completed".into(),
        output: json!(2),
    };
    let kill = Fault {
        kind: "kill".into(),
        target: "worker-1".into(),
        service: "worker".into(),
        pid: Some(7),
        at_ms: 100_350,
        until_ms: 100_380,
        back_ms: Some(100_380),
        bitten: true,
        skipped: false,
        how: String::new(),
    };
    let promise = Promise {
        workflow: ID.into(),
        key: "1-1".into(),
        kind: "linear".into(),
        phase: "completed".into(),
        output: json!(2),
        accepted_ms: 99_950,
    };
    Evidence {
        meta: json!({ "rate": 1.0 }),
        calls: vec![call("start", ""), call("signal", "event-1")],
        promises: vec![promise],
        ledger: vec![
            entry(100_010, "start", "worker-1", 1),
            entry(100_040, "fail", "worker-1", 1),
            entry(100_300, "start", "worker-1", 2),
            entry(100_450, "start", "worker-2", 3),
            entry(100_490, "finish", "worker-2", 3),
        ],
        faults: vec![kill],
        stories: BTreeMap::from([(ID.to_owned(), story(events()))]),
        dead_letters: Ok(Vec::new()),
        breakers: Ok(Vec::new()),
        events: Err("there is no reader in this run".into()),
        database: Ok(Database {
            workflows: BTreeMap::from([("1-1".into(), vec![ID.to_owned()])]),
            ids: BTreeSet::from([ID.to_owned()]),
            logs: vec![(1, 1, 9, 9)],
            ..Database::default()
        }),
    }
}

fn broken(evidence: &Evidence) -> Vec<String> {
    let report = report::of(evidence);
    let findings = report["invariants"].as_array().unwrap();
    let broken = findings.iter().filter(|finding| finding["holds"] == false);
    broken.map(|finding| finding["number"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sound_run_holds_and_counts() {
    let report = report::of(&sound());
    assert_eq!(report["holds"], Value::Bool(true), "{report:#}");
    assert_eq!(report["valid"], Value::Bool(true), "{report:#}");
    assert_eq!(report["figures"]["worker kill: runs elsewhere, ms, alone"], Value::Null);
    assert_eq!(report["figures"]["worker kill, alone: runs elsewhere, ms"]["p99"], 100);
}

#[test]
fn a_fault_that_did_not_bite_makes_the_run_invalid() {
    let mut evidence = sound();
    evidence.faults[0].bitten = false;
    assert_eq!(report::of(&evidence)["valid"], Value::Bool(false));
    evidence.faults.clear();
    assert_eq!(report::of(&evidence)["valid"], Value::Bool(false));
}

/// What is done to a sound run, and the invariant that must be found broken.
type Case = (&'static str, fn(&mut Evidence));

fn with(evidence: &mut Evidence, change: impl FnOnce(&mut Vec<(i64, Event)>)) {
    let mut changed = events();
    change(&mut changed);
    evidence.stories.insert(ID.into(), story(changed));
}

#[test]
fn every_broken_promise_is_found() {
    let cases: [Case; 24] = [
        ("1", |e| e.stories.clear()),
        ("1", |e| {
            let again = Promise { workflow: "0198-b".into(), ..e.promises[0].clone() };
            e.stories.insert("0198-b".into(), e.stories[ID].clone());
            e.promises.push(again);
        }),
        ("1", |e| e.database.as_mut().unwrap().ids.clear()),
        ("2", |e| with(e, |events| drop(events.remove(7)))),
        ("3", |e| drop(e.ledger.pop())),
        ("5", |e| with(e, |events| events.insert(5, events[4].clone()))),
        ("6", |e| {
            with(e, |events| {
                if let Event::TaskCompleted(completed) = &mut events[4].1 {
                    completed.execution = execution(2, "worker-1");
                }
            });
        }),
        ("7", |e| e.ledger.push(again(3, "ACCEPTANCE_STALE"))),
        ("7", |e| e.ledger.push(again(2, "ACCEPTANCE_ACCEPTED"))),
        ("8", |e| e.ledger.push(entry(100_460, "start", "worker-3", 3))),
        ("8", |e| e.ledger[2].at_ms = 100_470),
        ("9", |e| with(e, |events| events.insert(5, events[4].clone()))),
        ("10", |e| e.ledger[3].key = "another".into()),
        ("11", |e| {
            e.ledger[3].at_ms += 12_000;
            e.ledger[4].at_ms += 12_000;
        }),
        ("12", |e| e.promises[0].output = json!(3)),
        ("13", |e| e.database.as_mut().unwrap().open_timers = 1),
        ("14", |e| with(e, |events| events[6].0 = 100_990)),
        ("15", |e| e.faults[0].target = "worker-2".into()),
        ("17", |e| {
            e.calls[0].answered_ms = 112_000;
            e.faults.push(outage());
        }),
        ("18", |e| e.stories.get_mut(ID).unwrap().history[3].seq = 5),
        ("19", |e| e.stories.get_mut(ID).unwrap().workflow.set_phase(Phase::Faulted)),
        ("20", |e| with(e, |events| events.push(events[8].clone()))),
        ("24", |e| {
            with(e, |events| {
                if let Event::AttemptFailed(failed) = &mut events[2].1 {
                    failed.failure = 2;
                }
            });
        }),
        ("30", |e| e.database.as_mut().unwrap().logs[0].3 = 8),
    ];
    for (number, plant) in cases {
        let mut evidence = sound();
        plant(&mut evidence);
        let broken = broken(&evidence);
        assert!(broken.iter().any(|found| found == number), "{number} is not in {broken:?}");
    }
}

/// The result of an attempt, reported again.
fn again(attempt: u32, acceptance: &str) -> Entry {
    let entry = entry(100_600, "again", "worker-2", attempt);
    Entry { acceptance: acceptance.into(), ..entry }
}

/// PostgreSQL was away for a second when the start was asked for.
fn outage() -> Fault {
    Fault {
        kind: "crash".into(),
        target: "postgres".into(),
        service: "postgres".into(),
        pid: None,
        at_ms: 99_800,
        until_ms: 100_800,
        back_ms: Some(100_800),
        bitten: true,
        skipped: false,
        how: String::new(),
    }
}

#[test]
fn what_is_repeated_and_answered_the_same_holds() {
    let mut evidence = sound();
    evidence.ledger.push(again(3, "ACCEPTANCE_ACCEPTED"));
    evidence.ledger.push(again(2, "ACCEPTANCE_STALE"));
    assert!(broken(&evidence).is_empty());
}

/// The poisonous second task of a workflow was lost as often as there are workers, and the task
/// before it twice with the first of them.
fn poisoned(workers: &[&str]) -> Evidence {
    let mut evidence = sound();
    let call = || Detail::Call(CallDetail::default());
    let lost = |frame, attempt: usize, worker| {
        let attempt = u32::try_from(attempt).unwrap();
        let execution = execution(attempt, worker);
        Event::AttemptLost(AttemptLost { frame, execution, losses: attempt, ..Default::default() })
    };
    let mut events = vec![started(2, "/do/0/first", call())];
    events.extend([1, 2].map(|attempt| lost(2, attempt, workers[0])));
    events.push(started(3, "/do/1/poison", call()));
    events.extend((1..).zip(workers).map(|(attempt, worker)| lost(3, attempt, worker)));
    let told = story((100_000..).zip(events).collect());
    evidence.stories.insert(ID.into(), told);
    evidence.promises[0].kind = "poison".into();
    let workflow_id = ID.to_owned();
    evidence.dead_letters = Ok(vec![DeadLetter { workflow_id, ..DeadLetter::default() }]);
    evidence
}

#[test]
fn what_kills_its_workers_is_judged_by_its_own_losses() {
    for (workers, expected) in [
        (&["worker-4", "worker-2", "worker-4"][..], false),
        (&["worker-4", "worker-2", "worker-4", "worker-4", "worker-4"][..], false),
        (&["worker-4", "worker-2"][..], true),
        (&["worker-4", "worker-4", "worker-4"][..], true),
        (&["worker-4"; 6][..], false),
        (&["worker-4", "worker-2"].repeat(6)[..], true),
    ] {
        let broken = broken(&poisoned(workers));
        assert_eq!(broken.iter().any(|found| found == "27"), expected, "{workers:?}");
    }
}

/// The first attempt of the sound run was lost as well, and the third waited for its trial.
fn tried(taken_ms: i64) -> Evidence {
    let mut evidence = sound();
    evidence.ledger.remove(1);
    evidence.ledger[2].at_ms += 12_000;
    evidence.ledger[3].at_ms += 12_000;
    with(&mut evidence, |events| events[3].0 = taken_ms);
    evidence
}

#[test]
fn a_suspect_may_wait_for_its_trial_but_is_taken_from_its_worker_in_time() {
    let waited = |taken_ms| broken(&tried(taken_ms)).iter().any(|found| found == "11");
    assert!(!waited(100_400));
    assert!(waited(111_400));
}

#[test]
fn what_was_lost_on_its_way_to_a_worker_was_lost_before() {
    let mut evidence = sound();
    evidence.ledger.drain(..2);
    evidence.ledger.iter_mut().for_each(|entry| entry.key = format!("{ID}/2"));
    let figure = |evidence: &Evidence, whom: &str| {
        let name = format!("worker kill, alone{whom}: runs elsewhere, ms");
        report::of(evidence)["figures"][name]["count"].clone()
    };
    assert_eq!(
        (figure(&evidence, ""), figure(&evidence, ", lost before")),
        (json!(1), json!(null))
    );
    with(&mut evidence, |events| {
        let (frame, losses, execution) = (2, 1, execution(1, "worker-3"));
        let lost = AttemptLost { frame, losses, execution, ..Default::default() };
        events[2].1 = Event::AttemptLost(lost);
    });
    assert_eq!(
        (figure(&evidence, ""), figure(&evidence, ", lost before")),
        (json!(null), json!(1))
    );
}

#[test]
fn a_run_in_which_nothing_was_lost_has_shown_that() {
    let mut evidence = sound();
    evidence.faults.clear();
    with(&mut evidence, |events| drop(events.remove(3)));
    let report = report::of(&evidence);
    let findings = report["invariants"].as_array().unwrap();
    let deaths = findings.iter().find(|finding| finding["number"] == "15").unwrap();
    assert_eq!((&deaths["holds"], &deaths["checked"]), (&json!(true), &json!(2)));
}

/// The second attempt of the sound run begins after the third: it waited while somebody was
/// stopped.
fn woken(kind: &str, target: &str, pid: u64, at_ms: u64) -> Evidence {
    let mut evidence = sound();
    evidence.meta["gateway_of"] = json!({ "worker-1": "gateway-1" });
    evidence.ledger[2].at_ms = 100_470;
    let (kind, target, pid) = (kind.into(), target.into(), Some(pid));
    let back_ms = Some(100_465);
    let fault = Fault { kind, target, pid, at_ms, until_ms: 100_465, back_ms, ..outage() };
    evidence.faults.push(fault);
    evidence
}

#[test]
fn an_attempt_that_was_held_back_may_begin_late_and_must_not_count() {
    for (kind, target, pid) in
        [("stop", "worker-1", 7), ("blackhole", "worker-1", 0), ("stop", "gateway-1", 8)]
    {
        let held = woken(kind, target, pid, 100_400);
        assert!(!broken(&held).contains(&"8".to_owned()), "{kind} {target}");
    }
    for (evidence, why) in [
        (woken("stop", "worker-1", 8, 100_400), "it was another process"),
        (woken("stop", "worker-2", 7, 100_400), "it was another worker"),
        (woken("stop", "gateway-2", 8, 100_400), "it was another gateway"),
        (woken("kill", "worker-1", 7, 100_400), "it was not stopped"),
        (woken("stop", "worker-1", 7, 100_455), "the newer one had begun before"),
    ] {
        assert!(broken(&evidence).contains(&"8".to_owned()), "{why}");
    }
    let mut counts = woken("stop", "worker-1", 7, 100_400);
    with(&mut counts, |events| {
        if let Event::TaskCompleted(completed) = &mut events[4].1 {
            completed.execution = execution(2, "worker-1");
        }
    });
    assert!(broken(&counts).contains(&"8".to_owned()), "it counts");
    let mut twice = woken("stop", "worker-1", 7, 100_400);
    twice.ledger.push(entry(100_468, "start", "worker-1", 2));
    assert!(broken(&twice).contains(&"8".to_owned()), "a number is used once");
}

#[test]
fn an_open_breaker_that_lets_something_through_is_found() {
    let change = |at_ms: i64, to: BreakerPhase| BreakerChange {
        key: Some(BreakerKey { function: "chaos-down".into(), ..Default::default() }),
        to: to.into(),
        at: at(at_ms),
        until: at(140_000),
        ..Default::default()
    };
    let begins = |at_ms: u64, key: &str| {
        let entry = entry(at_ms, "start", "worker-1", 1);
        Entry { task: format!("/do/{key}/down"), key: key.into(), ..entry }
    };
    let mut evidence = sound();
    evidence.breakers =
        Ok(vec![change(125_000, BreakerPhase::Open), change(140_000, BreakerPhase::HalfOpen)]);
    // Before everybody knows, and as many as are probed.
    evidence.ledger.push(begins(125_500, "early"));
    for key in ["a", "b", "c", "d", "e"] {
        evidence.ledger.push(begins(142_000, key));
    }
    assert!(!broken(&evidence).contains(&"26".to_owned()));
    evidence.ledger.push(begins(143_000, "f"));
    assert!(broken(&evidence).contains(&"26".to_owned()), "six probes");
    evidence.ledger.pop();
    evidence.ledger.push(begins(130_000, "f"));
    assert!(broken(&evidence).contains(&"26".to_owned()), "it was open");
}
