//! The contract's closed sets in words.

use planaria_proto::types::v1::{HealingAction, Phase, Signal};

/// A phase, as the DSL calls it.
#[must_use]
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Unspecified => "unknown",
        Phase::Pending => "pending",
        Phase::Running => "running",
        Phase::Waiting => "waiting",
        Phase::Suspended => "suspended",
        Phase::Cancelled => "cancelled",
        Phase::Faulted => "faulted",
        Phase::Completed => "completed",
    }
}

/// Whether nothing more happens in it by itself.
#[must_use]
pub fn is_over(phase: Phase) -> bool {
    matches!(phase, Phase::Cancelled | Phase::Faulted | Phase::Completed)
}

/// What told the system that something was wrong.
#[must_use]
pub fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Unspecified => "unknown",
        Signal::StreamLost => "stream lost",
        Signal::HeartbeatsStopped => "heartbeats stopped",
        Signal::LeaseExpired => "lease expired",
        Signal::NewIncarnation => "new incarnation",
        Signal::LostDelivery => "lost delivery",
        Signal::Stalled => "stalled",
        Signal::Drained => "drained",
        Signal::Reconciler => "reconciler",
    }
}

/// What the system did about it.
#[must_use]
pub fn action(action: HealingAction) -> &'static str {
    match action {
        HealingAction::Unspecified => "unknown",
        HealingAction::Rerun => "ran again elsewhere",
        HealingAction::Quarantined => "quarantined",
        HealingAction::RetryQueued => "retry queued",
        HealingAction::TimerFired => "timer fired",
        HealingAction::WorkflowAdvanced => "workflow advanced",
        HealingAction::Removed => "removed",
        HealingAction::DeadLetterMended => "dead letter mended",
        HealingAction::Rebuilt => "rebuilt from history",
        HealingAction::Frozen => "frozen",
        HealingAction::Repeated => "repaired repeatedly",
    }
}
