//! A circuit breaker: while a far side fails, its calls are held back instead of made.
//!
//! Closed, everything goes through and its ends are counted. Too many failures open it: nothing
//! goes through, for a time that doubles from opening to opening. Then it is half open: a few
//! probes go through, and what becomes of them closes or opens it. All times are Unix
//! milliseconds; ends come with the time at which they were recorded, so that reading the same
//! log again, later, gives the same breaker.

use crate::retry::window::Window;

#[cfg(test)]
mod tests;

/// An attempt that started less than this before a phase counts for it: the clocks that say when
/// it started and when the phase began are two.
const SKEW_MS: u64 = 1_000;

/// When a breaker opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// So many failures in a row open it.
    pub failures_in_row: u32,
    /// Failures per hundred calls that open it.
    pub failures_percent: u32,
    /// Fewer calls say nothing about their share of failures.
    pub calls_min: u32,
    /// The stretch of time that calls are counted over.
    pub window_ms: u64,
    /// How long it is open the first time.
    pub open_ms: u64,
    /// How long it is open at most, before jitter.
    pub open_ms_max: u64,
    /// Calls that go through while it is half open.
    pub probes: u32,
    /// So many of them must be answered to close it.
    pub probes_passed: u32,
    /// Probes that nothing was heard of for so long are made again.
    pub probes_ms_max: u64,
}

impl Default for BreakerPolicy {
    /// A far side that answers seven calls of ten is of use, and stays in use: by chance alone, 50
    /// such calls have 25 failures once in 420 times, 20 have ten once in 21 (the binomial tails).
    /// For the same reason three probes of five are enough: if half of all calls is what opens it,
    /// four of five would keep it open for whoever is far from that.
    fn default() -> Self {
        Self {
            failures_in_row: 10,
            failures_percent: 50,
            calls_min: 50,
            window_ms: 30_000,
            open_ms: 15_000,
            open_ms_max: 120_000,
            probes: 5,
            probes_passed: 3,
            probes_ms_max: 30_000,
        }
    }
}

/// A breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Everything goes through.
    Closed(Closed),
    /// Nothing goes through.
    Open(Open),
    /// A few probes go through.
    HalfOpen(HalfOpen),
}

/// Everything goes through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Since when; 0 = always.
    pub since_ms: u64,
    /// Failures since the last answer.
    pub failures_in_row: u32,
    /// Calls, and those of them that failed.
    pub window: Window,
}

/// Nothing goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Since when.
    pub since_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// Which opening it is since it was closed, from 1.
    pub times: u32,
}

/// A few probes go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpen {
    /// Since when.
    pub since_ms: u64,
    /// Openings since it was closed.
    pub times: u32,
    /// Probes that were let through.
    pub taken: u32,
    /// Of these, answered.
    pub passed: u32,
    /// Of these, failed.
    pub failed: u32,
    /// Probes that are missing then are made again.
    pub until_ms: u64,
}

/// What an attempt's end says about the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answers.
    Answered,
    /// It fails.
    Failed,
    /// Nothing: the attempt did not come so far, or was asked to slow down.
    Neutral,
}

/// What happens to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerEvent {
    /// An attempt ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// When it was handed out.
        started_at_ms: u64,
    },
    /// Somebody has so many calls to make.
    ProbesWanted(u32),
    /// Time passed: at least [`Breaker::deadline_ms`] is due.
    TimePassed,
    /// Somebody has it closed.
    Reset,
}

/// What others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerEffect {
    /// It opened.
    Opened,
    /// It is half open.
    HalfOpened,
    /// It closed.
    Closed,
    /// So many probes may go through.
    Probes(u32),
}

/// The next state, and what others are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The breaker from now on.
    pub next: Breaker,
    /// What is to be told, if anything is.
    pub effect: Option<BreakerEffect>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed(Closed::default())
    }
}

