//! The retry engine over real sockets, against an orchestrator that only notes what it is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod breakers;
mod dead_letters;
mod redrives;
mod retries;
mod scene;
