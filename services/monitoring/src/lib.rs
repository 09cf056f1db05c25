//! Monitoring: how the mesh is, and what is wrong with it in words.
//!
//! It asks the other services for what they know, and follows the orchestrator's log for healings
//! and for what is counted over time. Nobody depends on it: when it is away, nobody else notices.

#![allow(clippy::duplicate_mod, reason = "what both databases are asked is written once")]

mod api;
mod config;
mod convert;
mod error;
mod findings;
mod gauges;
mod harvest;
mod healings;
mod health;
mod histogram;
mod ledger;
mod metric;
mod objective;
mod overview;
mod postgres;
mod rates;
mod retention;
mod series;
mod service_level;
mod sqlite;
mod statistics;
mod store;
mod traces;
mod watch;
mod wiring;

pub use config::Config;
pub use error::Error;
pub use postgres::SCHEMA;
pub use wiring::build;

/// The service's name in settings, the directory and on the command line.
pub const NAME: &str = "monitoring";
