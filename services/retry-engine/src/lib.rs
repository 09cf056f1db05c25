//! The retry engine: whether and when a failed function task is tried again, and what the system
//! gave up on.
//!
//! It follows the orchestrator's log and keeps what it derived in its own store, together with its
//! place in the log; so it continues after any end where it was. It never touches a workflow: it
//! tells the orchestrator "now" or "give up", as often as it takes, and the orchestrator makes
//! that count once.

#![allow(clippy::duplicate_mod, reason = "what both databases are asked is compiled for each")]

mod api;
mod board;
mod config;
mod convert;
mod derivation;
mod derive;
mod error;
mod gate_api;
mod gauges;
mod hand_off;
#[cfg(test)]
mod killed;
mod ledger;
mod orchestrator;
mod postgres;
mod reconciler;
mod records;
mod redrive;
mod redrive_start;
mod redriver;
mod scope;
mod sqlite;
mod store;
mod story;
mod wiring;

pub use config::Config;
pub use error::Error;
pub use postgres::SCHEMA;
pub use wiring::build;

/// The service's name in settings, the directory and on the command line.
pub const NAME: &str = "retry-engine";