impl Breaker {
    /// The breaker after an event. `bits` are 64 uniform ones, for the length of an opening.
    #[must_use]
    pub fn apply(
        self,
        policy: &BreakerPolicy,
        event: BreakerEvent,
        now_ms: u64,
        bits: u64,
    ) -> Step {
        match (self, event) {
            (Self::Closed(closed), BreakerEvent::Ended { outcome, started_at_ms }) => {
                closed.ended(policy, (outcome, started_at_ms), now_ms, bits)
            }
            (Self::HalfOpen(half_open), BreakerEvent::Ended { outcome, started_at_ms }) => {
                half_open.ended(policy, (outcome, started_at_ms), now_ms, bits)
            }
            // What was under way when it opened ends when it ends.
            (Self::Open(open), BreakerEvent::Ended { .. } | BreakerEvent::ProbesWanted(_)) => {
                stays(Self::Open(open))
            }
            (Self::Closed(closed), BreakerEvent::ProbesWanted(wanted)) => Step {
                next: Self::Closed(closed),
                effect: (wanted > 0).then_some(BreakerEffect::Probes(wanted)),
            },
            (Self::HalfOpen(half_open), BreakerEvent::ProbesWanted(wanted)) => {
                half_open.probes(policy, wanted, now_ms)
            }
            (Self::Closed(closed), BreakerEvent::TimePassed) => stays(Self::Closed(closed)),
            (Self::Open(open), BreakerEvent::TimePassed) => open.time_passed(policy, now_ms),
            (Self::HalfOpen(half_open), BreakerEvent::TimePassed) => {
                half_open.time_passed(policy, now_ms)
            }
            (Self::Closed(_), BreakerEvent::Reset) => stays(closed_at(now_ms)),
            (Self::Open(_) | Self::HalfOpen(_), BreakerEvent::Reset) => {
                Step { next: closed_at(now_ms), effect: Some(BreakerEffect::Closed) }
            }
        }
    }

    /// When [`BreakerEvent::TimePassed`] is due.
    #[must_use]
    pub const fn deadline_ms(&self) -> Option<u64> {
        match self {
            Self::Closed(_) => None,
            Self::Open(open) => Some(open.until_ms),
            Self::HalfOpen(half_open) => half_open.deadline_ms(),
        }
    }

    /// Since when it is as it is: closed, open or half open.
    #[must_use]
    pub const fn since_ms(&self) -> u64 {
        match self {
            Self::Closed(closed) => closed.since_ms,
            Self::Open(open) => open.since_ms,
            Self::HalfOpen(half_open) => half_open.since_ms,
        }
    }

    /// Whether it never held anything back, or nothing that happened to it matters any more.
    #[must_use]
    pub fn is_idle(&self, policy: &BreakerPolicy, now_ms: u64) -> bool {
        match self {
            Self::Closed(closed) => {
                closed.failures_in_row == 0 && closed.window.sums(policy.window_ms, now_ms).0 == 0
            }
            Self::Open(_) | Self::HalfOpen(_) => false,
        }
    }
}

impl Closed {
    fn ended(
        mut self,
        policy: &BreakerPolicy,
        (outcome, started_at_ms): (Outcome, u64),
        now_ms: u64,
        bits: u64,
    ) -> Step {
        let failed = match outcome {
            Outcome::Answered => false,
            Outcome::Failed => true,
            Outcome::Neutral => return stays(Breaker::Closed(self)),
        };
        if started_at_ms.saturating_add(SKEW_MS) < self.since_ms {
            return stays(Breaker::Closed(self));
        }
        self.window.add(policy.window_ms, now_ms, (1, u32::from(failed)));
        self.failures_in_row = if failed { self.failures_in_row.saturating_add(1) } else { 0 };
        let (calls, failures) = self.window.sums(policy.window_ms, now_ms);
        let many = calls >= u64::from(policy.calls_min)
            && failures * 100 >= calls * u64::from(policy.failures_percent);
        if failed && (many || self.failures_in_row >= policy.failures_in_row.max(1)) {
            return open(policy, 1, now_ms, bits);
        }
        stays(Breaker::Closed(self))
    }
}

