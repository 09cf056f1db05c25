//! What log records mean for the retry engine.

use planaria_kernel::retry::{ErrorClass, Failure, RetryPolicy, Verdict, backoff, decide};
use planaria_proto::orchestrator::v1::{LogRecord, WorkflowRecord, log_record};
use planaria_proto::workflow::v1::AttemptFailed;
use planaria_proto::workflow::v1::history_event::Event;

use crate::convert;
use crate::records::{Change, Fault, Retry, RetryKey};
use crate::redrive;

/// The changes of one record, in order.
pub(crate) fn changes(record: &LogRecord, default: &RetryPolicy) -> Vec<Change> {
    let Some(log_record::Body::Workflow(workflow)) = &record.body else { return Vec::new() };
    let Some(history) = &workflow.record else { return Vec::new() };
    let at_ms = convert::milliseconds(history.at.or(record.at));
    let events = history.events.iter().filter_map(|event| event.event.as_ref());
    events.filter_map(|event| change(workflow, event, at_ms, default)).collect()
}

fn change(
    workflow: &WorkflowRecord,
    event: &Event,
    at_ms: u64,
    default: &RetryPolicy,
) -> Option<Change> {
    let id = || workflow.workflow_id.clone();
    Some(match event {
        Event::AttemptFailed(failed) => Change::Decided(decided(workflow, failed, at_ms, default)),
        Event::WorkflowFaulted(faulted) => Change::Faulted(Fault {
            workflow: id(),
            definition: workflow.definition.clone().unwrap_or_default(),
            frame: Some(faulted.frame),
            task: faulted.task.clone(),
            error: faulted.error.clone().unwrap_or_default(),
            at_ms,
        }),
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
        | Event::AttemptLost(_)
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
    let failure = Failure {
        number: failed.failure,
        class: if failed.retryable { ErrorClass::Retryable } else { ErrorClass::NotRetryable },
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
        function: failed.function.clone(),
        failure: failed.failure,
        attempts_max: policy.attempts_max,
        error: failed.error.clone().unwrap_or_default(),
        created_at_ms: at_ms,
        due_at_ms,
        give_up_reason: give_up_reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use planaria_fake_mesh::{attempt_failed, record_at, workflow_events};
    use planaria_proto::types::v1::RetryPolicy as SetPolicy;
    use planaria_proto::workflow::v1::{WorkflowCompleted, WorkflowRetried};

    use super::*;

    const AT: u64 = 1_700_000_000_000;

    fn retry_of(failed: AttemptFailed) -> Retry {
        let record = record_at(workflow_events("w", 5, [Event::AttemptFailed(failed)]), AT);
        let mut changes = changes(&record, &RetryPolicy::default());
        match (changes.pop(), changes.pop()) {
            (Some(Change::Decided(retry)), None) => retry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_failure_is_decided_the_same_whenever_it_is_read() {
        let retry = retry_of(attempt_failed(4, 2, true));
        let expected = backoff::delay_ms(&RetryPolicy::default(), 2, backoff::bits("w", 4, 2));
        assert_eq!((retry.due_at_ms, retry.give_up_reason.as_str()), (AT + expected, ""));
        assert_eq!(retry, retry_of(attempt_failed(4, 2, true)));
        assert_eq!(retry.key.to_string(), "w.4.2");
        assert_eq!(retry.function, "charge-card:1.0.0");
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
    fn workflows_that_go_on_or_end_are_noticed() {
        let retried = WorkflowRetried { reason: redrive::reason("w.1") };
        let events = [
            Event::WorkflowRetried(retried),
            Event::WorkflowCompleted(WorkflowCompleted::default()),
        ];
        let record = record_at(workflow_events("w", 9, events), AT);
        let workflow = || "w".to_owned();
        let expected = [
            Change::WentOn { workflow: workflow(), redriven: true, at_ms: AT },
            Change::Over { workflow: workflow(), at_ms: AT },
        ];
        assert_eq!(changes(&record, &RetryPolicy::default()), expected);
    }
}
