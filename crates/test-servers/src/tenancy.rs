//! Who uses a server: each process holds a lock of the folder for as long as it lives.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Held by all users together, and by the watcher alone when it ends the server.
const USERS: &str = "users.lock";
/// Held by the one that starts it.
const STARTER: &str = "starter.lock";

/// Between two looks at whether anybody is left.
const LOOK_S: u32 = 5;

/// A share of a folder's server.
#[derive(Debug)]
pub(crate) struct Tenancy {
    _users: File,
    folder: PathBuf,
}

impl Tenancy {
    /// Waits while a server is being ended.
    pub(crate) fn take(folder: &Path) -> Result<Self, String> {
        let users = open(&folder.join(USERS))?;
        users.lock_shared().map_err(|error| format!("cannot lock {USERS}: {error}"))?;
        Ok(Self { _users: users, folder: folder.to_owned() })
    }

    /// Does something that no two do at the same time.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let starter = open(&self.folder.join(STARTER))?;
        starter.lock().map_err(|error| format!("cannot lock {STARTER}: {error}"))?;
        work()
    }

    /// Has a command run once nobody uses the server any more.
    pub(crate) fn watch(&self, stop: &[String]) -> Result<(), String> {
        // A lock that was removed with its folder cannot be taken, and nobody uses the server.
        let script = format!(
            "while sleep {LOOK_S}; do [ -e \"$1\" ] || {{ shift; exec \"$@\"; }}; \
             flock -n -x -E 77 \"$@\"; [ $? -eq 77 ] || exit 0; done"
        );
        Command::new("setsid")
            .args(["sh", "-c", &script, "watcher"])
            .arg(self.folder.join(USERS))
            .args(stop)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(drop)
            .map_err(|error| format!("setsid cannot be started: {error}"))
    }
}

fn open(path: &Path) -> Result<File, String> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|error| format!("cannot open {}: {error}", path.display()))
}
