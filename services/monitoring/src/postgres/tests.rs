//! The promises of every store, on PostgreSQL.

use planaria_store::testing::TestDatabase;

use super::PostgresMonitoringStore;
use crate::store::conformance;

macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            let database = TestDatabase::create().await;
            let store = PostgresMonitoringStore::open(&database.plan()).await.unwrap();
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
