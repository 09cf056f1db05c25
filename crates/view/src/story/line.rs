//! One event of a history as a line, and what it carries as a document.

use planaria_proto::types::v1::{Signal, WorkflowError};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::task_started::Detail;
use planaria_proto::workflow::v1::{Execution, Flow, HistoryEvent};
use prost_types::Timestamp;
use serde_json::{Map, Value, json};

use super::Story;
use crate::letters;
use crate::names;
use crate::words::millis;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The workflow as a whole.
    Workflow,
    /// A task that was entered or left.
    Task,
    /// An attempt that failed or was lost.
    Attempt,
    /// An error that was raised or caught.
    Error,
    /// An event of the world outside.
    Event,
}

impl Class {
    /// All, as a filter offers them.
    pub const ALL: [Self; 5] =
        [Self::Workflow, Self::Task, Self::Attempt, Self::Error, Self::Event];

    /// As the filter calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Task => "task",
            Self::Attempt => "attempt",
            Self::Error => "error",
            Self::Event => "event",
        }
    }

    /// What an event is about.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event {
            Event::WorkflowStarted(_)
            | Event::WorkflowSuspended(_)
            | Event::WorkflowResumed(_)
            | Event::WorkflowCancelled(_)
            | Event::WorkflowFaulted(_)
            | Event::WorkflowCompleted(_)
            | Event::WorkflowRetried(_)
            | Event::WorkflowRerun(_) => Self::Workflow,
            Event::TaskStarted(_) | Event::TaskCompleted(_) | Event::TaskSkipped(_) => Self::Task,
            Event::AttemptFailed(_) | Event::AttemptLost(_) => Self::Attempt,
            Event::TaskFaulted(_) | Event::ErrorCaught(_) | Event::RetryStarted(_) => Self::Error,
            Event::EventEmitted(_) | Event::EventReceived(_) | Event::EventConsumed(_) => {
                Self::Event
            }
        }
    }
}

/// An event as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Position in the history.
    pub seq: u64,
    /// When.
    pub at_ms: i64,
    /// What it is about.
    pub class: Class,
    /// JSON pointer of the task, if it is about one.
    pub task: String,
    /// What happened.
    pub text: String,
    /// Something went wrong.
    pub bad: bool,
}

impl Line {
    /// Tells an event. The story knows which task a frame is of.
    #[must_use]
    pub fn of(event: &HistoryEvent, story: &Story) -> Option<Self> {
        let fact = event.event.as_ref()?;
        let told = letters::tell(event)?;
        let task = match (fact, frame(fact)) {
            (Event::TaskStarted(event), _) => event.task.clone(),
            (Event::TaskSkipped(event), _) => event.task.clone(),
            (Event::WorkflowFaulted(event), _) => event.task.clone(),
            (Event::WorkflowRerun(event), _) => event.task.clone(),
            (_, Some(frame)) => story.run(frame).map(|run| run.task.clone()).unwrap_or_default(),
            (_, None) => String::new(),
        };
        // The task stands beside it.
        let what = match fact {
            Event::TaskStarted(_) => "started".to_owned(),
            Event::TaskSkipped(_) => "left out: its condition was false".to_owned(),
            _ => told.what.strip_prefix("the task ").map_or(told.what.clone(), str::to_owned),
        };
        let text = if told.more.is_empty() { what } else { format!("{what}: {}", told.more) };
        let at_ms = event.at.as_ref().map(millis).unwrap_or_default();
        Some(Self { seq: event.seq, at_ms, class: Class::of(fact), task, text, bad: told.bad })
    }

    /// Whether a text stands in it; `text` is in small letters.
    #[must_use]
    pub fn has(&self, text: &str) -> bool {
        text.is_empty()
            || self.task.to_lowercase().contains(text)
            || self.text.to_lowercase().contains(text)
    }
}

/// The run that an event is about.
#[must_use]
pub fn frame(event: &Event) -> Option<u32> {
    Some(match event {
        Event::TaskStarted(event) => event.frame,
        Event::TaskCompleted(event) => event.frame,
        Event::TaskFaulted(event) => event.frame,
        Event::AttemptFailed(event) => event.frame,
        Event::AttemptLost(event) => event.frame,
        Event::ErrorCaught(event) => event.frame,
        Event::RetryStarted(event) => event.frame,
        Event::EventEmitted(event) => event.frame,
        Event::EventConsumed(event) => event.frame,
        _ => return None,
    })
}

