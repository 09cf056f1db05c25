//! What happened to a task, in words.

use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{
    AttemptFailed, AttemptLost, ErrorCaught, Execution, HistoryEvent,
};

use super::error;
use crate::healing::how;
use crate::words::{millis, span};

/// A fact in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What happened.
    pub what: String,
    /// Something went wrong.
    pub bad: bool,
    /// More about it, e.g. why; empty if there is no more.
    pub more: String,
}

/// A fact in words; nothing for a kind that is not known here.
#[must_use]
pub fn tell(fact: &HistoryEvent) -> Option<Told> {
    let good = |what: &str, more: &str| Told { what: what.into(), bad: false, more: more.into() };
    let bad = |what: &str, more: String| Told { what: what.into(), bad: true, more };
    Some(match fact.event.as_ref()? {
        Event::WorkflowStarted(_) => good("the workflow started", ""),
        Event::WorkflowSuspended(event) => good("the workflow was suspended", &event.reason),
        Event::WorkflowResumed(_) => good("the workflow was resumed", ""),
        Event::WorkflowCancelled(event) => bad("the workflow was cancelled", event.reason.clone()),
        Event::WorkflowFaulted(event) => bad("the workflow faulted", error(event.error.as_ref())),
        Event::WorkflowCompleted(_) => good("the workflow completed", ""),
        Event::WorkflowRetried(event) => good("the workflow goes on from its fault", &event.reason),
        Event::WorkflowRerun(event) => {
            good(&format!("the workflow runs again from {}", event.task), "")
        }
        Event::TaskStarted(event) => good(&format!("{} started", event.task), ""),
        Event::TaskCompleted(event) => match &event.skipped_because {
            Some(reason) => good("somebody skipped the task", reason),
            None => good(&format!("the task completed{}", on(event.execution.as_ref())), ""),
        },
        Event::TaskSkipped(event) => good(&format!("{} was left out", event.task), ""),
        Event::TaskFaulted(event) => bad("the task faulted", error(event.error.as_ref())),
        Event::AttemptFailed(event) => failed(event),
        Event::AttemptLost(event) => lost(event),
        Event::ErrorCaught(event) => caught(event, fact),
        Event::RetryStarted(_) => good("the try runs again", ""),
        Event::EventEmitted(_) => good("an event was emitted", ""),
        Event::EventReceived(event) => good(&format!("event {} came in", event.receipt), ""),
        Event::EventConsumed(event) => good(&format!("event {} was taken", event.receipt), ""),
    })
}

fn on(execution: Option<&Execution>) -> String {
    execution.map_or_else(String::new, |it| format!(" on {}, attempt {}", it.worker_id, it.attempt))
}

fn failed(event: &AttemptFailed) -> Told {
    let (number, worker) =
        event.execution.as_ref().map_or((0, ""), |it| (it.attempt, it.worker_id.as_str()));
    let left = match (&event.policy, event.retryable) {
        (_, false) => "; not worth a retry".to_owned(),
        (Some(policy), true) => format!("; failure {} of {}", event.failure, policy.attempts_max),
        (None, true) => format!("; failure {}", event.failure),
    };
    let what = format!("attempt {number} failed on {worker}");
    Told { what, bad: true, more: error(event.error.as_ref()) + &left }
}

fn lost(event: &AttemptLost) -> Told {
    let (number, worker) =
        event.execution.as_ref().map_or((0, ""), |it| (it.attempt, it.worker_id.as_str()));
    let mut more = how(event.signal()).to_owned();
    if !event.progress.is_empty() {
        more += &format!("; its last word was \u{201c}{}\u{201d}", event.progress);
    }
    if event.losses > 0 {
        more += &format!("; charged with loss {}", event.losses);
    }
    Told { what: format!("attempt {number} was lost with {worker}"), bad: true, more }
}

/// When it tries again is told from the fact's own time: the story may be told much later.
fn caught(event: &ErrorCaught, fact: &HistoryEvent) -> Told {
    let what = match (&event.retry_at, &fact.at) {
        (Some(retry), Some(at)) => {
            let pause_ms = millis(retry).saturating_sub(millis(at));
            format!("a try caught the error and runs again after {}", span(pause_ms as f64))
        }
        (Some(_), None) => "a try caught the error and runs again".to_owned(),
        (None, _) => "a try caught the error".to_owned(),
    };
    Told { what, bad: false, more: error(event.error.as_ref()) }
}

#[cfg(test)]
mod tests {
    use planaria_proto::types::v1::{RetryPolicy, Signal};

    use super::*;

    fn fact(event: Event) -> HistoryEvent {
        HistoryEvent { seq: 1, at: None, event: Some(event) }
    }

    fn execution() -> Option<Execution> {
        Some(Execution { attempt: 3, worker_id: "w1".into(), ..Execution::default() })
    }

    #[test]
    fn a_failure_says_how_many_are_left() {
        let mut event = AttemptFailed {
            execution: execution(),
            failure: 2,
            retryable: true,
            policy: Some(RetryPolicy { attempts_max: 5, ..RetryPolicy::default() }),
            ..AttemptFailed::default()
        };
        let told = tell(&fact(Event::AttemptFailed(event.clone()))).expect("known");
        assert_eq!(told.what, "attempt 3 failed on w1");
        assert_eq!(told.more, "unknown error; failure 2 of 5");
        event.retryable = false;
        let told = tell(&fact(Event::AttemptFailed(event))).expect("known");
        assert_eq!(told.more, "unknown error; not worth a retry");
    }

    #[test]
    fn a_loss_says_how_it_was_known_and_how_far_it_was() {
        let event = AttemptLost {
            execution: execution(),
            signal: Signal::StreamLost as i32,
            losses: 2,
            progress: "40 %".into(),
            ..AttemptLost::default()
        };
        let told = tell(&fact(Event::AttemptLost(event))).expect("known");
        assert_eq!(told.what, "attempt 3 was lost with w1");
        let more = "its stream broke; its last word was “40 %”; charged with loss 2";
        assert_eq!(told.more, more);
        assert!(told.bad);
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(tell(&HistoryEvent::default()), None);
    }
}
