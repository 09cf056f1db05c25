//! What can go wrong with a store, by what the operator can do about it.

use std::path::{Path, PathBuf};

/// An error of opening or using a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the file cannot be created or the lock beside the file not be written.
    #[error("cannot write in {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file exists but this process may not write it.
    #[error("cannot open the store {} for writing", path.display())]
    NotWritable {
        /// The store.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// Another process has the store open.
    #[error(
        "the store {} is in use by process {pid} (it holds {})",
        path.display(),
        lock.display()
    )]
    InUse {
        /// The store.
        path: PathBuf,
        /// The lock that process holds.
        lock: PathBuf,
        /// Its number, as far as the lock tells; else `unknown`.
        pid: String,
    },
    /// The file is something else, or is damaged.
    #[error("{} is not a SQLite database, or it is damaged", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// No space is left where the store lies.
    #[error("no space is left for the store {}", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The store was written by a newer release, or by another service.
    #[error(
        "the store {} has the schema step `{step}`, which this release does not know: \
         run the release that wrote it, or a later one", path.display()
    )]
    SchemaNewer {
        /// The store.
        path: PathBuf,
        /// The first step that is not known.
        step: String,
    },
    /// A step of the schema failed; nothing of it was kept.
    #[error("schema step `{step}` of the store {} failed", path.display())]
    Migration {
        /// The store.
        path: PathBuf,
        /// The step.
        step: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// Anything else the database said.
    #[error("the store {} failed", path.display())]
    Database {
        /// The store.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
}

/// Primary result codes of SQLite; <https://sqlite.org/rescode.html>.
const READ_ONLY: i32 = 8;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;

impl Error {
    /// Says what an error of the database means for the store at `path`.
    #[must_use]
    pub fn of(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        match primary_code(&source) {
            Some(NOT_A_DATABASE | CORRUPT) => Self::NotADatabase { path },
            Some(FULL) => Self::Full { path },
            Some(READ_ONLY | CANNOT_OPEN) => Self::NotWritable { path, source },
            _ => Self::Database { path, source },
        }
    }
}

/// The extended codes have the primary one in their low byte.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
