//! What can go wrong on the way to a running mesh.

use std::path::PathBuf;

/// Why something does not stand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program cannot be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// Its name or path.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program that this machine lacks.
    #[error("{program} is not on this machine: {advice}")]
    Missing {
        /// Its name.
        program: String,
        /// How to get it.
        advice: String,
    },
    /// A file says what cannot be done; the text says where and why.
    #[error("{0}")]
    Refused(String),
    /// A process did not do what it should in time; the text says which and what.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// An error about a path.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
