//! The promises of a store, kept by SQLite.

use planaria_store::SqliteSettings;

use super::SqliteRetryStore;
use crate::store::conformance;

macro_rules! conforms {
    ($($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("retry-engine.db");
                let settings = SqliteSettings::default();
                let store = SqliteRetryStore::open(&path, &settings).await.unwrap();
                conformance::$promise(&store).await;
            }
        )*
    };
}

conformance::promises!(conforms);
