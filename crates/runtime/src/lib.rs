//! The shell every Planaria service runs in: settings, logs, metrics, health, a gRPC server with
//! stated limits, channels to the other services, and an orderly end.
//!
//! A module is admitted only if every service needs it and it contains no domain word. Of the
//! crates of the workspace this one depends on planaria-telemetry alone.
//!
//! The life of a service: [`config::Source`] → its own `build` makes a [`Service`] →
//! [`server::serve`] runs it on a listener until the stop token is cancelled, then drains.

pub mod admin;
pub mod calls;
pub mod client;
pub mod clock;
pub mod config;
pub mod health;
pub mod identity;
pub mod limits;
pub mod metrics;
pub mod server;
pub mod service;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod wire;

mod error;
mod inbound;

pub use client::{Directory, Replica, ReplicaChannel, ServiceChannel};
pub use error::Error;
pub use health::{Health, Readiness};
pub use identity::{Identity, MeshSettings, Role, Secret};
pub use limits::{ClientLimits, ServerLimits};
pub use metrics::Metrics;
pub use server::serve;
pub use service::{BackgroundTask, Deps, Service};
pub use settings::{BusSettings, StoreSettings};
