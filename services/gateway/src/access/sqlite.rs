//! The store in SQLite: the gateway's own file.

#[path = "store/keys.rs"]
mod keys;

use std::path::Path;

use planaria_store::{Migration, SqliteSession, SqliteSettings, SqliteStore, sqlite};
use sqlx::sqlite::SqliteRow as Row;
use tokio::sync::watch;

use super::KeyStore;
use super::key::ApiKey;

type Session<'c> = SqliteSession<'c>;

const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_api_keys", sql: include_str!("sqlite/0001_api_keys.sql") }];

/// The gateway's own file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteKeyStore {
    store: SqliteStore,
}

impl SqliteKeyStore {
    pub(crate) async fn open(
        path: &Path,
        settings: &SqliteSettings,
    ) -> Result<Self, planaria_store::Error> {
        Ok(Self { store: sqlite::open_with(path, MIGRATIONS, settings).await? })
    }
}

#[tonic::async_trait]
impl KeyStore for SqliteKeyStore {
    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn revision(&self) -> Result<u64, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        keys::revision(&mut SqliteSession(&mut connection)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        keys::all(&mut SqliteSession(&mut connection)).await
    }

    async fn create(&self, key: &ApiKey, keys_max: u32, now_ms: u64) -> Result<bool, sqlx::Error> {
        let created = async {
            let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
            let mut session = SqliteSession(&mut transaction);
            let created = keys::create(&mut session, key, keys_max, now_ms).await?;
            transaction.commit().await?;
            Ok(created)
        };
        self.store.heard(created.await)
    }

    async fn list(
        &self,
        namespace: Option<&str>,
        good_at_ms: Option<u64>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ApiKey>, sqlx::Error> {
        let mut connection = self.store.readers().acquire().await?;
        let mut session = SqliteSession(&mut connection);
        keys::list(&mut session, namespace, good_at_ms, after, limit).await
    }

    async fn revoke(
        &self,
        id: &str,
        namespace: Option<&str>,
        now_ms: u64,
    ) -> Result<Option<ApiKey>, sqlx::Error> {
        let revoked = async {
            let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
            let mut session = SqliteSession(&mut transaction);
            let revoked = keys::revoke(&mut session, id, namespace, now_ms).await?;
            transaction.commit().await?;
            Ok(revoked)
        };
        self.store.heard(revoked.await)
    }

    async fn clear(&self, before_ms: u64) -> Result<(), sqlx::Error> {
        let cleared = async {
            let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
            keys::clear(&mut SqliteSession(&mut transaction), before_ms).await?;
            transaction.commit().await
        };
        self.store.heard(cleared.await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::store::conformance;

    macro_rules! conforms {
        ($($promise:ident)*) => {
            $(
                #[tokio::test]
                async fn $promise() {
                    let directory = tempfile::tempdir().unwrap();
                    let path = directory.path().join("gateway.db");
                    let settings = SqliteSettings::default();
                    let store = SqliteKeyStore::open(&path, &settings).await.unwrap();
                    conformance::$promise(&store).await;
                }
            )*
        };
    }

    conformance::promises!(conforms);
}
