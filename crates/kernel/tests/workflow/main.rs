//! The workflow machine, proven: by examples of the language, by properties over random
//! definitions and random orders of events, and by a table of every state against every input.

// Helpers of tests stand outside test functions; by value, they are read more easily.
#![allow(clippy::needless_pass_by_value, clippy::panic, clippy::unwrap_used)]

mod books;
mod definition;
mod language;
mod matrix;
mod properties;
mod random;
mod repairs;
mod scaling;
mod schedule;
mod shell;
mod toy;
