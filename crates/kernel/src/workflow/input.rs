//! Inputs: what the outside world tells a workflow.

use crate::Json;
use crate::workflow::{AttemptFailed, AttemptLost, ErrorObject, Execution, FrameId, Timer};

/// What the outside world tells a workflow.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Begin.
    Start {
        /// The raw input.
        input: Json,
    },
    /// Go on with what is ready.
    Continue,
    /// The current attempt of a function task returned. The shell has checked the fence.
    Returned {
        /// The task's frame.
        frame: FrameId,
        /// What it returned.
        output: Json,
        /// The attempt.
        execution: Execution,
    },
    /// The current attempt failed; whether it is retried is not decided here.
    AttemptFailed(AttemptFailed),
    /// The current attempt was lost.
    AttemptLost(AttemptLost),
    /// The system gave up on a function task: its error is raised.
    GiveUp {
        /// The task's frame.
        frame: FrameId,
        /// The error.
        error: ErrorObject,
    },
    /// A timer is due.
    TimerFired {
        /// The frame.
        frame: FrameId,
        /// Which timer.
        timer: Timer,
    },
    /// An event for this workflow, kept until a task listens.
    Signal {
        /// The event's id.
        id: String,
        /// The CloudEvent in JSON format.
        event: Json,
    },
    /// An event for whoever listens now.
    Publish {
        /// The event's id.
        id: String,
        /// The CloudEvent in JSON format.
        event: Json,
    },
    /// Hold.
    Suspend {
        /// Why.
        reason: String,
    },
    /// Go on.
    Resume,
    /// End.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Go on from the fault.
    Retry {
        /// Why.
        reason: String,
    },
    /// Complete a task by hand.
    Skip {
        /// The task's frame.
        frame: FrameId,
        /// Its raw output; `None` = its raw input.
        output: Option<Json>,
        /// Why.
        reason: String,
    },
}
