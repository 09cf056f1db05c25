//! `docker-compose.yml` without a container engine.
//!
//! Each replica becomes a local process with the command and the environment of the file. What a
//! container engine would give it is given otherwise, and nothing else is changed:
//!
//! - a network of its own: a loopback address of its own, ports unchanged. `0.0.0.0`, `127.0.0.1`
//!   and `localhost` are that address;
//! - host names: a name of a service, written as `name:port`, is the addresses of its replicas.
//!   Where there are several, a `PLANARIA__DIRECTORY__*` variable becomes a list, and any other
//!   text names one of them;
//! - images: what this repository builds is the `planaria` binary, with the entry point of its
//!   Dockerfile; `postgres` and `redis` are this machine's servers with the same credentials;
//! - a host name of its own, which built-in workers are called after: `PLANARIA__WORKER__ORDINAL`
//!   tells replicas apart instead.
//!
//! Published ports are not opened: the addresses are reachable as they are. A key that is not
//! known here is an error, so that the file cannot say what nobody tried.

pub mod boards;
mod file;
mod interpolate;
mod plan;
mod stage;

pub use file::{File, Service};
pub use plan::{Ground, Plan, Program, Replica, Scale};
pub use stage::Stage;
