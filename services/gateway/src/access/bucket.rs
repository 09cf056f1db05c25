//! How fast a key may be used: a bucket that fills steadily and is emptied by calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that may be made now, and how more come.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    calls: f64,
    at: Instant,
}

impl Bucket {
    /// A full one; none where there is no limit. A burst is at least one call.
    pub(crate) fn new(per_second: u32, burst: u32) -> Option<Self> {
        let burst = f64::from(burst.max(1));
        let state = Mutex::new(State { calls: burst, at: Instant::now() });
        (per_second > 0).then(|| Self { per_second: f64::from(per_second), burst, state })
    }

    /// Takes one call, or says after how long there will be one.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let came = now.duration_since(state.at).as_secs_f64() * self.per_second;
        state.calls = (state.calls + came).min(self.burst);
        state.at = now;
        if state.calls < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - state.calls) / self.per_second));
        }
        state.calls -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate() {
        let bucket = Bucket::new(10, 3).unwrap();
        let took = |count: usize| (0..count).filter(|_| bucket.take().is_ok()).count();
        assert_eq!(took(5), 3);
        assert_eq!(bucket.take(), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(took(5), 1);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(took(5), 3, "it never holds more than a burst");
        assert!(Bucket::new(0, 3).is_none());
    }
}
