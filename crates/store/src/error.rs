//! What can go wrong with a store, by what the operator can do about it.

use std::path::{Path, PathBuf};

/// An error of opening or using a store. A store is named by its file, or by server, database and
/// schema; never with a password.
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
    #[error("no space is left for the store {store}: free some, nothing that was answered is lost")]
    Full {
        /// The store.
        store: String,
    },
    /// The store was written by a newer release, or by another service.
    #[error(
        "the store {store} has the schema step `{step}`, which this release does not know: \
         run the release that wrote it, or a later one"
    )]
    SchemaNewer {
        /// The store.
        store: String,
        /// The first step that is not known.
        step: String,
    },
    /// Steps are to be done, and this process was told not to.
    #[error(
        "the store {store} lacks the schema step `{step}`: run `planaria migrate`, or set \
         `migrate = true` in [store]"
    )]
    SchemaOlder {
        /// The store.
        store: String,
        /// The first step that is missing.
        step: &'static str,
    },
    /// A step of the schema failed; nothing of it was kept.
    #[error("schema step `{step}` of the store {store} failed")]
    Migration {
        /// The store.
        store: String,
        /// The step.
        step: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The URL of the database cannot be understood.
    #[error("`url` in [store] is not postgres://user:password@host:port/database: {why}")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers there.
    #[error("{store} cannot be reached: check that it runs, and host and port of `url` in [store]")]
    Unreachable {
        /// The store.
        store: String,
        /// What was met instead.
        source: sqlx::Error,
    },
    /// The database is starting or ending.
    #[error("{store} takes no connections now: it is starting or shutting down; try again")]
    NotReady {
        /// The store.
        store: String,
    },
    /// The user or the password is wrong.
    #[error(
        "{store} refuses user `{user}`: check user and password of `url` in [store], and the \
         server's pg_hba.conf"
    )]
    LogIn {
        /// The store.
        store: String,
        /// Who was refused.
        user: String,
    },
    /// The server has no such database.
    #[error("{store} does not exist: create it with `createdb`, or correct `url` in [store]")]
    DatabaseMissing {
        /// The store.
        store: String,
    },
    /// The user may not do what is needed.
    #[error(
        "{store} does not let user `{user}` do what is needed: grant CREATE on the database, or \
         run `planaria migrate` as its owner"
    )]
    Privilege {
        /// The store.
        store: String,
        /// Who may not.
        user: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The server is a release that is not supported.
    #[error("{store} runs {version}: PostgreSQL {oldest} or later is needed")]
    TooOld {
        /// The store.
        store: String,
        /// What it says of itself.
        version: String,
        /// The first major release that will do.
        oldest: u32,
    },
    /// The database takes no writes.
    #[error("{store} is read-only: name the primary in `url` of [store], or end its recovery")]
    ReadOnly {
        /// The store.
        store: String,
    },
    /// The server has no connection left.
    #[error(
        "{store} has no connection left: raise `max_connections` of the server, or lower \
         `connections_max` in [store]"
    )]
    TooManyConnections {
        /// The store.
        store: String,
    },
    /// Anything else the database said.
    #[error("the store {store} failed")]
    Database {
        /// The store.
        store: String,
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
    /// Says what an error of SQLite means for the store at `path`.
    #[must_use]
    pub fn of(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        match primary_code(&source) {
            Some(NOT_A_DATABASE | CORRUPT) => Self::NotADatabase { path },
            Some(FULL) => Self::Full { store: path.display().to_string() },
            Some(READ_ONLY | CANNOT_OPEN) => Self::NotWritable { path, source },
            _ => Self::Database { store: path.display().to_string(), source },
        }
    }
}

/// The extended codes have the primary one in their low byte.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
