//! Facts: what happened to a workflow. Its history is a list of them, its state their fold.

use std::sync::Arc;

use crate::Json;
use crate::definition::{NodeId, Then};
use crate::retry::RetryPolicy;
use crate::workflow::ErrorObject;

/// Number of one run of one task in its workflow, from 1; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

/// A fact with the time it was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The workflow was started.
    WorkflowStarted {
        /// The raw input.
        input: Json,
        /// Its place in a trace, if that is recorded. Opaque here.
        trace_parent: Option<Arc<str>>,
    },
    /// Somebody holds the workflow.
    WorkflowSuspended {
        /// Why.
        reason: String,
    },
    /// Somebody lets it go on.
    WorkflowResumed,
    /// Somebody ended it.
    WorkflowCancelled {
        /// Why.
        reason: String,
    },
    /// An error was caught by nothing. The frames stay where they are.
    WorkflowFaulted {
        /// The frame that raised it.
        frame: FrameId,
        /// The error.
        error: ErrorObject,
    },
    /// The workflow came to its end.
    WorkflowCompleted {
        /// Its output.
        output: Json,
    },
    /// Somebody has the faulted workflow go on from its fault.
    WorkflowRetried {
        /// Why.
        reason: String,
    },
    /// Somebody has it go on from an earlier place.
    WorkflowRerun(Rerun),
    /// A task was entered.
    TaskStarted(TaskStarted),
    /// A task is done.
    TaskCompleted(TaskCompleted),
    /// A task's condition was false.
    TaskSkipped {
        /// The task.
        node: NodeId,
        /// The frame that would have entered it.
        parent: FrameId,
    },
    /// A task raised an error.
    TaskFaulted {
        /// The task's frame.
        frame: FrameId,
        /// The error.
        error: ErrorObject,
    },
    /// A function failed.
    AttemptFailed(AttemptFailed),
    /// An attempt was lost with its worker, or handed back.
    AttemptLost(AttemptLost),
    /// A try caught an error.
    ErrorCaught {
        /// The try's frame.
        frame: FrameId,
        /// The error.
        error: ErrorObject,
        /// When its body runs again; `None` if the error is handled instead.
        retry_at_ms: Option<u64>,
    },
    /// A try's body runs again.
    RetryStarted {
        /// The try's frame.
        frame: FrameId,
    },
    /// An event was published.
    EventEmitted {
        /// The emitting task's frame.
        frame: FrameId,
        /// The CloudEvent in JSON format.
        event: Json,
    },
    /// An event came in for this workflow.
    EventReceived {
        /// Its number among the events received, from 1.
        receipt: u32,
        /// The event's id: the same id again is the same event.
        id: String,
        /// The CloudEvent in JSON format.
        event: Json,
    },
    /// A listen task took an event.
    EventConsumed {
        /// The listen task's frame.
        frame: FrameId,
        /// The event's receipt.
        receipt: u32,
    },
}

/// A task was entered.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskStarted {
    /// The new frame (or an old one that is entered again after a fault).
    pub frame: FrameId,
    /// The task.
    pub node: NodeId,
    /// The enclosing frame; `None` for the root.
    pub parent: Option<FrameId>,
    /// Iteration of a for, branch of a fork, or run of a try's body, from 0.
    pub iteration: u32,
    /// The transformed input, where it is not the raw input.
    pub input: Option<Json>,
    /// When the task's timeout strikes.
    pub timeout_at_ms: Option<u64>,
    /// What the kind of task adds.
    pub detail: Detail,
}

/// What entering a task of some kinds yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// Nothing.
    None,
    /// The arguments of a function, where they are not the task's input.
    Call {
        /// The arguments.
        arguments: Option<Json>,
    },
    /// When a wait ends.
    Wait {
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// The items of a for.
    Loop {
        /// In order.
        items: Vec<Json>,
    },
}

/// A task is done.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskCompleted {
    /// The frame, which is no more.
    pub frame: FrameId,
    /// The output, where it is not the frame's raw input.
    pub output: Option<Json>,
    /// The new context, where the task exports one.
    pub context: Option<Json>,
    /// Where control flows.
    pub then: Then,
    /// The attempt that yielded the output.
    pub execution: Option<Execution>,
    /// Why somebody completed the task by hand, if so.
    pub skipped_because: Option<String>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Its number.
    pub attempt: u32,
    /// The worker.
    pub worker: String,
    /// The worker's session.
    pub session: String,
    /// When it was handed out, in Unix milliseconds.
    pub started_at_ms: u64,
    /// The function. Empty in facts of releases that did not record it.
    pub function: String,
    /// The far side that the function calls, where its arguments name one.
    pub destination: Option<String>,
    /// Failures of the task before this attempt: none means that it was no retry.
    pub failures: u32,
}

/// A function failed.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptFailed {
    /// The task's frame.
    pub frame: FrameId,
    /// The attempt.
    pub execution: Execution,
    /// The error.
    pub error: ErrorObject,
    /// Which failure of this frame it is, from 1.
    pub failure: u32,
    /// Whether trying again can help.
    pub retryable: bool,
    /// When it starts again at the latest, if it does.
    pub latest_start_ms: u64,
    /// The function.
    pub function: String,
    /// The policy in force.
    pub policy: RetryPolicy,
    /// Not before that long, if the failed side said so.
    pub retry_after_ms: Option<u64>,
}

/// An attempt was lost.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptLost {
    /// The task's frame.
    pub frame: FrameId,
    /// The attempt.
    pub execution: Execution,
    /// How it was known, and what happened.
    pub cause: LossCause,
    /// In words.
    pub detail: String,
    /// Losses of this frame so far, this one included; handed-back attempts are not counted.
    pub losses: u32,
    /// The last that the function said of its progress; empty if it said nothing.
    pub progress: String,
    /// First evidence, in Unix milliseconds.
    pub signal_at_ms: u64,
}

/// How the loss of an attempt was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossCause {
    /// The worker's stream was reset.
    StreamLost,
    /// Heartbeats stopped.
    HeartbeatsStopped,
    /// The session's lease ran out.
    LeaseExpired,
    /// A newer incarnation of the worker came.
    NewIncarnation,
    /// The worker never had it.
    LostDelivery,
    /// It made no progress.
    Stalled,
    /// The worker handed it back.
    Drained,
}

impl LossCause {
    /// Whether the loss speaks against the task: what was handed back or never arrived does not.
    #[must_use]
    pub const fn is_charged(self) -> bool {
        !matches!(self, Self::Drained | Self::LostDelivery)
    }

    /// Whether the task must have had a part in it if nothing else ran there: its worker came to
    /// its end, or only the task stood still. Who falls silent may have been cut off.
    #[must_use]
    pub const fn is_conviction(self) -> bool {
        matches!(self, Self::StreamLost | Self::NewIncarnation | Self::Stalled)
    }
}

/// Somebody has the workflow go on from an earlier place.
#[derive(Clone, Debug, PartialEq)]
pub struct Rerun {
    /// The state is that before the fact with this sequence number.
    pub from_seq: u64,
    /// The task that was entered there.
    pub node: NodeId,
    /// Its new raw input.
    pub input: Option<Json>,
    /// Frames are numbered behind this.
    pub frame_base: u32,
    /// Attempts are numbered behind this.
    pub attempt_base: u32,
}
