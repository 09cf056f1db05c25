//! For tests and chores only: real servers of PostgreSQL and Redis, private to a folder, on free
//! ports of this machine.
//!
//! All processes that name the same folder share a server; the first starts it. It is stopped when
//! the last of them is gone, however they ended: a watcher takes note of their lock.

mod postgres;
mod programs;
mod redis;
mod tenancy;

pub use postgres::{Postgres, find_postgres, postgres};
pub use redis::{Redis, find_redis, redis};