/// All that an event carries, as a document for people; what is empty is left out.
#[must_use]
pub fn payload(event: &HistoryEvent) -> Value {
    let Some(fact) = &event.event else { return Value::Null };
    let fields = match fact {
        Event::WorkflowStarted(it) => {
            json!({ "input": data(&it.input), "traceParent": it.trace_parent })
        }
        Event::WorkflowSuspended(it) => json!({ "reason": it.reason }),
        Event::WorkflowCancelled(it) => json!({ "reason": it.reason }),
        Event::WorkflowRetried(it) => json!({ "reason": it.reason }),
        Event::WorkflowResumed(_) => json!({}),
        Event::WorkflowFaulted(it) => {
            json!({ "task": it.task, "frame": it.frame, "error": error(it.error.as_ref()) })
        }
        Event::WorkflowCompleted(it) => json!({ "output": data(&it.output) }),
        Event::WorkflowRerun(it) => json!({
            "task": it.task, "fromSeq": it.from_seq,
            "input": it.input.as_ref().map(|input| data(input)),
        }),
        Event::TaskStarted(it) => {
            let (arguments, until, items) = match &it.detail {
                Some(Detail::Call(call)) => {
                    (call.arguments.as_ref().map(|it| data(it)), None, None)
                }
                Some(Detail::Wait(wait)) => (None, time(&wait.until), None),
                Some(Detail::Loop(it)) => {
                    (None, None, Some(it.items.iter().map(|item| data(item)).collect::<Vec<_>>()))
                }
                None => (None, None, None),
            };
            json!({
                "task": it.task, "frame": it.frame, "parent": it.parent,
                "iteration": it.iteration, "input": it.input.as_ref().map(|input| data(input)),
                "arguments": arguments, "until": until, "items": items,
                "timeoutAt": time(&it.timeout_at),
            })
        }
        Event::TaskCompleted(it) => json!({
            "frame": it.frame, "output": it.output.as_ref().map(|output| data(output)),
            "context": it.context.as_ref().map(|context| data(context)),
            "flow": flow(it.flow()), "next": it.next, "skippedBecause": it.skipped_because,
            "execution": execution(it.execution.as_ref()),
        }),
        Event::TaskSkipped(it) => json!({ "task": it.task, "parent": it.parent }),
        Event::TaskFaulted(it) => json!({ "frame": it.frame, "error": error(it.error.as_ref()) }),
        Event::AttemptFailed(it) => json!({
            "frame": it.frame, "execution": execution(it.execution.as_ref()),
            "error": error(it.error.as_ref()), "failure": it.failure,
            "retryable": it.retryable, "latestStart": time(&it.latest_start),
        }),
        Event::AttemptLost(it) => {
            let signal = Signal::try_from(it.signal).unwrap_or_default();
            json!({
                "frame": it.frame, "execution": execution(it.execution.as_ref()),
                "signal": names::signal(signal), "detail": it.detail, "losses": it.losses,
                "signalAt": time(&it.signal_at), "progress": it.progress,
            })
        }
        Event::ErrorCaught(it) => json!({
            "frame": it.frame, "error": error(it.error.as_ref()),
            "retryAt": time(&it.retry_at),
        }),
        Event::RetryStarted(it) => json!({ "frame": it.frame }),
        Event::EventEmitted(it) => json!({ "frame": it.frame, "event": data(&it.event) }),
        Event::EventReceived(it) => {
            json!({ "receipt": it.receipt, "id": it.id, "event": data(&it.event) })
        }
        Event::EventConsumed(it) => json!({ "frame": it.frame, "receipt": it.receipt }),
    };
    filled(fields)
}

fn filled(value: Value) -> Value {
    let Value::Object(members) = value else { return value };
    let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
    Value::Object(members.into_iter().filter(|(_, value)| !empty(value)).collect::<Map<_, _>>())
}

/// A moment as it is on the clock.
fn time(at: &Option<Timestamp>) -> Option<String> {
    at.as_ref().map(ToString::to_string)
}

fn data(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

fn error(error: Option<&WorkflowError>) -> Value {
    error.map_or(Value::Null, |it| {
        filled(json!({
            "type": it.r#type, "status": it.status, "title": it.title, "detail": it.detail,
            "instance": it.instance,
        }))
    })
}

fn execution(execution: Option<&Execution>) -> Value {
    execution.map_or(Value::Null, |it| {
        filled(json!({
            "attempt": it.attempt, "worker": it.worker_id, "session": it.session_id,
            "function": it.function, "destination": it.destination, "failures": it.failures,
            "startedAt": time(&it.started_at),
        }))
    })
}

fn flow(flow: Flow) -> &'static str {
    match flow {
        Flow::Unspecified => "",
        Flow::Continue => "continue",
        Flow::Exit => "exit",
        Flow::End => "end",
        Flow::Goto => "goto",
    }
}
