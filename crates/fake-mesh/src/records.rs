//! Log records in a line each.

use planaria_proto::orchestrator::v1::{LogRecord, SessionChange, WorkflowRecord, log_record};
use planaria_proto::types::v1::{DefinitionReference, Healing, WorkflowError};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{AttemptFailed, Execution, HistoryEvent, HistoryRecord};
use prost_types::Timestamp;

/// A record at a time (Unix milliseconds).
#[must_use]
pub fn record_at(body: log_record::Body, at_ms: u64) -> LogRecord {
    let mut record = LogRecord {
        position: None,
        namespace: "default".into(),
        at: Some(timestamp(at_ms)),
        body: Some(body),
    };
    if let Some(log_record::Body::Workflow(workflow)) = &mut record.body
        && let Some(history) = &mut workflow.record
    {
        history.at = record.at;
    }
    record
}

/// A worker opened a session that has its name.
#[must_use]
pub fn session_opened(worker: &str) -> log_record::Body {
    log_record::Body::Session(SessionChange {
        session_id: format!("session-of-{worker}"),
        worker_id: worker.to_owned(),
        opened: true,
        ..SessionChange::default()
    })
}

/// The session of a worker ended.
#[must_use]
pub fn session_closed(worker: &str, detail: &str) -> log_record::Body {
    log_record::Body::Session(SessionChange {
        session_id: format!("session-of-{worker}"),
        worker_id: worker.to_owned(),
        opened: false,
        detail: detail.to_owned(),
        ..SessionChange::default()
    })
}

/// A healing.
#[must_use]
pub const fn healing(healing: Healing) -> log_record::Body {
    log_record::Body::Healing(healing)
}

/// The definition that all workflows of these tests have.
#[must_use]
pub fn definition() -> DefinitionReference {
    DefinitionReference { namespace: "shop".into(), name: "order".into(), version: "1.0.0".into() }
}

/// One step of a workflow: its events, the first with this number.
#[must_use]
pub fn workflow_events(
    workflow: &str,
    first_seq: u64,
    events: impl IntoIterator<Item = Event>,
) -> log_record::Body {
    let events = events.into_iter().map(event).collect();
    log_record::Body::Workflow(WorkflowRecord {
        workflow_id: workflow.to_owned(),
        definition: Some(definition()),
        record: Some(HistoryRecord { first_seq, events, ..HistoryRecord::default() }),
    })
}

/// An event without number and time, as a record has it.
#[must_use]
pub const fn event(event: Event) -> HistoryEvent {
    HistoryEvent { seq: 0, at: None, event: Some(event) }
}

/// An attempt of a task failed for the `failure`-th time.
#[must_use]
pub fn attempt_failed(frame: u32, failure: u32, retryable: bool) -> AttemptFailed {
    AttemptFailed {
        frame,
        execution: Some(Execution { attempt: failure, ..Execution::default() }),
        error: Some(WorkflowError {
            r#type: "https://example.com/errors/declined".into(),
            status: 402,
            ..WorkflowError::default()
        }),
        failure,
        retryable,
        function: "charge-card:1.0.0".into(),
        ..AttemptFailed::default()
    }
}

fn timestamp(at_ms: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(at_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(at_ms % 1_000 * 1_000_000).unwrap_or_default(),
    }
}
