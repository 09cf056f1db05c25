//! What a history must be to be trusted: numbered without gap or repetition, from a start to an end
//! with nothing behind it.
//!
//! A history that is not so is never mended: nothing tells what is missing.

use crate::workflow::{Fact, Recorded};

/// Why a history cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Events are missing.
    Gap {
        /// The number of the first that is.
        from: u64,
        /// The number of the next that is there.
        to: u64,
    },
    /// Events are there twice.
    Twice {
        /// The number of the first that is.
        from: u64,
    },
    /// The first event is not the start.
    NotStarted,
    /// It starts again in the middle.
    StartedAgain {
        /// The event.
        seq: u64,
    },
    /// Something happened behind the end.
    AfterEnd {
        /// The event.
        seq: u64,
    },
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gap { from, to: next } => {
                write!(to, "events {from} to {} are missing", next.saturating_sub(1))
            }
            Self::Twice { from } => write!(to, "event {from} is there twice"),
            Self::NotStarted => write!(to, "the first event is not the start"),
            Self::StartedAgain { seq } => write!(to, "event {seq} is another start"),
            Self::AfterEnd { seq } => write!(to, "event {seq} stands behind the end"),
        }
    }
}

/// Whether records follow each other: each is the number of its first event, and how many it has.
///
/// # Errors
/// At the first that does not follow.
pub fn numbered(records: impl IntoIterator<Item = (u64, u64)>) -> Result<(), Flaw> {
    let mut next = 1;
    for (first, count) in records {
        match first.cmp(&next) {
            std::cmp::Ordering::Less => return Err(Flaw::Twice { from: first }),
            std::cmp::Ordering::Greater => return Err(Flaw::Gap { from: next, to: first }),
            std::cmp::Ordering::Equal => next = first.saturating_add(count),
        }
    }
    Ok(())
}

/// Whether the facts can have happened in this order.
///
/// # Errors
/// At the first that cannot.
pub fn ordered(history: &[Recorded]) -> Result<(), Flaw> {
    let mut end: Option<&Fact> = None;
    for (position, recorded) in history.iter().enumerate() {
        let (fact, seq) = (&recorded.fact, position as u64 + 1);
        let starts = matches!(fact, Fact::WorkflowStarted { .. });
        match (seq, starts) {
            (1, false) => return Err(Flaw::NotStarted),
            (2.., true) => return Err(Flaw::StartedAgain { seq }),
            _ => {}
        }
        let follows = match end {
            None => true,
            Some(Fact::WorkflowFaulted { .. }) => matches!(
                fact,
                Fact::WorkflowRetried { .. }
                    | Fact::WorkflowCancelled { .. }
                    | Fact::WorkflowRerun(_)
            ),
            Some(_) => matches!(fact, Fact::WorkflowRerun(_)),
        };
        if !follows {
            return Err(Flaw::AfterEnd { seq });
        }
        let is_end = matches!(
            fact,
            Fact::WorkflowCompleted { .. }
                | Fact::WorkflowFaulted { .. }
                | Fact::WorkflowCancelled { .. }
        );
        end = is_end.then_some(fact);
    }
    if history.is_empty() { Err(Flaw::NotStarted) } else { Ok(()) }
}
