//! The promises of every store, on PostgreSQL.

use planaria_store::testing::TestDatabase;

use super::PostgresWebhookStore;
use crate::store::conformance;

macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            let database = TestDatabase::create().await;
            let store = PostgresWebhookStore::open(&database.plan()).await.unwrap();
            conformance::$promise(&store).await;
        })*
    };
}

promises! {
    webhooks_are_kept,
    deriving_follows_the_webhooks,
    one_holder_derives,
    what_is_due_is_claimed_once,
    tries_are_noted,
    settled_deliveries_are_sent_again,
    deliveries_are_listed,
    what_is_old_goes,
}
