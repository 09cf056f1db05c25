//! What log records mean for the retry engine.

use planaria_kernel::retry::breaker::Outcome;
use planaria_kernel::retry::{ErrorClass, Failure, RetryPolicy, Verdict, backoff, decide};
use planaria_proto::orchestrator::v1::{LogRecord, WorkflowRecord, log_record};
use planaria_proto::retry::v1::dead_letter::Loss;
use planaria_proto::types::v1::Signal;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{AttemptFailed, AttemptLost, Execution};

use crate::convert;
use crate::records::{Change, Ended, Fault, Retry, RetryKey, Route};
use crate::redrive;

/// What records change, and the attempts that ended in them; both in order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Derived {
    pub(crate) changes: Vec<Change>,
    pub(crate) ended: Vec<Ended>,
}

impl Derived {
    /// Adds what a record means.
    pub(crate) fn add(&mut self, record: &LogRecord, default: &RetryPolicy) {
        let Some(log_record::Body::Workflow(workflow)) = &record.body else { return };
        let Some(history) = &workflow.record else { return };
        let at_ms = convert::milliseconds(history.at.or(record.at));
        for event in history.events.iter().filter_map(|event| event.event.as_ref()) {
            self.changes.extend(change(workflow, event, at_ms, default));
            self.ended.extend(ended(workflow, event, at_ms));
        }
    }

    /// Decisions are waited for, and the ends of probes where a breaker holds something back; other
    /// ends may wait a little, and so may what is over: it is most of a log.
    pub(crate) fn is_waited_for(&self, holds_something: bool) -> bool {
        let is_decision = |change: &Change| !matches!(change, Change::Over { .. });
        self.changes.iter().any(is_decision) || (holds_something && !self.ended.is_empty())
    }
}

fn change(
    workflow: &WorkflowRecord,
    event: &Event,
    at_ms: u64,
    default: &RetryPolicy,
) -> Option<Change> {
    let id = || workflow.workflow_id.clone();
    Some(match event {
        Event::AttemptFailed(failed) => {
            Change::Decided(Box::new(decided(workflow, failed, at_ms, default)))
        }
        Event::AttemptLost(lost) => return loss(workflow, lost, at_ms),
        Event::WorkflowFaulted(faulted) => Change::Faulted(Box::new(Fault {
            workflow: id(),
            definition: workflow.definition.clone().unwrap_or_default(),
            frame: Some(faulted.frame),
            task: faulted.task.clone(),
            error: faulted.error.clone().unwrap_or_default(),
            at_ms,
        })),
        Event::WorkflowRetried(retried) => {
            let redriven = redrive::is_redrive(&retried.reason);
            Change::WentOn { workflow: id(), redriven, at_ms }
        }
        Event::WorkflowRerun(_) => Change::WentOn { workflow: id(), redriven: false, at_ms },
        Event::WorkflowCancelled(_) | Event::WorkflowCompleted(_) => {
            Change::Over { workflow: id(), at_ms }
        }
        Event::WorkflowStarted(_)
        | Event::WorkflowSuspended(_)
        | Event::WorkflowResumed(_)
        | Event::TaskStarted(_)
        | Event::TaskCompleted(_)
        | Event::TaskSkipped(_)
        | Event::TaskFaulted(_)
        | Event::ErrorCaught(_)
        | Event::RetryStarted(_)
        | Event::EventEmitted(_)
        | Event::EventReceived(_)
        | Event::EventConsumed(_) => return None,
    })
}

/// Decides as of the time of the failure: an engine that was away decides the same, only later.
fn decided(
    workflow: &WorkflowRecord,
    failed: &AttemptFailed,
    at_ms: u64,
    default: &RetryPolicy,
) -> Retry {
    let policy = failed.policy.as_ref().map_or(*default, |set| convert::policy(set, default));
    let class = class(failed);
    let failure = Failure {
        number: failed.failure,
        class,
        retry_after_ms: failed.retry_after.map(convert::span_milliseconds),
    };
    let bits = backoff::bits(&workflow.workflow_id, failed.frame, failed.failure);
    let (due_at_ms, give_up_reason) = match decide(&policy, failure, at_ms, bits) {
        Verdict::RetryAt(due_at_ms) => (due_at_ms, ""),
        Verdict::GiveUp(reason) => (at_ms, reason.as_str()),
    };
    Retry {
        key: RetryKey {
            workflow: workflow.workflow_id.clone(),
            frame: failed.frame,
            attempt: failed.execution.as_ref().map_or(0, |execution| execution.attempt),
        },
        route: route(workflow, failed.execution.as_ref(), &failed.function),
        class,
        failure: failed.failure,
        attempts_max: policy.attempts_max,
        error: failed.error.clone().unwrap_or_default(),
        created_at_ms: at_ms,
        due_at_ms,
        give_up_reason: give_up_reason.to_owned(),
        deferrals: 0,
    }
}

