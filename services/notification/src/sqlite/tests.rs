//! The promises of every store, on SQLite.

use planaria_store::SqliteSettings;

use super::SqliteWebhookStore;
use crate::store::conformance;

macro_rules! promises {
    ($($promise:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $promise() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("notification.db");
            let settings = SqliteSettings::default();
            let store = SqliteWebhookStore::open(&path, &settings).await.unwrap();
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
