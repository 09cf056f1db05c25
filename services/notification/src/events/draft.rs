//! Events of workflows and tasks.

use planaria_proto::orchestrator::v1::{LogPosition, LogRecord, WorkflowRecord, log_record};
use planaria_proto::types::v1::{CloudEvent, WorkflowError};
use planaria_proto::workflow::v1::Execution;
use planaria_proto::workflow::v1::history_event::Event;
use prost_types::Timestamp;
use serde_json::{Value, json};

use super::{emitted, kind, mesh};
use crate::filter::namespace_of;

/// An event that is complete but for the name of its task.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    /// The event's number in its record, the same whenever the record is read.
    pub(crate) index: usize,
    /// The run of the task to name in the data, if the fact does not name it itself.
    pub(crate) frame: Option<u32>,
    event: CloudEvent,
    /// The data; none if the event has it already.
    data: Option<Value>,
}

impl Draft {
    pub(crate) fn kind(&self) -> &str {
        &self.event.r#type
    }

    /// The event, with the name of its task (JSON pointer).
    pub(crate) fn finish(mut self, task: Option<&str>) -> CloudEvent {
        if let (Some(Value::Object(members)), Some(task)) = (&mut self.data, task) {
            members.insert("task".into(), task.into());
        }
        if let Some(data) = self.data {
            self.event.data_content_type = "application/json".into();
            self.event.data = data.to_string().into();
        }
        self.event
    }
}

/// The events of a record, in order.
pub(crate) fn drafts(record: &LogRecord) -> Vec<Draft> {
    let position = record.position.unwrap_or_default();
    let facts: Vec<Option<Made>> = match &record.body {
        Some(log_record::Body::Workflow(workflow)) => {
            let events = workflow.record.iter().flat_map(|record| &record.events);
            let at = workflow.record.as_ref().and_then(|history| history.at).or(record.at);
            let first_seq = workflow.record.as_ref().map_or(0, |history| history.first_seq);
            events
                .zip(first_seq..)
                .map(|(event, seq)| {
                    of_workflow(workflow, event.event.as_ref()?, event.at.or(at), seq)
                })
                .collect()
        }
        Some(log_record::Body::Healing(healing)) => vec![Some(mesh::healing(healing))],
        Some(log_record::Body::Session(session)) => vec![Some(mesh::session(session))],
        None => Vec::new(),
    };
    let numbered = facts.into_iter().enumerate();
    numbered.filter_map(|(index, made)| Some(draft(record, position, index, made?))).collect()
}

/// What a fact makes of an event; the rest follows from its place.
pub(super) enum Made {
    Ours {
        kind: &'static str,
        subject: String,
        data: Value,
        /// Of the task to name.
        frame: Option<u32>,
        at: Option<Timestamp>,
        /// Its number in the history of its workflow, if it has one.
        seq: Option<u64>,
    },
    /// An event of a workflow's own.
    Emitted(CloudEvent),
}

fn draft(record: &LogRecord, position: LogPosition, index: usize, made: Made) -> Draft {
    // Unique and stable: the place of the fact in the log.
    let id = format!("{}-{}-{index}", position.log, position.seq);
    match made {
        Made::Emitted(mut event) => {
            if event.id.is_empty() {
                event.id = id;
            }
            Draft { index, frame: None, event, data: None }
        }
        Made::Ours { kind, subject, data, frame, at, seq } => {
            // To be ordered as text, as the extension of CloudEvents wants it.
            let sequence = seq.map(|seq| ("sequence".to_owned(), format!("{seq:020}")));
            let event = CloudEvent {
                id,
                source: format!("/namespaces/{}", namespace_of(record)),
                spec_version: "1.0".into(),
                r#type: kind.into(),
                time: at.or(record.at),
                subject,
                extensions: sequence.into_iter().collect(),
                ..CloudEvent::default()
            };
            Draft { index, frame, event, data: Some(data) }
        }
    }
}

