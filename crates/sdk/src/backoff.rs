//! How long to wait before trying again.

use std::time::{Duration, Instant};

/// A connection that lived this long was a good one: what follows is a new trouble.
const HEALTHY: Duration = Duration::from_secs(1);

/// Delays that double from `first` to `max`, with jitter; the very first retry may be immediate.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    immediate: bool,
    tries: u32,
}

impl Backoff {
    /// For streams. A break is evidence that the worker went unless it is back within 150 ms:
    /// the first retry waits for nothing, and even the next ones come within that time.
    pub(crate) fn for_streams() -> Self {
        Self {
            first: Duration::from_millis(20),
            max: Duration::from_millis(500),
            immediate: true,
            tries: 0,
        }
    }

    /// For calls that are repeated until they are answered.
    pub(crate) fn for_calls() -> Self {
        Self {
            first: Duration::from_millis(20),
            max: Duration::from_secs(1),
            immediate: false,
            tries: 0,
        }
    }

    /// How often [`Backoff::next`] was asked since the last reset.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// The next delay: between half of the doubled delay and the whole.
    pub(crate) fn next(&mut self) -> Duration {
        let tries = self.tries;
        self.tries = self.tries.saturating_add(1);
        let doublings = match (self.immediate, tries) {
            (true, 0) => return Duration::ZERO,
            (true, tries) => tries - 1,
            (false, tries) => tries,
        };
        let whole = self.first.saturating_mul(1_u32 << doublings.min(16)).min(self.max);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Waits for the next delay.
    pub(crate) async fn wait(&mut self) {
        self.wait_at_least(Duration::ZERO).await;
    }

    /// The same, and no less than this: then by up to half as much longer, so that those who were
    /// told the same do not come back as one.
    pub(crate) async fn wait_at_least(&mut self, least: Duration) {
        let delay = self.next().max(least.mul_f64(1.0 + fastrand::f64() / 2.0));
        if delay.is_zero() {
            // A peer that accepts and closes at once must not keep this thread to itself.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(delay).await;
        }
    }

    /// Forgets the failures if what began at `began` worked for a while.
    pub(crate) fn worked_since(&mut self, began: Instant) {
        if began.elapsed() >= HEALTHY {
            self.tries = 0;
        }
    }

    /// Forgets the failures.
    pub(crate) fn worked(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_of_a_stream_is_immediate_and_three_more_come_within_150_ms() {
        let mut backoff = Backoff::for_streams();
        assert_eq!(backoff.next(), Duration::ZERO);
        let three = backoff.next() + backoff.next() + backoff.next();
        assert!(three <= Duration::from_millis(20 + 40 + 80), "{three:?}");
    }

    #[test]
    fn delays_double_to_their_limit() {
        let mut backoff = Backoff::for_calls();
        for whole_ms in [20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000] {
            let whole = Duration::from_millis(whole_ms);
            let delay = backoff.next();
            assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        }
        backoff.worked();
        assert!(backoff.next() <= Duration::from_millis(20));
    }
}
