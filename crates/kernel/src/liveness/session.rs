//! The life of one session, as its heartbeats and streams tell it.

use super::{AttemptReport, Estimator, Policy, Progress, Verdict};

mod judge;

#[cfg(test)]
mod tests;

/// A session of a worker. `Dead` and `Left` are final.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionLiveness {
    /// It beats.
    Alive(Watch),
    /// It may be gone.
    Suspect(Watch, Cause),
    /// It was pronounced dead, or the orchestrator ended it.
    Dead(Death),
    /// It said goodbye.
    Left {
        /// When that was heard of, in milliseconds.
        at_ms: u64,
    },
}

/// What is observed of a session that is not over.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// Its heartbeats.
    pub estimator: Estimator,
    /// What its attempts do.
    progress: Progress,
    /// The latest heartbeat stream, by the number that the service gave it.
    stream: u64,
    /// How and when that stream ended, if it did.
    lost: Option<(Loss, u64)>,
    /// Whether its very first heartbeat was heard: nothing of it can have been missed.
    began_here: bool,
}

/// How a heartbeat stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It was reset: the worker's side went, however many proxies stand between.
    Reset,
    /// It ended without a goodbye, or was cancelled: the worker's side went too.
    Closed,
    /// The connection went, and it was the worker's own.
    Connection,
    /// The connection of a gateway went, which says nothing of the worker behind it.
    Hop,
}

/// What speaks for a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The heartbeat stream was reset.
    StreamReset,
    /// The heartbeat stream ended, or was cancelled, without a goodbye.
    StreamClosed,
    /// The worker's connection was lost.
    ConnectionLost,
    /// Silence.
    HeartbeatsStopped,
    /// Silence that the loss of a gateway's connection may explain: never a death.
    HopLost,
    /// A newer incarnation of the same worker is there.
    NewIncarnation,
    /// The orchestrator ended the session: not the detector's verdict.
    SessionEnded,
}

impl Cause {
    /// One clause for people, about the worker.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::StreamReset => "its heartbeat stream was reset",
            Self::StreamClosed => "its heartbeat stream ended without a goodbye",
            Self::ConnectionLost => "its connection was lost",
            Self::HeartbeatsStopped => "its heartbeats stopped",
            Self::HopLost => "the gateway it beats through was lost",
            Self::NewIncarnation => "a newer incarnation of the worker took its place",
            Self::SessionEnded => "the orchestrator ended its session",
        }
    }
}

/// A death and how it was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// What told it.
    pub cause: Cause,
    /// The first evidence, or the last sign of life.
    pub signal_ms: u64,
    /// When it was pronounced.
    pub at_ms: u64,
}

/// What happens to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// A heartbeat arrived on the numbered stream. A higher number is a newer stream.
    Beat {
        /// The stream's number.
        stream: u64,
        /// The inventory.
        attempts: Vec<AttemptReport>,
    },
    /// A heartbeat stream ended.
    StreamEnded {
        /// The stream's number.
        stream: u64,
        /// How.
        loss: Loss,
    },
    /// A newer session of the same worker is there.
    Superseded,
    /// The orchestrator ended the session.
    Ended {
        /// By a goodbye of the worker.
        left: bool,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEffect {
    /// Tell people that it may be gone.
    Suspected(Cause),
    /// Tell people that it is back, after this silence in milliseconds.
    Recovered(u64),
    /// Tell the orchestrators, and people.
    Died(Death),
    /// Tell people.
    Left,
    /// Tell the orchestrators that an attempt made no progress since the given time.
    Stalled(String, u64),
    /// The heartbeat is of a session that is over: tell its worker.
    Refused,
}

/// What the detector thinks of itself while it judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// The acceptable pause is multiplied by this.
    pub pause_factor: u64,
    /// Nothing is pronounced before: the detector was stopped.
    pub observe_until_ms: u64,
    /// Nothing is pronounced before on sessions that began elsewhere: the detector is new.
    pub start_until_ms: u64,
    /// Nothing is pronounced for silence before.
    pub hold_until_ms: u64,
    /// How long a worker whose stream was lost may take to resume.
    pub resume_ms: u64,
}

/// The outcome of [`SessionLiveness::apply`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The state from now on.
    pub next: SessionLiveness,
    /// What is to be done.
    pub effects: Vec<SessionEffect>,
}

impl Step {
    fn quiet(next: SessionLiveness) -> Self {
        Self { next, effects: Vec::new() }
    }

    fn with(next: SessionLiveness, effect: SessionEffect) -> Self {
        Self { next, effects: vec![effect] }
    }
}

