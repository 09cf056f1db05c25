//! One process per store: a lock file beside it, let go by the system however the process ends.
//!
//! SQLite's own locks protect its pages, not a service's assumption that nobody else decides.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the lock of the store at `path`. A predecessor that is just ending is waited for.
    pub(crate) async fn take(path: &Path, wait: Duration) -> Result<Self, Error> {
        let lock = lock_path(path);
        let unwritable = |source| Error::Directory {
            path: lock.parent().unwrap_or(Path::new(".")).to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(unwritable)?;
        let deadline = Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(unwritable(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let pid = holder(&mut file);
                    return Err(Error::InUse { path: path.to_owned(), lock, pid });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
            }
        }
        // For the message above, in the other process.
        file.set_len(0).map_err(unwritable)?;
        write!(file, "{}", std::process::id()).map_err(unwritable)?;
        Ok(Self { _file: file })
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    path.with_file_name(name)
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
    if read.is_ok() && !pid.is_empty() { pid } else { "unknown".to_owned() }
}
