//! Counts over the last seconds.

use std::collections::BTreeMap;

/// Width of a bucket.
const BUCKET_MS: u64 = 1_000;

/// Two counts per second, over a limited stretch of time. Counts may come late and out of order:
/// several logs are read, each at its own pace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// By the second (Unix time) they happened in.
    buckets: BTreeMap<u64, (u32, u32)>,
}

impl Window {
    /// Counts at a time; what is older than `width_ms` before the newest is forgotten.
    pub fn add(&mut self, width_ms: u64, at_ms: u64, (first, second): (u32, u32)) {
        let bucket = self.buckets.entry(at_ms / BUCKET_MS).or_default();
        bucket.0 = bucket.0.saturating_add(first);
        bucket.1 = bucket.1.saturating_add(second);
        let newest = self.buckets.last_key_value().map_or(0, |(second, _)| *second);
        let oldest = newest.saturating_sub(width_ms / BUCKET_MS);
        self.buckets = self.buckets.split_off(&oldest);
    }

    /// Both sums over the last `width_ms`. The bucket that the stretch begins in counts whole.
    #[must_use]
    pub fn sums(&self, width_ms: u64, now_ms: u64) -> (u64, u64) {
        let since = now_ms.saturating_sub(width_ms) / BUCKET_MS;
        let counted = self.buckets.range(since..);
        counted.fold((0, 0), |(first, second), (_, bucket)| {
            (first + u64::from(bucket.0), second + u64::from(bucket.1))
        })
    }

    /// When the oldest bucket with a second count leaves the stretch.
    #[must_use]
    pub fn second_leaves_ms(&self, width_ms: u64, now_ms: u64) -> Option<u64> {
        let since = now_ms.saturating_sub(width_ms) / BUCKET_MS;
        let mut counted = self.buckets.range(since..).filter(|(_, bucket)| bucket.1 > 0);
        counted.next().map(|(second, _)| (second + 1) * BUCKET_MS + width_ms)
    }

    /// The buckets with their seconds, for storing.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u32, u32)> {
        self.buckets.iter().map(|(second, bucket)| (*second, bucket.0, bucket.1))
    }
}

impl FromIterator<(u64, u32, u32)> for Window {
    fn from_iter<I: IntoIterator<Item = (u64, u32, u32)>>(buckets: I) -> Self {
        let buckets = buckets.into_iter().map(|(second, a, b)| (second, (a, b)));
        Self { buckets: buckets.collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_count_of_the_stretch_is_missing_and_none_far_outside_is_there(
            mut times in prop::collection::vec(0..60_000_u64, 1..50), width_s in 1..30_u64,
        ) {
            let width_ms = width_s * 1_000;
            let mut window = Window::default();
            times.iter().for_each(|at| window.add(width_ms, *at, (1, 2)));
            times.sort_unstable();
            let now_ms = times[times.len() - 1];
            let within = |width: u64| {
                times.iter().filter(|at| **at + width > now_ms).count() as u64
            };
            let (first, second) = window.sums(width_ms, now_ms);
            prop_assert!(first >= within(width_ms));
            prop_assert!(first <= within(width_ms + BUCKET_MS + 1));
            prop_assert_eq!(second, 2 * first);
            prop_assert!(window.buckets().count() as u64 <= width_s + 1);
            let stored: Window = window.buckets().collect();
            prop_assert_eq!(stored, window.clone());
            let free_ms = window.second_leaves_ms(width_ms, now_ms).unwrap();
            prop_assert!(window.sums(width_ms, free_ms).1 < second);
            prop_assert_eq!(window.sums(width_ms, free_ms - 1).1, second);
        }
    }
}
