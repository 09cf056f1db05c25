//! Planaria's decisions, as pure functions.
//!
//! Nothing in this crate reads a clock, draws a random number, or does input or output: `now` and
//! random bits are arguments, effects are data. That is what makes it possible to test every
//! decision by property and by simulation.

pub mod definition;
pub mod flow;
pub mod json;
pub mod liveness;
pub mod repair;
pub mod retry;
pub mod time;
pub mod workflow;

pub use json::Json;
