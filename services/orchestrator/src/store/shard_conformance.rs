//! What every registry of shards promises, one function each. Every adapter runs all of them.

use planaria_proto::types::v1::Phase;

use super::conformance::{created, row, write};
use super::{Holder, ShardRegistry, ShardRow, StoreError};

fn holder(id: &str) -> Holder {
    Holder { id: id.to_owned(), address: format!("http://{id}:7301") }
}

async fn create(registry: &dyn ShardRegistry, by: &str) -> ShardRow {
    registry.create(&holder(by)).await.expect("written").expect("there is room for one")
}

pub(super) async fn a_shard_belongs_to_who_made_it(registry: &dyn ShardRegistry) {
    let held = create(registry, "a").await;
    assert_eq!((&*held.holder, &*held.address), ("a", "http://a:7301"));
    assert!(registry.shards().await.expect("read").contains(&held));
    let beaten = registry.beat(held.shard, held.log).await.expect("written").expect("held");
    assert_eq!(beaten.beat, held.beat + 1);
    assert!(registry.beat(held.shard, held.log + 1).await.expect("read").is_none());
}

pub(super) async fn a_shard_is_taken_only_as_it_was_seen(registry: &dyn ShardRegistry) {
    let seen = create(registry, "a").await;
    let now = registry.beat(seen.shard, seen.log).await.expect("written").expect("held");
    // It lives: it was seen to beat since.
    assert!(registry.take(&seen, &holder("b")).await.expect("read").is_none());
    let taken = registry.take(&now, &holder("b")).await.expect("written").expect("taken");
    assert_eq!((taken.shard, &*taken.holder), (seen.shard, "b"));
    assert!(taken.log > seen.log);
    assert!(registry.take(&now, &holder("c")).await.expect("read").is_none());
    assert!(registry.beat(seen.shard, seen.log).await.expect("read").is_none());
}

pub(super) async fn who_was_replaced_commits_nothing_more(registry: &dyn ShardRegistry) {
    let old = create(registry, "a").await;
    let before = registry.store(old.shard, old.log);
    before.commit(&[write(created(&row(Phase::Running)))]).await.expect("committed");
    let new = registry.take(&old, &holder("b")).await.expect("written").expect("taken");
    let late = row(Phase::Running);
    let outcome = before.commit(&[write(created(&late))]).await;
    assert!(matches!(outcome, Err(StoreError::Fenced)), "{outcome:?}");
    let after = registry.store(new.shard, new.log);
    assert_eq!(after.workflow_row(late.id).await.expect("read"), None);
    after.commit(&[write(created(&late))]).await.expect("committed");
    let (entries, _) =
        after.log_entries(super::Position::default(), u32::MAX, 9).await.expect("read");
    let logs: Vec<u64> = entries.iter().map(|entry| entry.position.log).collect();
    assert_eq!(logs, [old.log, new.log]);
}

pub(super) async fn a_shard_is_given_back_to_whoever_comes(registry: &dyn ShardRegistry) {
    let held = create(registry, "a").await;
    registry.want(held.shard, held.log, "b").await.expect("written");
    let told = registry.beat(held.shard, held.log).await.expect("written").expect("held");
    assert_eq!(told.wanted_by, "b");
    let store = registry.store(held.shard, held.log);
    registry.give_back(held.shard, held.log).await.expect("written");
    let outcome = store.commit(&[write(created(&row(Phase::Running)))]).await;
    assert!(matches!(outcome, Err(StoreError::Fenced)), "{outcome:?}");
    let shards = registry.shards().await.expect("read");
    let free = shards.iter().find(|row| row.shard == held.shard).expect("there");
    assert_eq!((&*free.holder, &*free.wanted_by), ("", "b"));
    let taken = registry.take(free, &holder("b")).await.expect("written").expect("taken");
    assert_eq!((&*taken.holder, &*taken.wanted_by), ("b", ""));
}
