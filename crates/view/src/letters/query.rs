//! Which dead letters somebody wants to see, and to redrive.

use planaria_proto::retry::v1::{DeadLetterFilter, DeadLetterState};
use prost_types::Timestamp;

use super::state;

/// The states that one chooses from.
pub const STATES: &[DeadLetterState] =
    &[DeadLetterState::Open, DeadLetterState::Redriven, DeadLetterState::Resolved];

/// What the address says of dead letters; what is empty does not matter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LetterQuery {
    /// The name of a state; empty = open.
    pub state: String,
    /// The definition's namespace.
    pub namespace: String,
    /// The definition's name.
    pub definition: String,
    /// The function that failed.
    pub function: String,
}

impl LetterQuery {
    /// The state that is asked for.
    #[must_use]
    pub fn letter_state(&self) -> DeadLetterState {
        let found = STATES.iter().find(|it| state(**it) == self.state);
        found.copied().unwrap_or(DeadLetterState::Open)
    }

    /// The filter of the contract; of one fingerprint, if it is not empty.
    #[must_use]
    pub fn filter(&self, fingerprint: &str) -> DeadLetterFilter {
        DeadLetterFilter {
            namespace: self.namespace.clone(),
            definition: self.definition.clone(),
            function: self.function.clone(),
            fingerprint: fingerprint.to_owned(),
            ..DeadLetterFilter::default()
        }
    }

    /// The filter for a redrive, which must say something: without anything else it says that they
    /// were there before `now`.
    #[must_use]
    pub fn redrive_filter(&self, fingerprint: &str, now_ms: i64) -> DeadLetterFilter {
        let mut filter = self.filter(fingerprint);
        if filter == DeadLetterFilter::default() {
            let nanos = (now_ms.rem_euclid(1000) * 1_000_000) as i32;
            filter.before = Some(Timestamp { seconds: now_ms.div_euclid(1000), nanos });
        }
        filter
    }

    /// Which ones these are, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [
            ("namespace", &self.namespace),
            ("definition", &self.definition),
            ("function", &self.function),
        ];
        let said = parts.iter().filter(|(_, value)| !value.is_empty());
        let said: Vec<_> = said.map(|(name, value)| format!("{name} {value}")).collect();
        if said.is_empty() { "all open dead letters".into() } else { said.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_always_says_which() {
        let all = LetterQuery::default();
        assert_eq!(all.filter(""), DeadLetterFilter::default());
        let before = all.redrive_filter("", 1500).before;
        assert_eq!(before, Some(Timestamp { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(all.redrive_filter("f", 1500).before, None);
        assert_eq!(all.words(), "all open dead letters");
        let some = LetterQuery { function: "charge".into(), ..LetterQuery::default() };
        assert_eq!(some.redrive_filter("", 1500).before, None);
        assert_eq!(some.words(), "function charge");
    }

    #[test]
    fn states_are_read_by_their_names() {
        let named = |name: &str| LetterQuery { state: name.into(), ..LetterQuery::default() };
        assert_eq!(named("redriven").letter_state(), DeadLetterState::Redriven);
        assert_eq!(named("nonsense").letter_state(), DeadLetterState::Open);
    }
}
