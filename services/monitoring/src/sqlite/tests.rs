//! The promises of every store, on SQLite.

use planaria_store::SqliteSettings;

use super::SqliteMonitoringStore;
use crate::store::conformance;

macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("monitoring.db");
            let settings = SqliteSettings::default();
            let store = SqliteMonitoringStore::open(&path, &settings).await.unwrap();
            conformance::$promise(&store).await;
        })*
    };
}

promises! {
    one_holder_writes,
    a_step_is_made_once,
    series_are_kept,
    healings_are_kept,
    changes_are_not_torn,
    healings_are_listed,
    what_is_old_goes,
}