fn class(failed: &AttemptFailed) -> ErrorClass {
    let (kind, status) =
        failed.error.as_ref().map_or(("", 0), |error| (error.r#type.as_str(), error.status));
    let status = u16::try_from(status).unwrap_or_default();
    ErrorClass::of_failure(kind, status, failed.retryable, failed.retry_after.is_some())
}

fn route(workflow: &WorkflowRecord, execution: Option<&Execution>, function: &str) -> Route {
    let definition = workflow.definition.as_ref();
    let named = execution.map(|execution| execution.function.as_str());
    Route {
        namespace: definition.map(|definition| definition.namespace.clone()).unwrap_or_default(),
        function: named.filter(|name| !name.is_empty()).unwrap_or(function).to_owned(),
        destination: execution.map(|execution| execution.destination.clone()).unwrap_or_default(),
    }
}

/// What was handed back, or never arrived, does not speak against the task.
fn loss(workflow: &WorkflowRecord, lost: &AttemptLost, at_ms: u64) -> Option<Change> {
    if matches!(lost.signal(), Signal::Drained | Signal::LostDelivery) {
        return None;
    }
    let execution = lost.execution.clone().unwrap_or_default();
    Some(Change::Lost {
        workflow: workflow.workflow_id.clone(),
        frame: lost.frame,
        function: execution.function,
        loss: Box::new(Loss {
            worker_id: execution.worker_id,
            session_id: execution.session_id,
            attempt: execution.attempt,
            signal: lost.signal,
            detail: lost.detail.clone(),
            started_at: execution.started_at,
            signal_at: lost.signal_at,
            progress: lost.progress.clone(),
        }),
        at_ms,
    })
}

fn ended(workflow: &WorkflowRecord, event: &Event, at_ms: u64) -> Option<Ended> {
    let (execution, outcome, is_first) = match event {
        Event::TaskCompleted(completed) => {
            let execution = completed.execution.as_ref()?;
            (execution, Outcome::Answered, execution.failures == 0)
        }
        Event::AttemptFailed(failed) => {
            (failed.execution.as_ref()?, class(failed).outcome(), failed.failure == 1)
        }
        Event::AttemptLost(lost) => {
            (lost.execution.as_ref()?, ErrorClass::WorkerLost.outcome(), false)
        }
        _ => return None,
    };
    let function = match event {
        Event::AttemptFailed(failed) => failed.function.as_str(),
        _ => "",
    };
    let route = route(workflow, Some(execution), function);
    // Histories of former releases do not say the function of what was completed.
    (!route.function.is_empty()).then(|| Ended {
        route,
        outcome,
        started_at_ms: convert::milliseconds(execution.started_at),
        at_ms,
        is_first,
    })
}

#[cfg(test)]
mod tests {
    use planaria_fake_mesh::{attempt_failed, record_at, workflow_events};
    use planaria_proto::types::v1::RetryPolicy as SetPolicy;
    use planaria_proto::workflow::v1::{TaskCompleted, WorkflowCompleted, WorkflowRetried};

    use super::*;

    const AT: u64 = 1_700_000_000_000;

    fn derived(events: impl IntoIterator<Item = Event>) -> Derived {
        let mut derived = Derived::default();
        derived.add(&record_at(workflow_events("w", 5, events), AT), &RetryPolicy::default());
        derived
    }

    fn retry_of(failed: AttemptFailed) -> Retry {
        let mut changes = derived([Event::AttemptFailed(failed)]).changes;
        match (changes.pop(), changes.pop()) {
            (Some(Change::Decided(retry)), None) => *retry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_over_waits_and_what_failed_does_not() {
        let completed = Event::WorkflowCompleted(WorkflowCompleted::default());
        let function = "charge-card:1.0.0".into();
        let execution = Some(Execution { function, ..Execution::default() });
        let ended = Event::TaskCompleted(TaskCompleted { execution, ..TaskCompleted::default() });
        let over = derived([ended, completed.clone()]);
        assert_eq!((over.changes.len(), over.ended.len()), (1, 1));
        assert!(!over.is_waited_for(false) && over.is_waited_for(true));
        let failed = Event::AttemptFailed(attempt_failed(4, 1, true));
        assert!(derived([failed, completed]).is_waited_for(false));
    }

    #[test]
    fn a_failure_is_decided_the_same_whenever_it_is_read() {
        let retry = retry_of(attempt_failed(4, 2, true));
        let expected = backoff::delay_ms(&RetryPolicy::default(), 2, backoff::bits("w", 4, 2));
        assert_eq!((retry.due_at_ms, retry.give_up_reason.as_str()), (AT + expected, ""));
        assert_eq!(retry, retry_of(attempt_failed(4, 2, true)));
        assert_eq!(retry.key.to_string(), "w.4.2");
        assert_eq!(retry.route.to_string(), "shop/charge-card:1.0.0");
    }

    #[test]
    fn the_functions_own_policy_counts_and_gaps_in_it_are_filled() {
        let mut failed = attempt_failed(4, 3, true);
        let policy = SetPolicy { attempts_max: 3, ..SetPolicy::default() };
        failed.policy = Some(policy);
        let retry = retry_of(failed.clone());
        assert_eq!((retry.give_up_reason.as_str(), retry.due_at_ms), ("EXHAUSTED", AT));
        failed.policy = Some(SetPolicy { attempts_max: 4, ..policy });
        assert_eq!(retry_of(failed).give_up_reason, "");
        let hopeless = retry_of(attempt_failed(4, 1, false));
        assert_eq!(hopeless.give_up_reason, "NOT_RETRYABLE");
    }

    #[test]
    fn who_asks_to_slow_down_is_waited_for_and_is_no_failure_of_its_breaker() {
        let mut failed = attempt_failed(4, 1, true);
        let asked = prost_types::Duration { seconds: 40, nanos: 0 };
        failed.retry_after = Some(asked);
        let retry = retry_of(failed.clone());
        assert_eq!((retry.class, retry.due_at_ms), (ErrorClass::Throttled, AT + 40_000));
        let ended = derived([Event::AttemptFailed(failed)]).ended;
        assert_eq!((ended[0].outcome, ended[0].is_first), (Outcome::Neutral, true));
    }

    #[test]
    fn each_task_has_one_first_attempt() {
        let execution = |failures, destination: &str| Execution {
            function: "charge".into(),
            destination: destination.into(),
            failures,
            ..Execution::default()
        };
        let completed = |failures| {
            Event::TaskCompleted(TaskCompleted {
                execution: Some(execution(failures, "shop.example")),
                ..TaskCompleted::default()
            })
        };
        let lost = |signal: Signal| {
            Event::AttemptLost(AttemptLost {
                frame: 7,
                execution: Some(execution(0, "")),
                signal: signal.into(),
                progress: "half".into(),
                ..AttemptLost::default()
            })
        };
        let derived = derived([
            Event::AttemptFailed(attempt_failed(4, 1, true)),
            Event::AttemptFailed(attempt_failed(4, 2, true)),
            completed(2),
            completed(0),
            lost(Signal::HeartbeatsStopped),
            lost(Signal::Drained),
            Event::TaskCompleted(TaskCompleted::default()),
        ]);
        let ended: Vec<_> = derived
            .ended
            .iter()
            .map(|ended| (ended.route.to_string(), ended.outcome, ended.is_first))
            .collect();
        let (charge, at_shop) = ("shop/charge".to_owned(), "shop/charge@shop.example".to_owned());
        let named = "shop/charge-card:1.0.0".to_owned();
        assert_eq!(
            ended,
            [
                (named.clone(), Outcome::Failed, true),
                (named, Outcome::Failed, false),
                (at_shop.clone(), Outcome::Answered, false),
                (at_shop, Outcome::Answered, true),
                (charge.clone(), Outcome::Neutral, false),
                (charge, Outcome::Neutral, false),
            ]
        );
        // Handed back, it is no evidence.
        assert_eq!(derived.changes.len(), 3);
        let Change::Lost { loss, frame, .. } = &derived.changes[2] else { panic!("{derived:?}") };
        assert_eq!((loss.progress.as_str(), *frame), ("half", 7));
    }

    #[test]
    fn workflows_that_go_on_or_end_are_noticed() {
        let retried = WorkflowRetried { reason: redrive::reason("w.1") };
        let events = [
            Event::WorkflowRetried(retried),
            Event::WorkflowCompleted(WorkflowCompleted::default()),
        ];
        let workflow = || "w".to_owned();
        let expected = [
            Change::WentOn { workflow: workflow(), redriven: true, at_ms: AT },
            Change::Over { workflow: workflow(), at_ms: AT },
        ];
        assert_eq!(derived(events).changes, expected);
    }
}
