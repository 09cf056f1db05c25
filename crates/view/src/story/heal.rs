//! How the system healed what was lost, in words.

use planaria_proto::types::v1::Signal;

use super::{Outcome, Run};
use crate::names;
use crate::words::span;

/// A loss, and the gap until the task ran again.
#[derive(Debug, Clone, PartialEq)]
pub struct Heal {
    /// The first sign of the loss.
    pub from_ms: i64,
    /// When the task ran again; nothing while it does not.
    pub until_ms: Option<i64>,
    /// What happened, for people.
    pub words: String,
}

/// What was lost of a run, in order.
#[must_use]
pub fn heals(run: &Run) -> Vec<Heal> {
    let heal = |(index, attempt): (usize, &super::Attempt)| {
        let Outcome::Lost { signal, signal_ms, .. } = &attempt.outcome else { return None };
        let how = match signal {
            // It is not the worker that is lost.
            Signal::LostDelivery | Signal::Stalled | Signal::Drained => {
                format!("attempt {} on {}", attempt.number, attempt.worker)
            }
            _ => attempt.worker.clone(),
        };
        let lost = format!("{how} lost ({})", names::signal(*signal));
        let next = run.attempts.get(index + 1);
        let words = match next {
            Some(next) => {
                let gap = span((next.started_ms - signal_ms).max(0) as f64);
                if next.worker == attempt.worker {
                    format!("{lost}, runs again there after {gap}")
                } else {
                    format!("{lost}, runs again on {} after {gap}", next.worker)
                }
            }
            None if run.state.is_over() => format!("{lost}, did not run again"),
            None => format!("{lost}, runs again soon"),
        };
        Some(Heal { from_ms: *signal_ms, until_ms: next.map(|next| next.started_ms), words })
    };
    run.attempts.iter().enumerate().filter_map(heal).collect()
}
