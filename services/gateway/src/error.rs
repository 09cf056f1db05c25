//! Why the gateway does not run. What a single call can meet is in `refusal`.

use std::net::SocketAddr;

/// None of them is worth a retry with the same settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The listener can be reached from other machines and nobody has to authenticate.
    #[error(
        "refusing to listen on {address}: beyond loopback without authentication everybody who \
         reaches this port rules every workflow; say `authentication = true` in [gateway], listen \
         on 127.0.0.1, or say `insecure = true`"
    )]
    Insecure {
        /// Where the gateway was told to listen.
        address: SocketAddr,
    },
    /// Two settings contradict each other, or one is out of range.
    #[error("[gateway]: {0}")]
    Settings(String),
    /// The store of the API keys cannot be opened.
    #[error(transparent)]
    Open(#[from] planaria_store::Error),
    /// The store of the API keys cannot be read.
    #[error("the store of the API keys failed")]
    Store(#[from] sqlx::Error),
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
