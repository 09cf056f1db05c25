//! Whole meshes of real processes on one machine.
//!
//! [`compose`] starts what `docker-compose.yml` says without a container engine: its very commands
//! and environment, each replica at a loopback address of its own. PostgreSQL and Redis are real
//! servers here, started by this crate; the services are the `planaria` binary.
//!
//! This crate starts programs and watches them. It knows nothing of workflows.

pub mod compose;
mod error;
pub mod postgres;
pub mod process;
pub mod redis;

pub use error::Error;
