//! Why the gateway does not run. What a single call can meet is in `refusal`.

use std::net::SocketAddr;

/// None of them is worth a retry with the same settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener can be reached from other machines and nobody has to authenticate.
    #[error(
        "refusing to listen on {address}: beyond loopback without authentication everybody who \
         reaches this port rules every workflow; listen on 127.0.0.1, or say `insecure = true` in \
         [gateway]"
    )]
    Insecure {
        /// Where the gateway was told to listen.
        address: SocketAddr,
    },
    /// Two settings contradict each other, or one is out of range.
    #[error("[gateway]: {0}")]
    Settings(String),
    /// The descriptors of the contract cannot be served.
    #[error("the contract's descriptors are not usable: {0}")]
    Descriptors(String),
    /// The listener failed.
    #[error("{what} failed")]
    Io {
        /// What the gateway was doing.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}
