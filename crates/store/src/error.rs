//! What can go wrong with a store, by what the operator can do about it.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, failure};

/// An error of opening or using a store. A store is named by its file, or by server, database and
/// schema; never with a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the file cannot be created or the lock beside the file not be written.
    #[error(
        "cannot write in {}: let this user write there, or name another folder with --data-dir",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file exists but this process may not write it.
    #[error(
        "cannot open the store {} for writing: let this user write it and its folder",
        path.display()
    )]
    NotWritable {
        /// The store.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// Another process has the store open.
    #[error(
        "the store {} is in use by process {pid} (it holds {}): stop that process, or name \
         another folder with --data-dir",
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
    #[error(
        "{} is not a SQLite database, or it is damaged: put a backup in its place, or move it away \
         to begin anew",
        path.display()
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// No space is left where the store lies.
    #[error("no space is left for the store {store}: free some")]
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
    /// A word of the URL that means nothing, or a value of it that is none.
    #[error("`url` in [store] has {what}")]
    UrlOption {
        /// Which, and what was meant.
        what: String,
    },
    /// A file with a certificate or a key cannot be read.
    #[error("cannot read {} that `{option}` in `url` of [store] names", path.display())]
    Certificate {
        /// The word in the URL.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No connection with TLS as the URL asks for.
    #[error(
        "{store} cannot be spoken to over TLS as `sslmode` in `url` of [store] asks: check that \
         the server has `ssl = on`, that its certificate is of the authority that `sslrootcert` \
         names (else of the system's), and for `verify-full` names the host"
    )]
    Tls {
        /// The store.
        store: String,
        /// What was met.
        source: sqlx::Error,
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

impl Error {
    /// Says what an error of SQLite means for the store at `path`.
    #[must_use]
    pub fn of(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        match failure(&source) {
            Failure::Broken if is_io(&source) => {
                Self::Database { store: path.display().to_string(), source }
            }
            Failure::Broken => Self::NotADatabase { path },
            Failure::Full => Self::Full { store: path.display().to_string() },
            Failure::ReadOnly => Self::NotWritable { path, source },
            _ => Self::Database { store: path.display().to_string(), source },
        }
    }
}

/// `SQLITE_IOERR`, in the low byte of the extended code: the disk is at fault.
fn is_io(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 10)
}
