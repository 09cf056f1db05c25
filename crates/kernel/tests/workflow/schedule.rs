//! Random orders of events: what comes in next, chosen from what can come in, and from what
//! cannot.

use planaria_kernel::Json;
use planaria_kernel::workflow::{
    AttemptFailed, AttemptLost, ErrorObject, FrameId, Input, LossCause, Phase, Rejected, Timer,
};
use serde_json::json;

use crate::shell::Shell;

/// One choice: what kind of event, and which.
pub(crate) type Choice = (u8, u8);

impl Shell {
    /// Has the next event happen. `Err` if the machine refused it.
    pub(crate) fn happen(&mut self, (kind, which): Choice) -> Result<(), Rejected> {
        self.now_ms += u64::from(which) * 7;
        self.random = u64::from(which) << 8 | u64::from(kind);
        if kind % 32 == 31 {
            let count = self.workflow.graph.nodes.len();
            let node = &self.workflow.graph.nodes[usize::from(which) % count];
            let (reference, input) = (node.reference.clone(), which.is_multiple_of(2));
            if self.workflow.phase != Phase::Pending {
                let new = json!({ "n": which });
                self.rerun(&reference, input.then_some(&new));
            }
            return Ok(());
        }
        let input = self.next(kind % 32, which);
        self.apply(input).map(|_| ())
    }

    fn next(&mut self, kind: u8, which: u8) -> Input {
        let chosen = usize::from(which);
        let task = self.tasks.keys().nth(chosen % self.tasks.len().max(1)).copied();
        let timer = self.timers.iter().nth(chosen % self.timers.len().max(1));
        let timer = timer.map(|(&key, &due_ms)| (key, due_ms));
        match (kind, task, timer) {
            (0..=7, Some(frame), _) => Input::Returned {
                frame,
                output: Json::from_value(&json!({ "n": which % 4 })),
                execution: self.execution(frame),
            },
            (8..=9, Some(frame), _) => self.failure(frame),
            (10..=11, Some(frame), _) => self.loss(frame, which),
            (12..=13, Some(frame), _) => Input::GiveUp { frame, error: raised(which) },
            (14..=18, _, Some(((frame, timer), due_ms))) => {
                self.now_ms = self.now_ms.max(due_ms);
                Input::TimerFired { frame, timer }
            }
            (19..=20, ..) => Input::Signal { id: format!("s{which}"), event: event(which) },
            (21..=22, ..) => Input::Publish { id: format!("p{which}"), event: event(which) },
            (23, ..) if which.is_multiple_of(4) => Input::Cancel { reason: "enough".to_owned() },
            (23..=24, ..) => Input::Suspend { reason: "wait".to_owned() },
            (25..=26, ..) => Input::Resume,
            (27, ..) => Input::Retry { reason: "again".to_owned() },
            (28, ..) => Input::Skip {
                frame: self.any_frame(chosen),
                output: which
                    .is_multiple_of(2)
                    .then(|| Json::from_value(&json!({ "n": which % 4 }))),
                reason: "by hand".to_owned(),
            },
            (29..=30, ..) => self.nonsense(which),
            _ => Input::Continue,
        }
    }

    fn any_frame(&self, which: usize) -> FrameId {
        let frames = &self.workflow.frames;
        frames.keys().nth(which % frames.len().max(1)).copied().unwrap_or(FrameId(7))
    }

    /// An input for a frame that may well be in no state to take it.
    fn nonsense(&self, which: u8) -> Input {
        let frame = if which % 8 == 7 {
            FrameId(u32::from(which))
        } else {
            self.any_frame(usize::from(which / 8))
        };
        // What the books have can be told of at any time; the rest is refused or ignored.
        match which % 7 {
            0 => Input::TimerFired { frame, timer: Timer::Wait },
            1 => Input::TimerFired { frame, timer: Timer::Retry },
            2 => Input::TimerFired { frame, timer: Timer::Timeout },
            3 => Input::Returned { frame, output: Json::NULL, execution: self.execution(frame) },
            4 => Input::GiveUp { frame, error: raised(which) },
            5 => Input::Start { input: Json::NULL },
            _ => Input::Continue,
        }
    }

    pub(crate) fn failure(&self, frame: FrameId) -> Input {
        Input::AttemptFailed(AttemptFailed {
            frame,
            execution: self.execution(frame),
            error: ErrorObject::runtime("it failed"),
            failure: self.workflow.frames.get(&frame).map_or(0, |frame| frame.failures) + 1,
            retryable: true,
            latest_start_ms: self.now_ms,
            function: "work".to_owned(),
            policy: planaria_kernel::retry::RetryPolicy {
                base_ms: 1_000,
                factor: 2.0,
                cap_ms: 100_000,
                attempts_max: 10,
            },
            retry_after_ms: None,
        })
    }

    pub(crate) fn loss(&self, frame: FrameId, which: u8) -> Input {
        let cause =
            if which.is_multiple_of(2) { LossCause::LeaseExpired } else { LossCause::Drained };
        let losses = self.workflow.frames.get(&frame).map_or(0, |frame| frame.losses);
        Input::AttemptLost(AttemptLost {
            frame,
            execution: self.execution(frame),
            cause,
            detail: "it went".to_owned(),
            losses: losses + u32::from(cause.is_charged()),
            progress: String::new(),
            signal_at_ms: self.now_ms,
        })
    }
}

fn raised(which: u8) -> ErrorObject {
    ErrorObject { status: 400 + u16::from(which % 3), ..ErrorObject::runtime("gave up") }
}

fn event(which: u8) -> Json {
    Json::from_value(&json!({ "type": "t", "data": { "n": which % 4 } }))
}