impl SessionLiveness {
    /// After the first heartbeat that was heard, which arrived on the numbered stream; whether the
    /// session `began_here` with it.
    #[must_use]
    pub fn first(
        policy: &Policy,
        stream: u64,
        attempts: Vec<AttemptReport>,
        began_here: bool,
        now: u64,
    ) -> Self {
        let mut progress = Progress::default();
        // Nothing can be stalled yet: the time of each attempt begins now.
        progress.observe(attempts, true, now);
        let estimator = Estimator::new(policy, now);
        Self::Alive(Watch { estimator, progress, stream, lost: None, began_here })
    }

    /// What is observed, while the session is not over.
    #[must_use]
    pub fn watch(&self) -> Option<&Watch> {
        match self {
            Self::Alive(watch) | Self::Suspect(watch, _) => Some(watch),
            Self::Dead(_) | Self::Left { .. } => None,
        }
    }

    /// Decides what an event means.
    #[must_use]
    pub fn apply(
        self,
        event: SessionEvent,
        policy: &Policy,
        conditions: &Conditions,
        now: u64,
    ) -> Step {
        let (mut watch, suspected) = match self {
            Self::Alive(watch) => (watch, None),
            Self::Suspect(watch, cause) => (watch, Some(cause)),
            over @ (Self::Dead(_) | Self::Left { .. }) => return over.apply_over(event, now),
        };
        match event {
            SessionEvent::Beat { stream, attempts } => {
                let effects = watch.beat(stream, attempts, suspected, policy, conditions, now);
                return Step { next: Self::Alive(watch), effects };
            }
            SessionEvent::StreamEnded { stream, loss } if stream == watch.stream => {
                watch.lost.get_or_insert((loss, now));
            }
            // An older stream: the worker has opened a newer one since.
            SessionEvent::StreamEnded { .. } => {}
            SessionEvent::Superseded => {
                return Self::die(Cause::NewIncarnation, now, now);
            }
            SessionEvent::Ended { left: true } => {
                return Step::with(Self::Left { at_ms: now }, SessionEffect::Left);
            }
            SessionEvent::Ended { left: false } => {
                let signal_ms = watch.estimator.last_ms();
                return Self::die(Cause::SessionEnded, signal_ms, now);
            }
            SessionEvent::Tick => {}
        }
        let (verdict, cause, signal_ms) = watch.judge(policy, conditions, now);
        match verdict {
            Verdict::Dead => Self::die(cause, signal_ms, now),
            Verdict::Suspect if suspected == Some(cause) => {
                Step::quiet(Self::Suspect(watch, cause))
            }
            Verdict::Suspect => {
                Step::with(Self::Suspect(watch, cause), SessionEffect::Suspected(cause))
            }
            // Only a heartbeat takes a suspicion away.
            Verdict::Alive => Step::quiet(match suspected {
                None => Self::Alive(watch),
                Some(cause) => Self::Suspect(watch, cause),
            }),
        }
    }

    fn apply_over(self, event: SessionEvent, now: u64) -> Step {
        match (self, event) {
            (over, SessionEvent::Beat { .. }) => Step::with(over, SessionEffect::Refused),
            // The goodbye came after the end of the stream: it was no death.
            (Self::Dead(_), SessionEvent::Ended { left: true }) => {
                Step::with(Self::Left { at_ms: now }, SessionEffect::Left)
            }
            (over, SessionEvent::Ended { .. })
            | (over, SessionEvent::StreamEnded { .. })
            | (over, SessionEvent::Superseded)
            | (over, SessionEvent::Tick) => Step::quiet(over),
        }
    }

    fn die(cause: Cause, signal_ms: u64, at_ms: u64) -> Step {
        let death = Death { cause, signal_ms, at_ms };
        Step::with(Self::Dead(death), SessionEffect::Died(death))
    }
}

impl Watch {
    /// Until then the session is only looked at.
    fn observe_until_ms(&self, conditions: &Conditions) -> u64 {
        let start_until_ms = if self.began_here { 0 } else { conditions.start_until_ms };
        conditions.observe_until_ms.max(start_until_ms)
    }

    fn beat(
        &mut self,
        stream: u64,
        attempts: Vec<AttemptReport>,
        suspected: Option<Cause>,
        policy: &Policy,
        conditions: &Conditions,
        now: u64,
    ) -> Vec<SessionEffect> {
        let mut effects = Vec::new();
        let silence = now.saturating_sub(self.estimator.last_ms());
        if suspected.is_some() {
            effects.push(SessionEffect::Recovered(silence));
        }
        let factor = conditions.pause_factor;
        // Reports of progress may have been lost in a long silence, ours or the worker's.
        let lenient = now < self.observe_until_ms(conditions)
            || self.estimator.verdict(policy, factor, now) != Verdict::Alive;
        self.estimator.beat(policy, factor, now);
        if stream >= self.stream {
            self.stream = stream;
            self.lost = None;
        }
        let stalled = self.progress.observe(attempts, lenient, now);
        effects.extend(stalled.into_iter().map(|(id, since)| SessionEffect::Stalled(id, since)));
        effects
    }
}
