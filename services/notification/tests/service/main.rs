//! Notification over real sockets, against an orchestrator that only has a log.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod scene;
mod sink;
mod subscribe;
mod webhooks;
