//! Retries, breakers and dead letters: names, filters and stories.

mod input;
mod names;
mod query;
mod story;

pub use input::raw_input;
pub use names::{breaker, cause, class, error, kind, state};
pub use query::{LetterQuery, STATES};
pub use story::{Told, tell};
