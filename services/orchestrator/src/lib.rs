//! The orchestrator: definitions, workflows and their history, sessions, task queues, timers.
//!
//! Requests are converted (`convert`), decided in one engine (`engine`) by the kernel's pure
//! machines, committed in batches (`store`), and told to readers of the log (`log`). Any start of
//! the orchestrator continues from the store: nothing that counts is in memory only.

#![allow(clippy::duplicate_mod, reason = "what both databases are asked is compiled for each")]

mod api;
mod config;
mod convert;
mod definitions;
mod emitted;
mod engine;
mod error;
mod gates;
mod lending;
mod limits;
mod log;
mod meters;
mod shards;
mod store;
mod token;
mod wiring;

pub use config::Config;
pub use error::Error;
pub use store::SCHEMA;
pub use wiring::build;

/// The service's name in settings, logs and the directory.
pub const NAME: &str = "orchestrator";
