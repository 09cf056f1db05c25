//! Limits in words.

use planaria_proto::flow::v1::{Limit, LimitUse};

use crate::words;

/// `at most 5 at once · 10 starts per second, 20 at once after a pause`
#[must_use]
pub fn words(limit: &Limit) -> String {
    let mut parts = Vec::new();
    if limit.concurrency > 0 {
        parts.push(format!("{} at once", words::count(u64::from(limit.concurrency))));
    }
    if limit.rate > 0.0 {
        let burst = match limit.burst {
            0 => String::new(),
            burst => format!(", {} after a pause", words::count(u64::from(burst))),
        };
        parts.push(format!("{} starts per second{burst}", words::digits(limit.rate)));
    }
    if parts.is_empty() { "any number".to_owned() } else { parts.join(" · ") }
}

/// `3 run, 12 wait`
#[must_use]
pub fn usage(it: &LimitUse) -> String {
    format!("{} run, {} wait", words::count(it.running), words::count(it.waiting))
}

/// What part of the attempts that may run together does; none where any number may.
#[must_use]
pub fn part(it: &LimitUse, concurrency: u32) -> Option<f64> {
    (concurrency > 0).then(|| (it.running as f64 / f64::from(concurrency)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_what_it_limits() {
        let limit = Limit { concurrency: 5, rate: 0.5, burst: 3, ..Limit::default() };
        assert_eq!(words(&limit), "5 at once · 0.5 starts per second, 3 after a pause");
        assert_eq!(words(&Limit::default()), "any number");
    }

    #[test]
    fn a_part_is_told_only_of_what_is_limited() {
        let it = LimitUse { running: 3, waiting: 2, ..LimitUse::default() };
        assert_eq!(part(&it, 4), Some(0.75));
        assert_eq!(part(&it, 0), None);
        assert_eq!(usage(&it), "3 run, 2 wait");
    }
}