fn of_workflow(
    workflow: &WorkflowRecord,
    event: &Event,
    at: Option<Timestamp>,
    seq: u64,
) -> Option<Made> {
    let name = qualified_name(workflow);
    let time = at.map(|at| at.to_string());
    let (kind, data, frame) = match event {
        Event::WorkflowStarted(_) => {
            let definition = workflow.definition.clone().unwrap_or_default();
            let definition = json!({
                "namespace": definition.namespace,
                "name": definition.name,
                "version": definition.version,
            });
            let data = json!({ "name": name, "definition": definition, "startedAt": time });
            (kind::WORKFLOW_STARTED, data, None)
        }
        Event::WorkflowSuspended(suspended) => {
            let data = json!({ "name": name, "suspendedAt": time, "reason": suspended.reason });
            (kind::WORKFLOW_SUSPENDED, data, None)
        }
        Event::WorkflowResumed(_) => {
            (kind::WORKFLOW_RESUMED, json!({ "name": name, "resumedAt": time }), None)
        }
        Event::WorkflowCancelled(cancelled) => {
            let data = json!({ "name": name, "cancelledAt": time, "reason": cancelled.reason });
            (kind::WORKFLOW_CANCELLED, data, None)
        }
        Event::WorkflowFaulted(faulted) => {
            let error = error(faulted.error.as_ref());
            let data = json!({ "name": name, "faultedAt": time, "error": error });
            (kind::WORKFLOW_FAULTED, data, None)
        }
        Event::WorkflowCompleted(_) => {
            (kind::WORKFLOW_COMPLETED, json!({ "name": name, "completedAt": time }), None)
        }
        Event::WorkflowRetried(retried) => {
            let data = json!({ "name": name, "retriedAt": time, "reason": retried.reason });
            (kind::WORKFLOW_RETRIED, data, None)
        }
        Event::WorkflowRerun(rerun) => {
            let data = json!({ "name": name, "rerunAt": time, "task": rerun.task });
            (kind::WORKFLOW_RERUN, data, None)
        }
        Event::EventEmitted(emitted) => return emitted::event(&emitted.event).map(Made::Emitted),
        event => of_task(event, &name, time.as_deref())?,
    };
    let (subject, seq) = (workflow.workflow_id.clone(), Some(seq));
    Some(Made::Ours { kind, subject, data, frame, at, seq })
}

fn of_task(
    event: &Event,
    workflow: &str,
    time: Option<&str>,
) -> Option<(&'static str, Value, Option<u32>)> {
    Some(match event {
        Event::TaskStarted(started) => {
            let data = json!({ "workflow": workflow, "task": started.task, "startedAt": time });
            (kind::TASK_STARTED, data, None)
        }
        Event::TaskCompleted(completed) => {
            let data = json!({ "workflow": workflow, "completedAt": time });
            (kind::TASK_COMPLETED, data, Some(completed.frame))
        }
        Event::TaskFaulted(faulted) => {
            let error = error(faulted.error.as_ref());
            let data = json!({ "workflow": workflow, "faultedAt": time, "error": error });
            (kind::TASK_FAULTED, data, Some(faulted.frame))
        }
        Event::RetryStarted(retried) => {
            let data = json!({ "workflow": workflow, "retriedAt": time });
            (kind::TASK_RETRIED, data, Some(retried.frame))
        }
        Event::AttemptFailed(failed) => {
            let (attempt, worker) = execution(failed.execution.as_ref());
            let data = json!({
                "workflow": workflow, "failedAt": time, "attempt": attempt, "worker": worker,
                "failure": failed.failure, "retryable": failed.retryable,
                "function": failed.function, "error": error(failed.error.as_ref()),
            });
            (kind::ATTEMPT_FAILED, data, Some(failed.frame))
        }
        Event::AttemptLost(lost) => {
            let (attempt, worker) = execution(lost.execution.as_ref());
            let data = json!({
                "workflow": workflow, "lostAt": time, "attempt": attempt, "worker": worker,
                "losses": lost.losses, "signal": mesh::signal(lost.signal()),
                "detail": lost.detail,
            });
            (kind::ATTEMPT_LOST, data, Some(lost.frame))
        }
        // Told by what they lead to, or of no concern to the world outside.
        _ => return None,
    })
}

/// As the DSL names running workflows: `order-8f14e45f.shop`.
fn qualified_name(workflow: &WorkflowRecord) -> String {
    let (name, namespace) = match &workflow.definition {
        Some(definition) => (definition.name.as_str(), definition.namespace.as_str()),
        None => ("", ""),
    };
    format!("{name}-{}.{namespace}", workflow.workflow_id)
}

fn error(error: Option<&WorkflowError>) -> Value {
    let Some(error) = error else { return Value::Null };
    let mut members = serde_json::Map::new();
    members.insert("type".into(), error.r#type.as_str().into());
    members.insert("status".into(), error.status.into());
    let optional =
        [("title", &error.title), ("detail", &error.detail), ("instance", &error.instance)];
    for (name, text) in optional.into_iter().filter(|(_, text)| !text.is_empty()) {
        members.insert(name.into(), text.as_str().into());
    }
    Value::Object(members)
}

fn execution(execution: Option<&Execution>) -> (u32, &str) {
    execution.map_or((0, ""), |execution| (execution.attempt, execution.worker_id.as_str()))
}
