//! Notification: what happens in the mesh, as CloudEvents for the world outside.
//!
//! Events are made from the orchestrator's log. Who subscribes reads it from any place: a cursor is
//! a place in that log, so a reader resumes at any replica and after any restart. For webhooks, the
//! log is followed into a store as soon as there is one: what is to be posted where, and the place
//! behind it, are saved together.

#![allow(clippy::duplicate_mod, reason = "what both databases are asked is written once")]

mod api;
mod config;
mod convert;
mod cursor;
mod deriver;
mod error;
mod events;
mod filter;
mod gauges;
mod housekeeping;
mod page;
mod post;
mod postgres;
mod records;
mod schedule;
mod secret;
mod sender;
mod shared_tail;
mod signature;
mod sqlite;
mod store;
mod subscription;
mod tasks;
mod webhooks;
mod wiring;

pub use config::{Config, WebhookConfig};
pub use error::Error;
pub use postgres::SCHEMA;
pub use wiring::build;

/// The service's name in settings, the directory and on the command line.
pub const NAME: &str = "notification";
