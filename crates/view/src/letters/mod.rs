//! Retries, breakers and dead letters: names, filters and stories.

mod names;
mod query;
mod story;

pub use names::{breaker, cause, class, error, kind, state};
pub use query::{LetterQuery, STATES};
pub use story::{Told, tell};
