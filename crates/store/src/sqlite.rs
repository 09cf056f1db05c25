//! A SQLite file as a service wants it: write-ahead log, synced commits, one writer, few readers,
//! little memory.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::Connection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use tokio::sync::watch;

use crate::Error;
use crate::condition::{Condition, Probe};
use crate::failure::failure;
use crate::lock::StoreLock;
use crate::migrations::{self, Migration};

/// How a store is opened. The defaults suit a service that shares its machine with six others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SqliteSettings {
    /// Connections that only read; opened when needed, closed when idle.
    pub readers_max: u32,
    /// A reader that nobody used for so long is closed.
    pub reader_idle_ms: u64,
    /// Page cache of the writer.
    pub writer_cache_kib: u32,
    /// Page cache of each reader.
    pub reader_cache_kib: u32,
    /// Prepared statements that each connection keeps.
    pub statements_max: usize,
    /// Commits copy the log back into the file when it has grown to so many pages of 4 KiB.
    pub checkpoint_pages: u32,
    /// The log file is cut to this size after it was copied back.
    pub log_kib_max: u32,
    /// How long a statement waits for another connection's lock.
    pub busy_ms_max: u64,
    /// How long to wait for a free connection.
    pub acquire_ms_max: u64,
    /// How long to wait for a predecessor that still has the store open.
    pub lock_ms_max: u64,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            readers_max: 4,
            reader_idle_ms: 30_000,
            writer_cache_kib: 4 * 1024,
            reader_cache_kib: 1024,
            statements_max: 256,
            checkpoint_pages: 4_000,
            log_kib_max: 32 * 1024,
            busy_ms_max: 5_000,
            acquire_ms_max: 10_000,
            lock_ms_max: 2_000,
        }
    }
}

/// An open store; cheap to clone. The store is let go when the last clone is dropped, so whoever
/// takes a pool out of it keeps a clone of it too.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    path: Arc<PathBuf>,
    condition: Condition,
    // Declared last: let go after the connections.
    _lock: Arc<StoreLock>,
}

impl SqliteStore {
    /// The only connection that writes. Begin with `begin_with("BEGIN IMMEDIATE")` where a read
    /// comes before the write.
    #[must_use]
    pub const fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Connections that see what was committed before their statement began, and never write.
    #[must_use]
    pub const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with the file while it is used, in words, and every change of it; nothing if
    /// it works. It is known from what [`SqliteStore::heard`] is given.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.condition.watch()
    }

    /// Passes on what the database answered, having taken note of a trouble in it.
    ///
    /// # Errors
    /// What the database said.
    pub fn heard<T>(&self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let Err(error) = &answer {
            self.met(error);
        }
        answer
    }

    /// Takes note of what the database said.
    pub fn met(&self, error: &sqlx::Error) {
        // A full disk alone is told before anybody looked.
        let full = || Error::Full { store: self.path.display().to_string() };
        self.condition.met(failure(error), full);
    }

    /// Closes the connections in order: what was committed is in the file itself afterwards.
    /// Optional; a store that is never closed loses nothing.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Opens the store at `path` with the default settings; see [`open_with`].
///
/// # Errors
/// As [`open_with`].
pub async fn open(path: &Path, migrations: &[Migration]) -> Result<SqliteStore, Error> {
    open_with(path, migrations, &SqliteSettings::default()).await
}

/// Opens the store at `path`: makes its directory and file if need be, takes its lock, repairs
/// what a killed predecessor left, and brings its schema up to date.
///
/// # Errors
/// Each says what the operator can do: the directory or file is not writable, another process has
/// the store, the file is no database, the disk is full, the schema is newer than the release.
pub async fn open_with(
    path: &Path,
    migrations: &[Migration],
    settings: &SqliteSettings,
) -> Result<SqliteStore, Error> {
    if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)
            .map_err(|source| Error::Directory { path: directory.to_owned(), source })?;
    }
    let lock = StoreLock::take(path, Duration::from_millis(settings.lock_ms_max)).await?;
    writable(path)?;
    let writer = writer(path, settings).await.map_err(|source| Error::of(path, source))?;
    migrations::run(&writer, path, migrations).await?;
    let place = format!("the store {}", path.display());
    let condition = Condition::new(place, probe(writer.clone(), path.to_owned()));
    Ok(SqliteStore {
        writer,
        readers: readers(path, settings),
        path: Arc::new(path.to_owned()),
        condition,
        _lock: Arc::new(lock),
    })
}

/// A file that may only be read would be opened, and refuse the first change.
fn writable(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(Error::NotWritable { path: path.to_owned(), source: sqlx::Error::Io(error) })
        }
    }
}

/// Writes something that changes nothing: a page goes to the disk nevertheless.
fn probe(writer: SqlitePool, path: PathBuf) -> Probe {
    Arc::new(move || {
        let (writer, path) = (writer.clone(), path.clone());
        Box::pin(async move {
            let touch = sqlx::query("UPDATE schema_steps SET at = at WHERE position = 1");
            let touched = touch.execute(&writer).await;
            touched.map(drop).map_err(|source| Error::of(&path, source))
        })
    })
}

async fn writer(path: &Path, settings: &SqliteSettings) -> Result<SqlitePool, sqlx::Error> {
    pool(settings)
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .connect_with(
            options(path, settings, settings.writer_cache_kib)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .pragma("journal_size_limit", (u64::from(settings.log_kib_max) * 1024).to_string())
                .thread_name(|_| "store-writer".to_owned()),
        )
        .await
}

fn readers(path: &Path, settings: &SqliteSettings) -> SqlitePool {
    pool(settings)
        .max_connections(settings.readers_max.max(1))
        .min_connections(0)
        .idle_timeout(Duration::from_millis(settings.reader_idle_ms))
        .connect_lazy_with(
            options(path, settings, settings.reader_cache_kib)
                .pragma("query_only", "ON")
                .thread_name(|number| format!("store-reader-{number}")),
        )
}

fn pool(settings: &SqliteSettings) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(Duration::from_millis(settings.acquire_ms_max))
        .max_lifetime(None)
        // A connection to a file does not go away by itself.
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_idle(connection)))
}

/// Whether a connection is free for a new transaction. When the disk is full, the database ends the
/// transaction itself, and the driver waits for its end for ever: such a connection is replaced.
async fn is_idle(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // What was dropped a moment ago is undone before this is answered.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn options(path: &Path, settings: &SqliteSettings, cache_kib: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(Duration::from_millis(settings.busy_ms_max))
        .statement_cache_capacity(settings.statements_max)
        // Negative: in KiB instead of pages.
        .pragma("cache_size", format!("-{cache_kib}"))
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0")
        .pragma("wal_autocheckpoint", settings.checkpoint_pages.to_string())
}
