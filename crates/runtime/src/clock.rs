//! The wall clock. Services read the time here and nowhere else; decisions get it as an argument.

use std::time::UNIX_EPOCH;

/// Milliseconds since the Unix epoch; 0 if the machine's clock stands before it.
#[must_use]
pub fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    ms_of(std::time::SystemTime::now())
}

/// A time in milliseconds since the Unix epoch; 0 if it is before it.
#[must_use]
pub fn ms_of(at: std::time::SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_counts_milliseconds_of_this_century() {
        let year_2020_ms = 1_577_836_800_000;
        let year_2100_ms = 4_102_444_800_000;
        assert!((year_2020_ms..year_2100_ms).contains(&super::now_ms()));
    }
}
