//! Opening stores: one SQLite file per service, its lock, its settings and its migrations.
//!
//! What is stored and how it is read belongs to the service that owns it; no domain word lives
//! here. A service writes its own port over [`SqliteStore`].

pub mod sqlite;

mod error;
mod lock;
mod migrations;

pub use error::Error;
pub use migrations::Migration;
pub use sqlite::{SqliteSettings, SqliteStore};
