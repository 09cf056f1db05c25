//! A small run that kept every promise, and what the checker says when one of them is broken in it.

use std::collections::{BTreeMap, BTreeSet};

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
    let cases: [Case; 20] = [
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
        ("8", |e| e.ledger.push(entry(100_460, "start", "worker-3", 3))),
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
