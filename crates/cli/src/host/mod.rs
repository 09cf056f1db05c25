//! Hosting services: one per process with `serve`, all in one with `up`. Either way they meet over
//! gRPC on sockets; there is no short-cut inside the process.

mod child;
mod listeners;
pub(crate) mod mesh;
pub(crate) mod parent;
pub(crate) mod serve;
mod services;
mod settings;
pub(crate) mod up;

use crate::Error;

/// A runtime for services: a thread per core, at least two, so that a busy one stalls no other.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(cores).enable_all().build()?;
    Ok(runtime)
}
