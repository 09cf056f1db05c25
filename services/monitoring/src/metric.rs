//! What is kept over time.

/// Counts of what happened, and the highest of what was seen. Stored by name: a name is never used
/// for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Metric {
    WorkflowsStarted,
    WorkflowsCompleted,
    WorkflowsFaulted,
    WorkflowsCancelled,
    /// Tasks that a worker completed.
    TasksCompleted,
    AttemptsFailed,
    AttemptsLost,
    /// Failures that are worth another attempt.
    Retries,
    Healings,
    TasksQueued,
    TasksRunning,
    TasksRetrying,
    Workers,
    OldestQueuedMs,
}

/// Spreads of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Spread {
    /// From the start of a workflow to its completion.
    WorkflowLatency,
    /// From the signal to its detection.
    DetectedAfter,
    /// From the signal to the repair.
    HealedAfter,
}

impl Metric {
    /// Its name in the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WorkflowsStarted => "workflows_started",
            Self::WorkflowsCompleted => "workflows_completed",
            Self::WorkflowsFaulted => "workflows_faulted",
            Self::WorkflowsCancelled => "workflows_cancelled",
            Self::TasksCompleted => "tasks_completed",
            Self::AttemptsFailed => "attempts_failed",
            Self::AttemptsLost => "attempts_lost",
            Self::Retries => "retries",
            Self::Healings => "healings",
            Self::TasksQueued => "tasks_queued",
            Self::TasksRunning => "tasks_running",
            Self::TasksRetrying => "tasks_retrying",
            Self::Workers => "workers",
            Self::OldestQueuedMs => "oldest_queued_ms",
        }
    }

    /// Whether it is the highest of what was seen; otherwise it is a sum.
    pub(crate) const fn is_level(self) -> bool {
        matches!(
            self,
            Self::TasksQueued
                | Self::TasksRunning
                | Self::TasksRetrying
                | Self::Workers
                | Self::OldestQueuedMs
        )
    }

    /// Two values as one.
    pub(crate) fn join(self, one: u64, other: u64) -> u64 {
        if self.is_level() { one.max(other) } else { one.saturating_add(other) }
    }
}

impl Spread {
    /// Its name in the store.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WorkflowLatency => "workflow_latency",
            Self::DetectedAfter => "detected_after",
            Self::HealedAfter => "healed_after",
        }
    }
}
