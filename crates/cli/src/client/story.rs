//! The facts of a history in words.

use planaria_proto::types::v1::{Signal, WorkflowError};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use planaria_proto::workflow::v1::{
    AttemptFailed, AttemptLost, ErrorCaught, Execution, HistoryEvent, TaskCompleted,
};
use prost_types::Timestamp;

use crate::output::message;
use crate::output::style::Style;
use crate::output::time;

/// The longest document that is quoted in a line.
const QUOTE_CHARS_MAX: usize = 60;

/// One fact as a line, with its colour; none if it is of a kind that is not known here. Tasks are
/// named by their references, except where only a frame is known: `task` finds the reference of a
/// frame.
pub(crate) fn tell(
    recorded: &HistoryEvent,
    task: &dyn Fn(u32) -> String,
) -> Option<(Style, String)> {
    let fact = recorded.event.as_ref()?;
    Some(match fact {
        Event::WorkflowStarted(event) => {
            (Style::Strong, format!("workflow started with {}", quote(&event.input)))
        }
        Event::WorkflowSuspended(event) => (Style::Warm, because("suspended", &event.reason)),
        Event::WorkflowResumed(_) => (Style::Active, "resumed".into()),
        Event::WorkflowCancelled(event) => (Style::Bad, because("cancelled", &event.reason)),
        Event::WorkflowFaulted(event) => {
            (Style::Bad, format!("workflow faulted: {}", error(event.error.as_ref())))
        }
        Event::WorkflowCompleted(event) => {
            (Style::Good, format!("workflow completed with {}", quote(&event.output)))
        }
        Event::WorkflowRetried(event) => {
            (Style::Active, because("goes on from its fault", &event.reason))
        }
        Event::WorkflowRerun(event) => {
            (Style::Active, format!("runs again from {} (event {})", event.task, event.from_seq))
        }
        Event::TaskStarted(event) => (Style::Plain, format!("{} started", event.task)),
        Event::TaskCompleted(event) => completed(&task(event.frame), event),
        Event::TaskSkipped(event) => (Style::Dim, format!("{} left out (if is false)", event.task)),
        Event::TaskFaulted(event) => {
            let text = error(event.error.as_ref());
            (Style::Bad, format!("{} faulted: {text}", task(event.frame)))
        }
        Event::AttemptFailed(event) => failed(&task(event.frame), event),
        Event::AttemptLost(event) => lost(&task(event.frame), event),
        Event::ErrorCaught(event) => caught(&task(event.frame), event, recorded.at.as_ref()),
        Event::RetryStarted(event) => (Style::Active, format!("{} runs again", task(event.frame))),
        Event::EventEmitted(event) => {
            (Style::Plain, format!("{} emitted {}", task(event.frame), quote(&event.event)))
        }
        Event::EventReceived(event) => {
            let text = quote(&event.event);
            (Style::Plain, format!("event {} received: {text}", event.receipt))
        }
        Event::EventConsumed(event) => {
            (Style::Plain, format!("{} took event {}", task(event.frame), event.receipt))
        }
    })
}

/// An attempt that a worker began.
pub(crate) fn tell_attempt(attempt: &AttemptStarted) -> (Style, String) {
    let execution = attempt.execution.clone().unwrap_or_default();
    let Execution { attempt: number, worker_id, .. } = execution;
    (Style::Active, format!("{} runs on {worker_id}, attempt {number}", attempt.task))
}

/// An error in one line: what kind, and what is known.
pub(crate) fn error(error: Option<&WorkflowError>) -> String {
    let Some(error) = error else { return "unknown error".into() };
    // The last segment of the type is its name.
    let kind = error.r#type.rsplit('/').find(|part| !part.is_empty()).unwrap_or("error");
    let parts = [error.title.as_str(), error.detail.as_str()];
    let text: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match text.as_slice() {
        [] => format!("{kind} ({})", error.status),
        text => format!("{kind} ({}): {}", error.status, text.join(": ")),
    }
}

/// What told that something was wrong.
pub(crate) fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Unspecified => "unknown",
        Signal::StreamLost => "its stream broke",
        Signal::HeartbeatsStopped => "its heartbeats stopped",
        Signal::LeaseExpired => "its lease ran out",
        Signal::NewIncarnation => "a newer start of it came",
        Signal::LostDelivery => "it never got the attempt",
        Signal::Stalled => "no progress",
        Signal::Drained => "it handed its work back",
        Signal::Reconciler => "found by the reconciler",
    }
}

fn completed(task: &str, event: &TaskCompleted) -> (Style, String) {
    if let Some(reason) = &event.skipped_because {
        return (Style::Warm, because(&format!("{task} skipped"), reason));
    }
    let by = event
        .execution
        .as_ref()
        .map(|execution| format!(" on {}, attempt {}", execution.worker_id, execution.attempt));
    (Style::Good, format!("{task} completed{}", by.unwrap_or_default()))
}

fn failed(task: &str, event: &AttemptFailed) -> (Style, String) {
    let execution = event.execution.clone().unwrap_or_default();
    let next = if event.retryable { "" } else { "; not worth a retry" };
    let text = error(event.error.as_ref());
    let (number, worker) = (execution.attempt, execution.worker_id);
    (Style::Warm, format!("{task} failed on {worker}, attempt {number}: {text}{next}"))
}

fn lost(task: &str, event: &AttemptLost) -> (Style, String) {
    let execution = event.execution.clone().unwrap_or_default();
    let how = signal(event.signal());
    let (number, worker) = (execution.attempt, execution.worker_id);
    (Style::Bad, format!("{task} lost with {worker}, attempt {number}: {how}"))
}

/// When it tries again is told from the fact's own time: the story may be told much later.
fn caught(task: &str, event: &ErrorCaught, at: Option<&Timestamp>) -> (Style, String) {
    let what = match (&event.retry_at, at) {
        (Some(retry), Some(at)) => {
            let pause_ms = time::millis(retry).saturating_sub(time::millis(at));
            format!("tries again after {}", time::ahead(pause_ms))
        }
        (Some(_), None) => "tries again".into(),
        (None, _) => "handled".into(),
    };
    let text = error(event.error.as_ref());
    (Style::Warm, format!("{task} caught {text}; {what}"))
}

fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") }
}

/// A document, cut where it would fill the line.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let text = message::bytes(bytes).line();
    if text.chars().count() <= QUOTE_CHARS_MAX {
        return text;
    }
    let head: String = text.chars().take(QUOTE_CHARS_MAX).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_before_the_next_try_is_told_from_the_fact_on() {
        let at = |seconds, ms: i32| Some(Timestamp { seconds, nanos: ms * 1_000_000 });
        for (retry_at, words) in [
            (at(100, 350), "tries again after 350 ms"),
            (at(104, 0), "tries again after 4 s"),
            (None, "handled"),
        ] {
            let event = Event::ErrorCaught(ErrorCaught { retry_at, ..ErrorCaught::default() });
            let recorded = HistoryEvent { at: at(100, 0), event: Some(event), seq: 7 };
            let (_, text) = tell(&recorded, &|_| "/do/0/pay".into()).unwrap();
            assert_eq!(text, format!("/do/0/pay caught unknown error; {words}"));
        }
    }
}
