//! What can be wrong with the settings of a bus.

use thiserror::Error as ThisError;

/// A bus that cannot be opened, whatever the network does.
#[derive(Debug, ThisError)]
pub enum Error {
    /// The address cannot be one of a Redis server. The text never has the address, which may
    /// hold a password.
    #[error(
        "bus.url is not the address of a Redis server ({reason}): write \
         redis://[[user]:password@]host[:port][/database], rediss:// for TLS, or nothing for a bus \
         in the process"
    )]
    Url {
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate of the authority cannot be read.
    #[error("cannot read {path} that bus.ca_file names")]
    Authority {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// An authority for a connection that has no TLS.
    #[error("bus.ca_file is set, and bus.url has no TLS: write rediss:// there")]
    Plain,
}
