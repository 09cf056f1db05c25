//! Healings, grouped by what they were about.

mod filter;
mod incident;
mod timeline;

pub use filter::{ACTIONS, Filter, SIGNALS, WINDOWS, Window};
pub use incident::{Incident, group, merge};
pub use timeline::{Lane, Span, SpanKind, Tick, Timeline};

use planaria_proto::types::v1::{HealingAction, Signal};

/// How it was known, as the end of a sentence about a worker.
#[must_use]
pub fn how(signal: Signal) -> &'static str {
    match signal {
        Signal::Unspecified => "unknown",
        Signal::StreamLost => "its stream broke",
        Signal::HeartbeatsStopped => "its heartbeats stopped",
        Signal::LeaseExpired => "its lease ran out",
        Signal::NewIncarnation => "a newer start of it came",
        Signal::LostDelivery => "it never got the attempt",
        Signal::Stalled => "it beat on, without progress",
        Signal::Drained => "it handed its work back",
        Signal::Reconciler => "found by the reconciler",
    }
}

/// What is being done while it is not healed yet.
#[must_use]
pub fn doing(action: HealingAction) -> &'static str {
    match action {
        HealingAction::Unspecified => "being looked at",
        HealingAction::Rerun => "waits for a worker that runs it again",
        HealingAction::Quarantined => "is being quarantined",
        HealingAction::RetryQueued => "its retry is being queued",
        HealingAction::TimerFired => "its timer is being fired",
        HealingAction::WorkflowAdvanced => "the workflow is being advanced",
        HealingAction::Removed => "is being removed",
        HealingAction::DeadLetterMended => "its dead letter is being mended",
        HealingAction::Rebuilt => "is being rebuilt from its history",
        HealingAction::Frozen => "waits for you: cancel the workflow or restore its history",
        HealingAction::Repeated => "watched until it was not repaired for an hour",
    }
}
