//! The store in PostgreSQL: a schema that all replicas share.

#[path = "store/keys.rs"]
mod keys;

use planaria_store::postgres::retried;
use planaria_store::{
    Migration, PostgresPlan, PostgresSchema, PostgresSession, PostgresStore, postgres,
};
use sqlx::postgres::PgRow as Row;
use tokio::sync::watch;

use super::KeyStore;
use super::key::ApiKey;

type Session<'c> = PostgresSession<'c>;

/// The gateway's part of the database.
pub const SCHEMA: PostgresSchema = PostgresSchema {
    name: "gateway",
    migrations: &[Migration {
        name: "0001_api_keys",
        sql: include_str!("postgres/0001_api_keys.sql"),
    }],
};

/// The schema that the gateway's replicas share.
#[derive(Debug, Clone)]
pub(crate) struct PostgresKeyStore {
    store: PostgresStore,
}

impl PostgresKeyStore {
    pub(crate) async fn open(plan: &PostgresPlan) -> Result<Self, planaria_store::Error> {
        Ok(Self { store: postgres::open(plan, &SCHEMA).await? })
    }

    /// Each statement by itself.
    fn session(&self) -> Session<'_> {
        PostgresSession::Store(&self.store)
    }
}

#[tonic::async_trait]
impl KeyStore for PostgresKeyStore {
    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn revision(&self) -> Result<u64, sqlx::Error> {
        keys::revision(&mut self.session()).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, sqlx::Error> {
        keys::all(&mut self.session()).await
    }

    async fn create(&self, key: &ApiKey, keys_max: u32, now_ms: u64) -> Result<bool, sqlx::Error> {
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            let created = keys::create(&mut session, key, keys_max, now_ms).await?;
            transaction.commit().await?;
            Ok(created)
        })
        .await
    }

    async fn list(
        &self,
        namespace: Option<&str>,
        good_at_ms: Option<u64>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ApiKey>, sqlx::Error> {
        keys::list(&mut self.session(), namespace, good_at_ms, after, limit).await
    }

    async fn revoke(
        &self,
        id: &str,
        namespace: Option<&str>,
        now_ms: u64,
    ) -> Result<Option<ApiKey>, sqlx::Error> {
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            let revoked = keys::revoke(&mut session, id, namespace, now_ms).await?;
            transaction.commit().await?;
            Ok(revoked)
        })
        .await
    }

    async fn clear(&self, before_ms: u64) -> Result<(), sqlx::Error> {
        retried(|| async {
            let mut transaction = self.store.begin().await?;
            let mut session = PostgresSession::Transaction(&mut transaction);
            keys::clear(&mut session, before_ms).await?;
            transaction.commit().await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use planaria_store::testing::TestDatabase;

    use super::*;
    use crate::access::store::conformance;

    macro_rules! conforms {
        ($($promise:ident)*) => {
            $(
                #[tokio::test]
                async fn $promise() {
                    let database = TestDatabase::create().await;
                    let store = PostgresKeyStore::open(&database.plan()).await.unwrap();
                    conformance::$promise(&store).await;
                }
            )*
        };
    }

    conformance::promises!(conforms);
}
