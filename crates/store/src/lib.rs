//! Opening stores: for each service one SQLite file or one schema of a PostgreSQL database, with
//! their locks, settings and migrations.
//!
//! What is stored and how it is read belongs to the service that owns it; no domain word lives
//! here. A service writes its own port over [`SqliteStore`] and [`PostgresStore`].

pub mod postgres;
pub mod sqlite;
#[cfg(feature = "test-support")]
pub mod testing;

mod condition;
mod error;
mod failure;
mod lock;
mod migrations;
mod session;

pub use condition::{chain, is_trouble, tell};
pub use error::Error;
pub use failure::{Failure, failure};
pub use migrations::Migration;
pub use postgres::{PostgresPlan, PostgresSchema, PostgresStore, retried};
pub use session::{PostgresSession, SqliteSession};
pub use sqlite::{SqliteSettings, SqliteStore};
