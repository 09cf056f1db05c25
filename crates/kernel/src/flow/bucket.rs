//! Rates: a token bucket that several holders draw from.

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens in a second.
    pub per_second: f64,
    /// Tokens at most.
    pub burst: u32,
}

/// Tokens that are there; one is taken for each start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// So many, the last perhaps in part.
    pub tokens: f64,
    /// When that was so, in Unix milliseconds.
    pub at_ms: u64,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now_ms: u64) -> Self {
        Self { tokens: f64::from(rate.burst), at_ms: now_ms }
    }

    /// Fills it up to a time; a time before the last one changes nothing.
    pub fn fill(&mut self, rate: Rate, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = self.at_ms.max(now_ms);
        self.put(rate, passed_ms as f64 / 1_000.0 * rate.per_second);
    }

    /// Puts tokens back that were taken and not used; what it cannot hold is gone.
    pub fn put(&mut self, rate: Rate, tokens: f64) {
        self.tokens = (self.tokens + tokens).clamp(0.0, f64::from(rate.burst));
    }

    /// Takes what there is for one holder, in proportion to what all of them want. Answers how
    /// many.
    pub fn take(&mut self, wanted: u32, wanted_by_others: u32) -> u32 {
        let whole = self.tokens.max(0.0).floor();
        let all = f64::from(wanted) + f64::from(wanted_by_others);
        if wanted == 0 || whole < 1.0 {
            return 0;
        }
        let share = (whole * f64::from(wanted) / all).ceil().min(whole).min(f64::from(wanted));
        self.tokens -= share;
        share as u32
    }

    /// When it is full if nothing more is taken, in Unix milliseconds.
    #[must_use]
    pub fn full_at_ms(&self, rate: Rate) -> u64 {
        let missing = (f64::from(rate.burst) - self.tokens).max(0.0);
        self.at_ms.saturating_add((missing / rate.per_second * 1_000.0).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 4 };

    #[test]
    fn it_fills_with_time_and_holds_a_burst() {
        let mut bucket = Bucket::full(RATE, 1_000);
        assert_eq!(bucket.take(9, 0), 4);
        assert_eq!(bucket.take(9, 0), 0);
        bucket.fill(RATE, 1_499);
        assert_eq!(bucket.take(9, 0), 0, "not a whole one");
        bucket.fill(RATE, 1_500);
        assert_eq!(bucket.take(9, 0), 1);
        assert_eq!(bucket.full_at_ms(RATE), 3_500);
        bucket.fill(RATE, 999_999);
        assert_eq!(bucket.take(9, 0), 4);
    }

    #[test]
    fn holders_take_in_proportion() {
        let rate = Rate { per_second: 1.0, burst: 100 };
        let mut bucket = Bucket::full(rate, 0);
        assert_eq!(bucket.take(10, 30), 10, "there is enough for all");
        let mut bucket = Bucket { tokens: 8.0, at_ms: 0 };
        assert_eq!(bucket.take(10, 30), 2);
        assert_eq!(bucket.take(30, 0), 6);
        bucket.put(rate, 500.0);
        assert_eq!(bucket.take(1_000, 0), 100, "what it cannot hold is gone");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = Bucket::full(RATE, 10_000);
        bucket.take(4, 0);
        bucket.fill(RATE, 5_000);
        bucket.fill(RATE, 10_000);
        assert_eq!(bucket.take(1, 0), 0);
        bucket.fill(RATE, 10_500);
        assert_eq!(bucket.take(1, 0), 1);
    }
}
