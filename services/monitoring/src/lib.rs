//! Monitoring: how the mesh is, and what is wrong with it in words.
//!
//! It asks the other services for what they know and copies the healings out of the orchestrator's
//! log. Nobody depends on it: when it is away, nobody else notices.

mod api;
mod config;
mod convert;
mod error;
mod findings;
mod follower;
mod gauges;
mod healings;
mod health;
mod overview;
mod rates;
mod sqlite;
mod statistics;
mod store;
mod watch;
mod wiring;

pub use config::Config;
pub use error::Error;
pub use wiring::build;

/// The service's name in settings, the directory and on the command line.
pub const NAME: &str = "monitoring";
