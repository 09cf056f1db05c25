//! Effects: what the shell does once the facts that ask for it are committed.

use crate::Json;
use crate::definition::NodeId;
use crate::workflow::FrameId;

/// Which of a frame's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// The end of a wait.
    Wait,
    /// The task's timeout.
    Timeout,
    /// The next run of a try's body.
    Retry,
}

/// What the shell does, keyed by frame: doing it twice is doing it once.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Have a worker execute the function task.
    Schedule {
        /// The task's frame.
        frame: FrameId,
        /// The task.
        node: NodeId,
        /// The number of its next attempt.
        attempt: u32,
        /// What the function gets.
        arguments: Json,
        /// When the task's timeout strikes.
        deadline_ms: Option<u64>,
    },
    /// Nobody needs the function task any more.
    Abandon {
        /// The task's frame.
        frame: FrameId,
    },
    /// Send `TimerFired` when it is time.
    Arm {
        /// The frame.
        frame: FrameId,
        /// Which timer.
        timer: Timer,
        /// Unix milliseconds.
        due_ms: u64,
    },
    /// The timer is not needed any more.
    Disarm {
        /// The frame.
        frame: FrameId,
        /// Which timer.
        timer: Timer,
    },
    /// Publish an event.
    Publish {
        /// The CloudEvent in JSON format.
        event: Json,
    },
    /// The workflow is over (for now, if it faulted): drop all its tasks and timers.
    End,
    /// There is more to do: apply [`Input::Continue`](super::Input::Continue) after the commit.
    Continue,
}
