//! Breakers and budgets as they are stored: messages that only this service reads.

use planaria_kernel::retry::Window;
use planaria_kernel::retry::breaker::{Breaker, Closed, HalfOpen, Open};
use planaria_kernel::retry::budget::Budget;
use planaria_proto::retry::v1::BreakerPhase;
use prost::Message;

/// Two counts by second.
#[derive(Clone, PartialEq, Message)]
struct StoredWindow {
    #[prost(uint64, repeated, tag = "1")]
    seconds: Vec<u64>,
    #[prost(uint32, repeated, tag = "2")]
    first: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    second: Vec<u32>,
}

/// What only one of the phases has.
#[derive(Clone, PartialEq, Message)]
struct StoredBreaker {
    #[prost(uint32, tag = "1")]
    failures_in_row: u32,
    #[prost(message, optional, tag = "2")]
    window: Option<StoredWindow>,
    #[prost(uint32, tag = "3")]
    times: u32,
    #[prost(uint32, tag = "4")]
    taken: u32,
    #[prost(uint32, tag = "5")]
    passed: u32,
    #[prost(uint32, tag = "6")]
    failed: u32,
    #[prost(uint64, tag = "7")]
    until_ms: u64,
}

impl StoredWindow {
    fn of(window: &Window) -> Self {
        let mut stored = Self::default();
        for (second, one, other) in window.buckets() {
            stored.seconds.push(second);
            stored.first.push(one);
            stored.second.push(other);
        }
        stored
    }

    fn read(&self) -> Window {
        let counts = self.first.iter().zip(&self.second);
        let buckets = self.seconds.iter().zip(counts);
        buckets.map(|(second, (one, other))| (*second, *one, *other)).collect()
    }
}

/// A budget.
pub(super) fn budget(budget: &Budget) -> Vec<u8> {
    StoredWindow::of(budget.window()).encode_to_vec()
}

/// A budget as it was stored. What cannot be read is a fresh one: it holds ten seconds.
pub(super) fn budget_from(stored: &[u8]) -> Budget {
    Budget::from_window(StoredWindow::decode(stored).unwrap_or_default().read())
}

/// The phase of a breaker.
pub(super) const fn phase(breaker: &Breaker) -> BreakerPhase {
    match breaker {
        Breaker::Closed(_) => BreakerPhase::Closed,
        Breaker::Open(_) => BreakerPhase::Open,
        Breaker::HalfOpen(_) => BreakerPhase::HalfOpen,
    }
}

/// What its phase and since when do not say of a breaker.
pub(super) fn breaker(breaker: &Breaker) -> Vec<u8> {
    let stored = match breaker {
        Breaker::Closed(Closed { since_ms: _, failures_in_row, window }) => StoredBreaker {
            failures_in_row: *failures_in_row,
            window: Some(StoredWindow::of(window)),
            ..StoredBreaker::default()
        },
        Breaker::Open(Open { since_ms: _, until_ms, times }) => {
            StoredBreaker { until_ms: *until_ms, times: *times, ..StoredBreaker::default() }
        }
        Breaker::HalfOpen(HalfOpen { since_ms: _, times, taken, passed, failed, until_ms }) => {
            StoredBreaker {
                times: *times,
                taken: *taken,
                passed: *passed,
                failed: *failed,
                until_ms: *until_ms,
                ..StoredBreaker::default()
            }
        }
    };
    stored.encode_to_vec()
}

/// A breaker as it was stored.
pub(super) fn breaker_from(
    phase: BreakerPhase,
    since_ms: u64,
    stored: &[u8],
) -> Result<Breaker, prost::DecodeError> {
    let stored = StoredBreaker::decode(stored)?;
    let StoredBreaker { times, taken, passed, failed, until_ms, failures_in_row, window } = stored;
    Ok(match phase {
        BreakerPhase::Open => Breaker::Open(Open { since_ms, until_ms, times }),
        BreakerPhase::HalfOpen => {
            Breaker::HalfOpen(HalfOpen { since_ms, times, taken, passed, failed, until_ms })
        }
        BreakerPhase::Closed | BreakerPhase::Unspecified => {
            let window = window.unwrap_or_default().read();
            Breaker::Closed(Closed { since_ms, failures_in_row, window })
        }
    })
}
