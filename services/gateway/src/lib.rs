//! The public door: one port for gRPC, gRPC-Web, reflection, health and plain HTTP.
//!
//! Calls are routed by the service they name to the service behind it, by bytes: nothing is
//! decoded. Unary calls share a few upstream connections; streams travel on a connection of their
//! own per client connection, so that a reset of a stream says that its client went, and the loss
//! of the connection that this gateway went.
//!
//! Whoever calls shows an API key; services are told who it was in the mesh's own header.
//!
//! What this crate does not do: it retries nothing that may have been received, and knows no
//! message of the contract but those about API keys.

#![allow(clippy::duplicate_mod, reason = "what both databases are asked is compiled for each")]

mod access;
mod body;
mod client;
mod config;
mod cors;
mod counters;
mod dashboard;
mod error;
mod flow;
mod forward;
mod handler;
mod leash;
mod local;
mod meter;
mod reflection;
mod refusal;
mod routes;
mod server;
mod streams;
mod upstream;
mod watch;
mod web;
mod wiring;

pub use access::SCHEMA;
pub use config::{Config, ListenerLimits, UpstreamLimits};
pub use dashboard::Dashboard;
pub use error::Error;
pub use routes::PUBLIC;
pub use server::Door;
pub use wiring::{build, build_with};

/// The name of this service in settings, logs and the directory.
pub const NAME: &str = "gateway";
