//! Monitoring over real sockets, against an orchestrator that answers what the test says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod healings;
mod overview;
mod replicas;
mod scene;
mod series;
