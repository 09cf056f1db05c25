//! The orchestrator as its clients and workers see it: served in this process, over gRPC.

#![allow(clippy::panic, reason = "helpers of tests fail by panicking")]

mod audit;
mod bad_input;
mod ctk;
mod depth;
mod events;
mod flood;
mod following;
mod frozen;
mod gatekeeper;
mod hand;
mod limits;
mod losses;
mod order;
mod outage;
mod reconciler;
mod replicas;
mod rerun;
mod restart;
mod retention;
mod runs;
mod sessions;
mod shared_limits;
mod starting;
mod steering;
mod worker;
mod world;
