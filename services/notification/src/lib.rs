//! Notification: what happens in the mesh, as CloudEvents for the world outside.
//!
//! Events are made from the orchestrator's log when somebody reads them; nothing is stored here.
//! A cursor is a place in that log, so a reader resumes at any replica and after any restart.

mod api;
mod config;
mod cursor;
mod error;
mod events;
mod filter;
mod gauges;
mod shared_tail;
mod subscription;
mod tasks;
mod wiring;

pub use config::Config;
pub use error::Error;
pub use wiring::build;

/// The service's name in settings, the directory and on the command line.
pub const NAME: &str = "notification";
