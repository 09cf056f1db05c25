//! Repairs of the same thing again and again: there is a bug that they would hide.

use std::collections::{BTreeMap, VecDeque};

/// So many repairs of one thing within [`SPAN_MS`] are chance; one more is not.
pub const REPAIRS_MAX: usize = 3;
/// The span that repairs are counted over.
pub const SPAN_MS: u64 = 3_600_000;
/// Things that are remembered; beyond that those forget first that were repaired longest ago.
const REMEMBERED_MAX: usize = 10_000;

/// What was repaired, and when. `K` names what: the same state of the same thing.
#[derive(Clone, Debug)]
pub struct Repeats<K> {
    repaired: BTreeMap<K, VecDeque<u64>>,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self { repaired: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Repeats<K> {
    /// Notes a repair. Whether it is the one that makes an incident of it: told once for as long
    /// as the repairs go on.
    pub fn note(&mut self, key: &K, now_ms: u64) -> bool {
        if !self.repaired.contains_key(key) && self.repaired.len() >= REMEMBERED_MAX {
            self.forget_oldest(now_ms);
        }
        let times = self.repaired.entry(key.clone()).or_default();
        let was_over = is_over(times, now_ms);
        // The last few are enough to tell how many there were.
        if times.len() > REPAIRS_MAX {
            times.pop_front();
        }
        times.push_back(now_ms);
        is_over(times, now_ms) && !was_over
    }

    /// Forgets what was not repaired for a span; answers it.
    pub fn settled(&mut self, now_ms: u64) -> Vec<K> {
        let is_old =
            |times: &VecDeque<u64>| times.back().is_none_or(|last| last + SPAN_MS < now_ms);
        let old = self.repaired.iter().filter(|(_, times)| is_old(times));
        let old: Vec<K> = old.map(|(key, _)| key.clone()).collect();
        for key in &old {
            self.repaired.remove(key);
        }
        old
    }

    fn forget_oldest(&mut self, now_ms: u64) {
        if !self.settled(now_ms).is_empty() {
            return;
        }
        let oldest = self.repaired.iter().min_by_key(|(_, times)| times.back().copied());
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            self.repaired.remove(&oldest);
        }
    }
}

fn is_over(times: &VecDeque<u64>, now_ms: u64) -> bool {
    times.iter().filter(|at_ms| **at_ms + SPAN_MS > now_ms).count() > REPAIRS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_repair_within_an_hour_is_told_once() {
        let mut repeats = Repeats::default();
        let told: Vec<bool> = (0..6).map(|n| repeats.note(&"row", n * 60_000)).collect();
        assert_eq!(told, [false, false, false, true, false, false]);
        assert!(!repeats.note(&"another", 400_000));
        assert!(repeats.settled(SPAN_MS).is_empty());
        let much_later = 3 * SPAN_MS;
        assert_eq!(repeats.settled(much_later), ["another", "row"]);
        assert!(!repeats.note(&"row", much_later), "it begins anew");
    }

    #[test]
    fn repairs_that_are_rare_are_no_incident() {
        let mut repeats = Repeats::default();
        assert!((0..100).all(|n| !repeats.note(&"row", n * SPAN_MS / 3)));
    }
}
