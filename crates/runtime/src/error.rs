//! What can go wrong in the shell, by what the caller can do about it.

use std::path::PathBuf;

/// An error of the shell. None of them is worth a retry in the same process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings file cannot be read.
    #[error("cannot read the settings file {} that --config names", path.display())]
    SettingsFile {
        /// The file that was asked for.
        path: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// The settings are not valid: the text names the key, where it stands and what is wrong.
    #[error("{0}")]
    Settings(String),
    /// The secret of the mesh is missing or is none.
    #[error("the mesh's secret ({place}) is not usable: {why}")]
    Secret {
        /// Where it was looked for.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// An address of another service is not `http://host:port`.
    #[error("address `{address}` of {service} is not valid: {reason}")]
    Address {
        /// The service whose address it is.
        service: String,
        /// The address as it was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A listener or the signal handler failed.
    #[error("{what} failed")]
    Io {
        /// What the process was doing.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A background task ended although nobody had asked it to.
    #[error("background task `{task}` of {service} {how}")]
    TaskEnded {
        /// The service that owns the task.
        service: &'static str,
        /// The task's name.
        task: &'static str,
        /// Whether it returned or panicked, and with what.
        how: String,
    },
    /// The log output was set up twice or with a filter that does not parse.
    #[error("cannot set up the log output: {0}")]
    Telemetry(String),
}
