//! Hosting services: one per process with `serve`, all in one with `up`. Either way they meet over
//! gRPC on sockets; there is no short-cut inside the process.

mod child;
mod listeners;
pub(crate) mod mesh;
pub(crate) mod migrate;
pub(crate) mod parent;
pub(crate) mod serve;
mod services;
mod settings;
pub(crate) mod up;

use planaria_runtime::telemetry::Telemetry;
use planaria_telemetry::Tracer;

use crate::Error;

/// A runtime for services: a thread per core, at least two, so that a busy one stalls no other.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(cores).enable_all().build()?;
    Ok(runtime)
}

/// The same, with the logs and the traces of the process.
pub(crate) fn traced_runtime(
    telemetry: &Telemetry,
    service: &str,
) -> Result<(tokio::runtime::Runtime, Tracer), Error> {
    let runtime = runtime()?;
    let inside = runtime.enter();
    let tracer = telemetry.tracer(service)?;
    planaria_runtime::telemetry::init(telemetry, &tracer)?;
    drop(inside);
    Ok((runtime, tracer))
}
