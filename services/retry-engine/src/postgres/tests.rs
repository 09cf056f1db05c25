//! The promises of a store, kept by PostgreSQL.

use planaria_store::testing::TestDatabase;

use super::PostgresRetryStore;
use crate::store::conformance;

macro_rules! conforms {
    ($($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let database = TestDatabase::create().await;
                let store = PostgresRetryStore::open(&database.plan()).await.unwrap();
                conformance::$promise(&store).await;
            }
        )*
    };
}

conformance::promises!(conforms);
