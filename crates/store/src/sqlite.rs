//! A SQLite file as a service wants it: write-ahead log, synced commits, one writer, few readers,
//! little memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::Error;
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
    let writer = writer(path, settings).await.map_err(|source| Error::of(path, source))?;
    migrations::run(&writer, path, migrations).await?;
    Ok(SqliteStore {
        writer,
        readers: readers(path, settings),
        path: Arc::new(path.to_owned()),
        _lock: Arc::new(lock),
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
