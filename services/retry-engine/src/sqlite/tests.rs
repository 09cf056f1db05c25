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

conforms! {
    a_decision_is_kept_once_and_an_older_one_never_replaces_it
    the_cause_of_a_dead_letter_is_what_was_decided_about_its_task
    the_same_fault_is_one_dead_letter_and_late_news_settle_no_newer_one
    only_settled_dead_letters_are_cleared_away
    a_give_up_is_remembered_until_it_was_handed_over_and_grew_old
}
