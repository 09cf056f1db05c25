//! The port to the store of the keys.

use tokio::sync::watch;

use super::key::ApiKey;

/// What the gateway keeps. Every replica of it uses the same.
#[tonic::async_trait]
pub(crate) trait KeyStore: Send + Sync + 'static {
    /// What is wrong with the store, in words, and every change of it; nothing if it works.
    fn trouble(&self) -> watch::Receiver<Option<String>>;
    /// Rises with every change of any key; never falls.
    async fn revision(&self) -> Result<u64, sqlx::Error>;
    /// Every key, also those that have ended and are not cleared away.
    async fn keys(&self) -> Result<Vec<ApiKey>, sqlx::Error>;
    /// Adds a key, unless there are `keys_max` already that are good at `now_ms`. Tells whether it
    /// was added.
    async fn create(&self, key: &ApiKey, keys_max: u32, now_ms: u64) -> Result<bool, sqlx::Error>;
    /// Keys behind `after`, in the order of their ids: of one namespace, if one is given; only
    /// those that are good at `good_at_ms`, if that is given.
    async fn list(
        &self,
        namespace: Option<&str>,
        good_at_ms: Option<u64>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ApiKey>, sqlx::Error>;
    /// Ends a key of the namespace, if one is given; one that was revoked stays as it is. The key,
    /// if there is one.
    async fn revoke(
        &self,
        id: &str,
        namespace: Option<&str>,
        now_ms: u64,
    ) -> Result<Option<ApiKey>, sqlx::Error>;
    /// Forgets keys that were revoked or expired before a time.
    async fn clear(&self, before_ms: u64) -> Result<(), sqlx::Error>;
}

#[cfg(test)]
#[path = "store/conformance.rs"]
pub(crate) mod conformance;
