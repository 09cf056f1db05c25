//! The failure detector: receives the workers' heartbeats, judges who is alive, and pronounces
//! dead sessions and stalled attempts to the orchestrators.
//!
//! All its state is in memory. The decisions are [`planaria_kernel::liveness`]; this crate brings
//! them heartbeats, the ends of streams and the time, and carries out what they ask for. It does
//! not decide what becomes of a lost attempt: the orchestrators do, also without any detector,
//! when the session's lease runs out.

mod api;
mod clock;
mod config;
mod convert;
mod detector;
mod error;
mod handle;
mod intake;
mod limits;
mod meters;
mod observations;
mod orchestrators;
mod roll;
mod scope;
mod stream_end;
mod verdicts;
mod wiring;

pub use config::Config;
pub use error::Error;
pub use stream_end::classify;
pub use wiring::build;

/// The service's name in settings, logs and the directory.
pub const NAME: &str = "failure-detector";
