//! Facts and the events they become.

use planaria_fake_mesh::{attempt_failed, healing, record_at, session_closed, workflow_events};
use planaria_proto::orchestrator::v1::{LogPosition, LogRecord, log_record};
use planaria_proto::types::v1::{CloudEvent, Healing, HealingAction, Signal};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{
    EventEmitted, TaskCompleted, TaskSkipped, TaskStarted, WorkflowStarted,
};
use prost_types::{Duration, Timestamp};
use serde_json::{Value, json};

use super::{drafts, kind};

/// 2023-11-14T22:13:20Z.
const AT: u64 = 1_700_000_000_000;

fn record(body: log_record::Body) -> LogRecord {
    LogRecord { position: Some(LogPosition { log: 2, seq: 9 }), ..record_at(body, AT) }
}

fn events(body: log_record::Body) -> Vec<CloudEvent> {
    let drafts = drafts(&record(body)).into_iter();
    drafts
        .map(|draft| {
            let task = draft.frame.map(|frame| format!("/do/{frame}"));
            draft.finish(task.as_deref())
        })
        .collect()
}

fn data(event: &CloudEvent) -> Value {
    serde_json::from_slice(&event.data).unwrap()
}

#[test]
fn lifecycle_events_have_the_data_of_the_language() {
    let body = workflow_events(
        "w1",
        1,
        [
            Event::WorkflowStarted(WorkflowStarted::default()),
            Event::TaskStarted(TaskStarted { task: "/do/0/a".into(), ..TaskStarted::default() }),
            Event::TaskSkipped(TaskSkipped::default()),
            Event::TaskCompleted(TaskCompleted { frame: 1, ..TaskCompleted::default() }),
        ],
    );
    let events = events(body);
    let kinds: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(kinds, [kind::WORKFLOW_STARTED, kind::TASK_STARTED, kind::TASK_COMPLETED]);
    // Named by their place, also where a fact between them makes no event.
    let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["2-9-0", "2-9-1", "2-9-3"]);
    let numbers: Vec<_> = events.iter().map(|event| event.extensions["sequence"].clone()).collect();
    assert_eq!(numbers, [1, 2, 4].map(|number| format!("{number:020}")));
    let started = &events[0];
    assert_eq!((started.source.as_str(), started.subject.as_str()), ("/namespaces/shop", "w1"));
    assert_eq!(started.spec_version, "1.0");
    assert_eq!(started.time.unwrap().seconds, 1_700_000_000);
    let expected = json!({
        "name": "order-w1.shop",
        "definition": { "namespace": "shop", "name": "order", "version": "1.0.0" },
        "startedAt": "2023-11-14T22:13:20Z",
    });
    assert_eq!(data(started), expected);
    let expected = json!({
        "workflow": "order-w1.shop", "task": "/do/1", "completedAt": "2023-11-14T22:13:20Z",
    });
    assert_eq!(data(&events[2]), expected);
}

#[test]
fn failures_carry_their_error_and_attempt() {
    let failed = Event::AttemptFailed(attempt_failed(4, 2, true));
    let event = events(workflow_events("w1", 1, [failed])).remove(0);
    assert_eq!(event.r#type, kind::ATTEMPT_FAILED);
    let data = data(&event);
    assert_eq!((&data["task"], &data["attempt"]), (&json!("/do/4"), &json!(2)));
    let error = json!({ "type": "https://example.com/errors/declined", "status": 402 });
    assert_eq!(data["error"], error);
}

#[test]
fn what_workflows_emit_is_passed_on_as_it_is() {
    let emitted = |event: Value| {
        let event = EventEmitted { frame: 1, event: event.to_string().into() };
        events(workflow_events("w1", 1, [Event::EventEmitted(event)])).remove(0)
    };
    let event = emitted(json!({
        "id": "e1", "source": "https://shop.example", "specversion": "1.0",
        "type": "com.example.paid.v1", "time": "2023-11-14T22:13:20Z", "tenant": "a",
        "data": { "amount": 3 },
    }));
    assert_eq!((event.id.as_str(), event.r#type.as_str()), ("e1", "com.example.paid.v1"));
    assert_eq!(event.time, Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }));
    assert_eq!(
        (event.extensions["tenant"].as_str(), event.data.as_ref()),
        ("a", &b"{\"amount\":3}"[..])
    );
    let text = emitted(json!({ "type": "t", "datacontenttype": "text/plain", "data": "hello" }));
    assert_eq!((text.id.as_str(), text.data.as_ref()), ("2-9-0", &b"hello"[..]));
    let binary = emitted(json!({ "type": "t", "data_base64": "AAEC" }));
    assert_eq!(binary.data.as_ref(), [0, 1, 2]);
}

#[test]
fn a_healing_is_told_when_it_is_detected_and_when_it_is_healed() {
    let mut one = Healing {
        id: "h1".into(),
        signal: Signal::StreamLost.into(),
        action: HealingAction::Rerun.into(),
        lost_worker: "w".into(),
        ..Healing::default()
    };
    let detected = events(healing(one.clone())).remove(0);
    assert_eq!(detected.r#type, kind::HEALING_DETECTED);
    let expected = json!({
        "id": "h1", "signal": "STREAM_LOST", "action": "RERUN", "lostWorker": "w",
        "lostAttempt": 0, "newAttempt": 0,
    });
    assert_eq!(data(&detected), expected);
    one.healed_at = Some(Timestamp { seconds: 1_700_000_000, nanos: 0 });
    one.healed_after = Some(Duration { seconds: 1, nanos: 5_000_000 });
    let healed = events(healing(one)).remove(0);
    assert_eq!(healed.r#type, kind::HEALING_HEALED);
    assert_eq!(data(&healed)["healedAfterMs"], 1_005);
}

#[test]
fn a_worker_that_said_goodbye_left_and_another_was_lost() {
    let kind_of = |signal: Signal| {
        let log_record::Body::Session(mut change) = session_closed("w", "gone") else { panic!() };
        change.signal = signal.into();
        events(log_record::Body::Session(change)).remove(0).r#type
    };
    assert_eq!(kind_of(Signal::Drained), kind::WORKER_LEFT);
    assert_eq!(kind_of(Signal::LeaseExpired), kind::WORKER_LOST);
}
