//! Whole meshes of real processes on one machine.
//!
//! [`compose`] starts what `docker-compose.yml` says without a container engine: its very commands
//! and environment, each replica at a loopback address of its own. PostgreSQL and Redis are real
//! servers here, started by this crate; the services are the `planaria` binary.
//!
//! [`chaos`] breaks a mesh while clients and workers are busy, and writes down what happened.

pub mod chaos;
pub mod compose;
mod error;
pub mod journal;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;

pub use error::Error;
