//! The mesh in processes of its own, and what becomes of work when they are killed, stopped and
//! told to leave.
//!
//! Every test prints what it measured: `cargo nextest run --release -p planaria-cli --test system
//! --no-capture`. Where a test waits for time to pass, that is what it does to the mesh (an outage,
//! a stop); for everything the mesh does, it waits on a state.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod ask;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../binary/mod.rs"]
mod binary;
mod figures;
mod hands;
mod load;
mod processes;
mod raw;
mod workload;

mod across;
mod handed_back;
mod idle;
mod killed;
mod namespaces;
mod poison;
mod restarted;
mod scaled;
mod seven;
mod stopped;
mod traced;
mod up;
mod workers_killed;
