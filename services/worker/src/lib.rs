//! The built-in worker: a stateless process that executes the functions every Planaria has. It is
//! a worker like any other, a client of the gateway by the SDK.
//!
//! - `http` calls somebody over HTTP, as `call: http` of the language says;
//! - `simulate` misbehaves on demand.

mod api;
mod config;
mod duration;
mod error;
mod http;
mod simulate;
mod wiring;

pub use config::{Config, HttpConfig, SimulateConfig};
pub use error::Error;
pub use http::Http;
pub use planaria_egress::{EgressConfig, Network};
pub use simulate::Simulate;
pub use wiring::build;

/// The service's name in settings, logs and on the command line.
pub const NAME: &str = "worker";
