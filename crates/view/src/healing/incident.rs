//! What died, and all that was healed because of it.

use std::collections::HashMap;

use planaria_proto::types::v1::{Healing, Signal};

use super::how;
use crate::words::{duration_ms, millis, plural};

/// The healings of one cause, in the order in which they were detected.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The cause, e.g. the session that died; the healing's own id where it names none.
    pub id: String,
    /// Never empty.
    pub healings: Vec<Healing>,
}

impl Incident {
    /// The first evidence of it.
    #[must_use]
    pub fn signal_at(&self) -> Option<i64> {
        self.healings.iter().filter_map(|it| it.signal_at.as_ref()).map(millis).min()
    }

    /// When it was detected.
    #[must_use]
    pub fn detected_at(&self) -> Option<i64> {
        self.healings.iter().filter_map(|it| it.detected_at.as_ref()).map(millis).min()
    }

    /// How many of its healings are under way.
    #[must_use]
    pub fn open(&self) -> usize {
        self.healings.iter().filter(|it| it.healed_at.is_none()).count()
    }

    /// The longest that detection took.
    #[must_use]
    pub fn detected_after_ms(&self) -> Option<f64> {
        longest(self.healings.iter().map(|it| it.detected_after.as_ref().map(duration_ms)))
    }

    /// The longest that a repair took; nothing while one is under way.
    #[must_use]
    pub fn healed_after_ms(&self) -> Option<f64> {
        if self.open() > 0 {
            return None;
        }
        longest(self.healings.iter().map(|it| it.healed_after.as_ref().map(duration_ms)))
    }

    /// The signals that told of it, each once.
    #[must_use]
    pub fn signals(&self) -> Vec<Signal> {
        let mut signals: Vec<_> = self.healings.iter().map(Healing::signal).collect();
        signals.dedup();
        signals.sort_unstable();
        signals.dedup();
        signals
    }

    /// What died and how that was known, in words.
    #[must_use]
    pub fn headline(&self) -> String {
        let Some(first) = self.healings.first() else { return String::new() };
        if self.healings.len() == 1 || first.lost_worker.is_empty() {
            return first.summary.clone();
        }
        let mut tasks: Vec<_> =
            self.healings.iter().map(|it| (&it.workflow_id, &it.task)).collect();
        tasks.sort_unstable();
        tasks.dedup();
        let signals: Vec<_> = self.signals().into_iter().map(how).collect();
        format!(
            "worker {} was lost with {}: {}",
            first.lost_worker,
            plural(tasks.len() as u64, "task", "tasks"),
            signals.join("; ")
        )
    }

    /// Changes whenever something of it does.
    #[must_use]
    pub fn version(&self) -> (usize, usize, u32) {
        let attempts = self.healings.iter().map(|it| it.new_attempt);
        (self.healings.len(), self.open(), attempts.fold(0, u32::wrapping_add))
    }
}

fn longest(spans: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    spans.flatten().fold(None, |most: Option<f64>, ms| Some(most.map_or(ms, |it| it.max(ms))))
}

/// Puts told healings into those that are known: a known one is replaced, unless it was healed and
/// the told one is older news.
pub fn merge(known: &mut Vec<Healing>, told: Vec<Healing>) {
    let places = known.iter().enumerate().map(|(place, it)| (it.id.clone(), place));
    let mut places: HashMap<String, usize> = places.collect();
    for healing in told {
        let known_one = places.get(&healing.id).and_then(|place| known.get_mut(*place));
        match known_one {
            Some(it) if it.healed_at.is_some() && healing.healed_at.is_none() => {}
            Some(it) => *it = healing,
            None => {
                places.insert(healing.id.clone(), known.len());
                known.push(healing);
            }
        }
    }
}

/// Groups healings by incident: what is open first, then the newest.
#[must_use]
pub fn group(healings: &[Healing]) -> Vec<Incident> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut incidents: Vec<Incident> = Vec::new();
    for healing in healings {
        let id = if healing.incident.is_empty() { &healing.id } else { &healing.incident };
        let place = *places.entry(id).or_insert(incidents.len());
        match incidents.get_mut(place) {
            Some(incident) => incident.healings.push(healing.clone()),
            None => {
                incidents.push(Incident { id: id.clone(), healings: vec![healing.clone()] });
            }
        }
    }
    for incident in &mut incidents {
        incident.healings.sort_by_cached_key(|it| {
            (it.detected_at.as_ref().map(millis), it.task.clone(), it.id.clone())
        });
    }
    incidents.sort_by_key(|it| (it.open() == 0, -it.detected_at().unwrap_or(0)));
    incidents
}

#[cfg(test)]
mod tests {
    use prost_types::{Duration, Timestamp};

    use super::*;

    fn at(ms: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds: ms / 1000, nanos: (ms % 1000) as i32 * 1_000_000 })
    }

    fn healing(id: &str, incident: &str, detected: i64, healed: Option<i64>) -> Healing {
        Healing {
            id: id.into(),
            incident: incident.into(),
            task: format!("/do/{id}"),
            lost_worker: "w1".into(),
            signal: Signal::StreamLost as i32,
            summary: format!("{id} healed"),
            signal_at: at(detected - 100),
            detected_at: at(detected),
            healed_at: healed.and_then(at),
            detected_after: Some(Duration { seconds: 0, nanos: 100_000_000 }),
            healed_after: healed.map(|_| Duration { seconds: 0, nanos: 150_000_000 }),
            ..Healing::default()
        }
    }

    #[test]
    fn healings_of_one_cause_are_one_incident_and_what_is_open_comes_first() {
        let healings = [
            healing("a", "s1", 1000, Some(1050)),
            healing("b", "s1", 1001, Some(1050)),
            healing("c", "s2", 900, None),
            healing("d", "", 2000, Some(2001)),
        ];
        let incidents = group(&healings);
        let ids: Vec<_> = incidents.iter().map(|it| (it.id.as_str(), it.healings.len())).collect();
        assert_eq!(ids, [("s2", 1), ("d", 1), ("s1", 2)]);
        assert_eq!(incidents[0].healed_after_ms(), None);
        assert_eq!(incidents[2].healed_after_ms(), Some(150.0));
        assert_eq!(incidents[2].headline(), "worker w1 was lost with 2 tasks: its stream broke");
        assert_eq!(incidents[1].headline(), "d healed");
    }

    #[test]
    fn news_replace_what_is_known_and_old_news_do_not() {
        let mut known = vec![healing("a", "s", 1, None)];
        merge(&mut known, vec![healing("a", "s", 1, Some(2)), healing("b", "s", 1, None)]);
        merge(&mut known, vec![healing("a", "s", 1, None)]);
        let healed: Vec<_> = known.iter().map(|it| it.healed_at.is_some()).collect();
        assert_eq!(healed, [true, false]);
    }
}
