//! A mesh of real processes, a load on it, and somebody who breaks things.
//!
//! Everything that happens is written down as it happens: what the clients were told, what the
//! workers did, what was broken and how that is known. Whether the mesh kept its promises is not
//! decided here: a checker that shares no code with the engine reads the journals afterwards.

mod call;
mod cluster;
mod fault;
mod kind;
mod load;
mod member;
mod nemesis;
mod run;
mod solo;

pub use run::{Settings, Store, run};