impl Open {
    fn time_passed(self, policy: &BreakerPolicy, now_ms: u64) -> Step {
        if now_ms < self.until_ms {
            return stays(Breaker::Open(self));
        }
        let half_open = HalfOpen {
            since_ms: now_ms,
            times: self.times,
            taken: 0,
            passed: 0,
            failed: 0,
            until_ms: now_ms.saturating_add(policy.probes_ms_max),
        };
        Step { next: Breaker::HalfOpen(half_open), effect: Some(BreakerEffect::HalfOpened) }
    }
}

impl HalfOpen {
    fn ended(
        mut self,
        policy: &BreakerPolicy,
        (outcome, started_at_ms): (Outcome, u64),
        now_ms: u64,
        bits: u64,
    ) -> Step {
        if started_at_ms.saturating_add(SKEW_MS) < self.since_ms {
            return stays(Breaker::HalfOpen(self));
        }
        match outcome {
            Outcome::Answered => self.passed = self.passed.saturating_add(1),
            Outcome::Failed => self.failed = self.failed.saturating_add(1),
            // The probe was none: another may go through.
            Outcome::Neutral => {
                self.taken = self.taken.saturating_sub(1).max(self.ended_probes());
                return stays(Breaker::HalfOpen(self));
            }
        }
        // What goes through although nobody let it counts as well.
        self.taken = self.taken.max(self.ended_probes());
        let needed = policy.probes_passed.clamp(1, policy.probes.max(1));
        if self.passed >= needed {
            return Step { next: closed_at(now_ms), effect: Some(BreakerEffect::Closed) };
        }
        if self.failed > policy.probes.max(1) - needed {
            return open(policy, self.times.saturating_add(1), now_ms, bits);
        }
        stays(Breaker::HalfOpen(self))
    }

    fn probes(mut self, policy: &BreakerPolicy, wanted: u32, now_ms: u64) -> Step {
        let granted = policy.probes.max(1).saturating_sub(self.taken).min(wanted);
        if granted > 0 {
            self.taken += granted;
            self.until_ms = now_ms.saturating_add(policy.probes_ms_max);
        }
        let effect = (granted > 0).then_some(BreakerEffect::Probes(granted));
        Step { next: Breaker::HalfOpen(self), effect }
    }

    fn time_passed(mut self, policy: &BreakerPolicy, now_ms: u64) -> Step {
        let effect = match self.deadline_ms() {
            Some(deadline_ms) if now_ms >= deadline_ms => {
                self.taken = self.ended_probes();
                self.until_ms = now_ms.saturating_add(policy.probes_ms_max);
                Some(BreakerEffect::HalfOpened)
            }
            Some(_) | None => None,
        };
        Step { next: Breaker::HalfOpen(self), effect }
    }

    const fn ended_probes(&self) -> u32 {
        self.passed.saturating_add(self.failed)
    }

    /// Only probes that nothing was heard of are waited for.
    const fn deadline_ms(&self) -> Option<u64> {
        if self.taken > self.ended_probes() { Some(self.until_ms) } else { None }
    }
}

const fn stays(next: Breaker) -> Step {
    Step { next, effect: None }
}

fn closed_at(now_ms: u64) -> Breaker {
    Breaker::Closed(Closed { since_ms: now_ms, ..Closed::default() })
}

fn open(policy: &BreakerPolicy, times: u32, now_ms: u64, bits: u64) -> Step {
    let until_ms = now_ms.saturating_add(open_ms(policy, times, bits));
    let open = Open { since_ms: now_ms, until_ms, times };
    Step { next: Breaker::Open(open), effect: Some(BreakerEffect::Opened) }
}

/// How long an opening lasts: its doubled length, and up to a fifth more, lest all probes of a
/// mesh come at the same moment.
#[must_use]
pub fn open_ms(policy: &BreakerPolicy, times: u32, bits: u64) -> u64 {
    let doubled = 1_u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX);
    let length = policy.open_ms.saturating_mul(doubled).min(policy.open_ms_max.max(policy.open_ms));
    let jitter = (u128::from(length / 5 + 1) * u128::from(bits)) >> 64;
    length.saturating_add(u64::try_from(jitter).unwrap_or(0))
}
