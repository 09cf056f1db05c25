//! What the retry engine keeps of failures, retries and faults.

use std::fmt;

use planaria_kernel::retry::breaker::Outcome;
use planaria_kernel::retry::{ErrorClass, GiveUpReason};
use planaria_proto::retry::v1::dead_letter::Loss;
use planaria_proto::retry::v1::{DeadLetterCause, DeadLetterState};
use planaria_proto::types::v1::{DefinitionReference, WorkflowError};

/// Names a retry: an attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RetryKey {
    pub(crate) workflow: String,
    pub(crate) frame: u32,
    pub(crate) attempt: u32,
}

/// What has a breaker and a budget of its own. Its order is that in which rows are locked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Route {
    /// The definition's.
    pub(crate) namespace: String,
    pub(crate) function: String,
    /// Empty where the function's arguments name no far side.
    pub(crate) destination: String,
}

/// A decision that the orchestrator has not applied yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Retry {
    pub(crate) key: RetryKey,
    pub(crate) route: Route,
    pub(crate) class: ErrorClass,
    pub(crate) failure: u32,
    pub(crate) attempts_max: u32,
    pub(crate) error: WorkflowError,
    pub(crate) created_at_ms: u64,
    pub(crate) due_at_ms: u64,
    /// Empty: the task is tried again. Otherwise it is given up, for this reason.
    pub(crate) give_up_reason: String,
    /// How often the budget was empty when it was due.
    pub(crate) deferrals: u32,
}

/// The end of an attempt, as breakers and budgets see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) route: Route,
    pub(crate) outcome: Outcome,
    pub(crate) started_at_ms: u64,
    pub(crate) at_ms: u64,
    /// Whether it was the task's first attempt: no retry.
    pub(crate) is_first: bool,
}

/// A task that the system gave up on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DeadLetter {
    pub(crate) id: String,
    pub(crate) workflow: String,
    pub(crate) definition: DefinitionReference,
    pub(crate) task: String,
    pub(crate) cause: DeadLetterCause,
    pub(crate) state: DeadLetterState,
    pub(crate) error: WorkflowError,
    pub(crate) created_at_ms: u64,
    pub(crate) settled_at_ms: Option<u64>,
    /// What groups it with others.
    pub(crate) fingerprint: String,
    /// Empty where no function failed.
    pub(crate) function: String,
    /// Workers that were lost with the task.
    pub(crate) losses: Vec<Loss>,
    /// When a redrive was begun whose outcome is not known.
    pub(crate) in_doubt_since_ms: Option<u64>,
}

/// A workflow that faulted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) workflow: String,
    pub(crate) definition: DefinitionReference,
    /// The run of the task that raised the error, if that is known.
    pub(crate) frame: Option<u32>,
    pub(crate) task: String,
    pub(crate) error: WorkflowError,
    pub(crate) at_ms: u64,
}

/// What the log made of the records.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// A failure was decided about.
    Decided(Box<Retry>),
    /// A worker was lost with a task.
    Lost { workflow: String, frame: u32, function: String, loss: Box<Loss>, at_ms: u64 },
    /// A workflow faulted.
    Faulted(Box<Fault>),
    /// A workflow goes on from a fault; its dead letter was redriven, or settled some other way.
    WentOn { workflow: String, redriven: bool, at_ms: u64 },
    /// A workflow is over.
    Over { workflow: String, at_ms: u64 },
}

/// Which dead letters; what is empty does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) namespace: String,
    pub(crate) definition: String,
    pub(crate) definition_version: String,
    pub(crate) function: String,
    pub(crate) fingerprint: String,
    pub(crate) workflow: String,
    pub(crate) from_ms: u64,
    /// `None`: no end.
    pub(crate) before_ms: Option<u64>,
}

/// What is the same about several dead letters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) count: u64,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    pub(crate) definitions: u64,
    /// The newest of them.
    pub(crate) newest: DeadLetter,
}

impl Fault {
    /// The same fault has the same dead letter, whoever tells of it and how often.
    pub(crate) fn dead_letter_id(&self) -> String {
        format!("{}.{}", self.workflow, self.at_ms)
    }

    /// Why the system gave up, where `given_up` is what it decided about the task.
    pub(crate) fn cause(&self, given_up: Option<&str>) -> DeadLetterCause {
        if self.error.r#type == planaria_kernel::workflow::ErrorObject::QUARANTINED {
            return DeadLetterCause::Quarantined;
        }
        match given_up {
            Some(reason) if reason == GiveUpReason::Exhausted.as_str() => {
                DeadLetterCause::Exhausted
            }
            Some(reason) if reason == GiveUpReason::NotRetryable.as_str() => {
                DeadLetterCause::NotRetryable
            }
            _ => DeadLetterCause::Uncaught,
        }
    }

    /// What groups its dead letter with others.
    pub(crate) fn fingerprint(&self) -> String {
        let WorkflowError { r#type, status, title, detail, .. } = &self.error;
        planaria_kernel::retry::fingerprint(r#type, *status, title, detail)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.function)?;
        if self.destination.is_empty() {
            Ok(())
        } else {
            write!(formatter, "@{}", self.destination)
        }
    }
}

impl fmt::Display for RetryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.workflow, self.frame, self.attempt)
    }
}

impl RetryKey {
    /// Reads what [`fmt::Display`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '.');
        let attempt = parts.next()?.parse().ok()?;
        let frame = parts.next()?.parse().ok()?;
        let workflow = parts.next().filter(|workflow| !workflow.is_empty())?.to_owned();
        Some(Self { workflow, frame, attempt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = RetryKey { workflow: "a.b-1".into(), frame: 7, attempt: 3 };
        assert_eq!(key.to_string(), "a.b-1.7.3");
        assert_eq!(RetryKey::parse("a.b-1.7.3"), Some(key));
        for text in ["", "a", "a.1", ".1.1", "a.-1.1", "a.1.x"] {
            assert_eq!(RetryKey::parse(text), None, "{text}");
        }
    }
}
