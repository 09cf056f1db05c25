//! The promises of a store, kept by SQLite.

use std::sync::Arc;

use planaria_proto::types::v1::Phase;
use tempfile::TempDir;

use super::SqliteShardRegistry;
use crate::store::conformance::{self, created, row, write};
use crate::store::{Holder, Position, ShardRegistry, WorkflowStore};
use crate::store::{limit_conformance, retention_conformance, shard_conformance};

async fn open(directory: &TempDir) -> Arc<dyn WorkflowStore> {
    let registry = registry(directory).await;
    let holder = Holder { id: "test".to_owned(), address: String::new() };
    let held = registry.create(&holder).await.expect("written").expect("free");
    registry.store(held.shard, held.log)
}

async fn registry(directory: &TempDir) -> SqliteShardRegistry {
    SqliteShardRegistry::open(&directory.path().join("o.db")).await.expect("opens")
}

macro_rules! shards_conform {
    ($($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().expect("a directory");
                shard_conformance::$promise(&registry(&directory).await).await;
            }
        )*
    };
}

shards_conform! {
    a_shard_belongs_to_who_made_it
    a_shard_is_taken_only_as_it_was_seen
    who_was_replaced_commits_nothing_more
    a_shard_is_given_back_to_whoever_comes
}

macro_rules! limits_conform {
    ($($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().expect("a directory");
                limit_conformance::$promise(Arc::new(registry(&directory).await)).await;
            }
        )*
    };
}

limits_conform! {
    limits_are_set_changed_and_removed
    what_is_settled_is_kept_until_nothing_is_left
    many_values_are_settled_at_once
    starts_are_counted_out
    who_was_replaced_settles_nothing_more
}

macro_rules! conforms {
    ($suite:ident: $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let directory = tempfile::tempdir().expect("a directory");
                $suite::$promise(open(&directory).await.as_ref()).await;
            }
        )*
    };
}

conforms! { conformance:
    commits_are_all_or_nothing
    the_fence_lets_one_of_two_steps_through
    the_last_word_on_a_row_counts
    a_cleared_workflow_has_only_what_comes_after
    the_log_is_gapless_in_commit_order
    records_are_read_behind_a_number
    sessions_come_and_go
    healings_are_open_until_they_are_healed
    an_idempotency_key_is_unique
    definitions_are_put_once
    lists_are_filtered_and_paged
    bad_states_are_found_and_good_ones_are_not
    tasks_are_paged_in_key_order
}

conforms! { retention_conformance:
    what_is_over_for_long_is_found_and_forgotten
    entries_of_no_workflow_are_trimmed_by_age
    numbers_of_removed_entries_are_not_used_again
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash_and_a_new_log_begins() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(&directory).await;
    let (log, secret) = (store.log(), store.token_secret().await.expect("a secret"));
    let first = row(Phase::Running);
    store.commit(&[write(created(&first))]).await.expect("committed");
    drop(store);
    let store = open(&directory).await;
    assert!(store.log() > log);
    assert_eq!(store.token_secret().await.expect("a secret"), secret);
    let stored = store.workflow(first.id).await.expect("read").expect("there");
    assert_eq!((stored.row, stored.records.len()), (first, 1));
    assert_eq!(store.log_end().await.expect("read"), Position { log: store.log(), seq: 0 });
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    let (entries, _) = store.log_entries(Position::default(), u32::MAX, 9).await.expect("read");
    let positions: Vec<Position> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [Position { log, seq: 1 }, Position { log: store.log(), seq: 1 }]);
}

#[tokio::test]
async fn a_second_orchestrator_does_not_get_the_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let _store = open(&directory).await;
    assert!(SqliteShardRegistry::open(&directory.path().join("o.db")).await.is_err());
}
