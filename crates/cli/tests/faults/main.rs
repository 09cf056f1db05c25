//! Every fault that an operator meets, what is said then, and how it ends: the one list of them.
//!
//! `start` has what keeps a mesh from starting, `running` what befalls one that runs. The page for
//! people is docs/troubles.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../binary/mod.rs"]
mod binary;

mod running;
mod start;
