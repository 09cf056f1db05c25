//! Why the worker does not run.

/// None of them is worth a retry with the same settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting makes no sense.
    #[error("[worker]: {0}")]
    Settings(String),
    /// The SDK refuses what the settings say.
    #[error("the worker cannot be put together")]
    Worker(#[from] planaria_sdk::Error),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Http(#[from] reqwest::Error),
}
