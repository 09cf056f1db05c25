//! The promises of a store, kept by PostgreSQL.

use std::sync::Arc;

use planaria_proto::types::v1::Phase;
use planaria_store::PostgresPlan;
use planaria_store::testing::TestDatabase;
use uuid::Uuid;

use super::PostgresShardRegistry;
use crate::store::conformance::{self, created, row, write};
use crate::store::{Holder, Position, ShardRegistry, StoreError, WorkflowRow, WorkflowStore};
use crate::store::{limit_conformance, retention_conformance, shard_conformance};

async fn registry(database: &TestDatabase) -> PostgresShardRegistry {
    PostgresShardRegistry::open(&database.plan()).await.expect("opens")
}

async fn open(registry: &PostgresShardRegistry) -> Arc<dyn WorkflowStore> {
    let holder = Holder { id: "test".to_owned(), address: String::new() };
    let held = registry.create(&holder).await.expect("written").expect("free");
    registry.store(held.shard, held.log)
}

macro_rules! shards_conform {
    ($($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let database = TestDatabase::create().await;
                shard_conformance::$promise(&registry(&database).await).await;
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
                let database = TestDatabase::create().await;
                limit_conformance::$promise(Arc::new(registry(&database).await)).await;
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
    shards_share_a_limit
    a_new_limit_grants_nothing_at_first
}

macro_rules! conforms {
    ($suite:ident: $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let database = TestDatabase::create().await;
                let registry = registry(&database).await;
                // A neighbour whose rows are none of the store's business.
                let _neighbour = open(&registry).await;
                $suite::$promise(open(&registry).await.as_ref()).await;
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
async fn what_was_committed_is_there_for_the_next_engine_and_a_new_log_begins() {
    let database = TestDatabase::create().await;
    let first_registry = registry(&database).await;
    let holder = |id: &str| Holder { id: id.to_owned(), address: String::new() };
    let old = first_registry.create(&holder("a")).await.expect("written").expect("free");
    let store = first_registry.store(old.shard, old.log);
    let secret = store.token_secret().await.expect("a secret");
    let first = row(Phase::Running);
    store.commit(&[write(created(&first))]).await.expect("committed");

    // Another process, which sees that the first one beats no more.
    let other = registry(&database).await;
    let new = other.take(&old, &holder("b")).await.expect("written").expect("taken");
    let store = other.store(new.shard, new.log);
    assert_eq!(store.token_secret().await.expect("a secret"), secret);
    let stored = store.workflow(first.id).await.expect("read").expect("there");
    assert_eq!((stored.row, stored.records.len()), (first, 1));
    assert_eq!(store.log_end().await.expect("read"), Position { log: new.log, seq: 0 });
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    let (entries, _) = store.log_entries(Position::default(), u32::MAX, 9).await.expect("read");
    let positions: Vec<Position> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(positions, [Position { log: old.log, seq: 1 }, Position { log: new.log, seq: 1 }]);
}

#[tokio::test]
async fn orchestrators_write_side_by_side_and_see_what_is_everybodys() {
    let database = TestDatabase::create().await;
    let (one, other) = (registry(&database).await, registry(&database).await);
    let (mine, yours) = (open(&one).await, open(&other).await);
    assert_ne!(mine.log(), yours.log());
    let rows: Vec<_> = (0..40).map(|_| row(Phase::Running)).collect();
    let commit = async |store: &Arc<dyn WorkflowStore>, rows: &[WorkflowRow]| {
        for row in rows {
            store.commit(&[write(created(row))]).await.expect("committed");
        }
    };
    tokio::join!(commit(&mine, &rows[..20]), commit(&yours, &rows[20..]));
    for store in [&mine, &yours] {
        let (entries, _) =
            store.log_entries(Position::default(), u32::MAX, 99).await.expect("read");
        assert_eq!(entries.len(), 20);
        assert!(entries.iter().all(|entry| entry.position.log == store.log()));
        assert_eq!(store.phase_counts().await.expect("read"), [(Phase::Running, 20)]);
        let found = store.workflow_row(rows[0].id).await.expect("read");
        assert_eq!(found.as_ref(), Some(&rows[0]));
    }
    // What is faulted anywhere is seen everywhere: whoever compares takes it for all there is.
    let (one, other) = (row(Phase::Faulted), row(Phase::Faulted));
    mine.commit(&[write(created(&one))]).await.expect("committed");
    yours.commit(&[write(created(&other))]).await.expect("committed");
    for store in [&mine, &yours] {
        let faulted = store.faulted(Uuid::nil(), 9).await.expect("read");
        let ids: Vec<Uuid> = faulted.iter().map(|row| row.id).collect();
        assert_eq!(ids, [one.id, other.id]);
    }
    // The same key in two shards: one of them has it.
    let with_key = || WorkflowRow { idempotency_key: Some("k".to_owned()), ..row(Phase::Running) };
    mine.commit(&[write(created(&with_key()))]).await.expect("committed");
    let outcome = yours.commit(&[write(created(&with_key()))]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
}

/// A writer that was told nothing asks again; whatever was on its way is then there, or never.
#[tokio::test]
async fn a_commit_whose_answer_was_lost_comes_before_the_next_or_never() {
    let database = TestDatabase::create().await;
    let registry = registry(&database).await;
    let store = open(&registry).await;
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    let late = row(Phase::Running);
    let writes = [write(created(&late))];
    // Given up in the middle, as when the caller's time is over.
    let mut commit = store.commit(&writes);
    assert!(futures_util::poll!(&mut commit).is_pending());
    drop(commit);
    let end = store.log_end().await.expect("read");
    let made = store.workflow_row(late.id).await.expect("read").is_some();
    assert_eq!(end.seq, 1 + u64::from(made));
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    let again = store.workflow_row(late.id).await.expect("read").is_some();
    assert_eq!(again, made, "it came later");
    assert_eq!(store.log_end().await.expect("read").seq, end.seq + 1);
}

#[tokio::test]
async fn a_lost_connection_costs_one_commit_and_no_number() {
    let database = TestDatabase::create().await;
    let registry = registry(&database).await;
    let store = open(&registry).await;
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.execute(end).await;
    let next = row(Phase::Running);
    let mut tries = 0;
    while let Err(error) = store.commit(&[write(created(&next))]).await {
        assert!(matches!(error, StoreError::Failed(_)), "{error:?}");
        tries += 1;
        assert!(tries < 5, "{error:?}");
    }
    assert_eq!(store.log_end().await.expect("read").seq, 2);
}

#[tokio::test]
async fn a_value_that_no_row_can_hold_is_refused_and_the_store_goes_on() {
    let database = TestDatabase::create().await;
    let registry = registry(&database).await;
    let store = open(&registry).await;
    let bad = WorkflowRow { idempotency_key: Some("\0".to_owned()), ..row(Phase::Running) };
    let outcome = store.commit(&[write(created(&bad))]).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    assert_eq!(store.log_end().await.expect("read").seq, 1);
}

#[tokio::test]
async fn readers_that_take_all_connections_hold_up_no_commit() {
    let database = TestDatabase::create().await;
    let plan = PostgresPlan { connections_max: 1, ..database.plan() };
    let registry = PostgresShardRegistry::open(&plan).await.expect("opens");
    let holder = Holder { id: "test".to_owned(), address: String::new() };
    let held = registry.create(&holder).await.expect("written").expect("free");
    let reader = registry.readers().begin().await.expect("the only connection");
    let store = registry.store(held.shard, held.log);
    store.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    registry.beat(held.shard, held.log).await.expect("written").expect("held");
    drop(reader);
}
