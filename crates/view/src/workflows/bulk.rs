//! What is done to many workflows at once.

use planaria_proto::types::v1::Phase;

/// What is done to many workflows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bulk {
    /// Holds them.
    Suspend,
    /// Lets them go on.
    Resume,
    /// Ends them.
    Cancel,
    /// Lets them go on from their fault.
    Retry,
}

impl Bulk {
    /// All of them, in the order of their buttons.
    pub const ALL: [Self; 4] = [Self::Suspend, Self::Resume, Self::Retry, Self::Cancel];

    /// As a word on a button.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspend => "Suspend",
            Self::Resume => "Resume",
            Self::Cancel => "Cancel",
            Self::Retry => "Retry",
        }
    }

    /// The same, in the middle of a sentence.
    #[must_use]
    pub fn verb(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }

    /// When it has been done.
    #[must_use]
    pub fn done(self) -> &'static str {
        match self {
            Self::Suspend => "suspended",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Retry => "retried",
        }
    }

    /// Whether the call has a place for a reason.
    #[must_use]
    pub fn takes_reason(self) -> bool {
        self != Self::Resume
    }

    /// The phases that allow it.
    #[must_use]
    pub fn phases(self) -> &'static [Phase] {
        match self {
            Self::Suspend => &[Phase::Pending, Phase::Running, Phase::Waiting],
            Self::Resume => &[Phase::Suspended],
            Self::Cancel => {
                &[Phase::Pending, Phase::Running, Phase::Waiting, Phase::Suspended, Phase::Faulted]
            }
            Self::Retry => &[Phase::Faulted],
        }
    }

    /// Of the phases that are shown (none = all), those that allow it.
    #[must_use]
    pub fn of(self, shown: &[Phase]) -> Vec<Phase> {
        let chosen = |phase: &&Phase| shown.is_empty() || shown.contains(phase);
        self.phases().iter().filter(chosen).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_phases_that_allow_it_are_asked_for() {
        assert_eq!(Bulk::Retry.of(&[]), [Phase::Faulted]);
        assert_eq!(Bulk::Retry.of(&[Phase::Running]), []);
        let shown = [Phase::Completed, Phase::Waiting];
        assert_eq!(Bulk::Cancel.of(&shown), [Phase::Waiting]);
    }

    #[test]
    fn nothing_is_done_to_what_is_completed() {
        for bulk in Bulk::ALL {
            assert!(!bulk.phases().contains(&Phase::Completed), "{bulk:?}");
            assert!(!bulk.phases().contains(&Phase::Cancelled), "{bulk:?}");
        }
    }
}
