//! What every store of limits promises, one function each. Every adapter runs all of them.

use std::sync::Arc;

use planaria_kernel::flow::{Claim, Grant, Rate};

use super::limits::{Demand, LimitKey, LimitRow, LimitStore, LimitUse, Settled};
use super::{Holder, Shard, ShardRegistry, ShardRow, StoreError};

/// Longer ago than a shard needs to hear of a limit.
const LONG_AGO_MS: u64 = 1;

fn limit(function: &str, per: &str) -> LimitRow {
    LimitRow {
        id: 0,
        key: LimitKey {
            namespace: "shop".to_owned(),
            function: function.to_owned(),
            per: per.to_owned(),
        },
        concurrency: Some(4),
        rate: None,
        created_at_ms: LONG_AGO_MS,
        changed_at_ms: LONG_AGO_MS,
    }
}

fn demand(limit: &LimitRow, value: &str, wanted: u32, kept: u32) -> Demand {
    Demand {
        of: LimitUse { limit: limit.id, value: Arc::from(value) },
        claim: Claim { wanted, kept },
        running: kept,
        waiting: wanted - kept,
        tokens_wanted: wanted - kept,
        tokens_returned: 0,
    }
}

async fn shard(registry: &Arc<dyn ShardRegistry>) -> ShardRow {
    let holder = Holder { id: "test".to_owned(), address: String::new() };
    registry.create(&holder).await.expect("written").expect("free")
}

async fn granted(store: &dyn LimitStore, at: &ShardRow, demands: &[Demand]) -> Vec<u32> {
    let settled = store.settle_limits(at.shard, at.log, demands).await.expect("settled");
    settled.into_iter().map(|one| one.expect("a limit").grant.granted).collect()
}

pub(super) async fn limits_are_set_changed_and_removed(registry: Arc<dyn ShardRegistry>) {
    let store = registry.clone().limits();
    assert_eq!(store.limits().await.expect("read"), []);
    let (first, created) = store.put_limit(&limit("charge", "")).await.expect("written");
    assert!(created);
    let (by_customer, created) = store.put_limit(&limit("charge", "/c")).await.expect("written");
    assert!(created && by_customer.id != first.id);
    let rate = Some(Rate { per_second: 0.5, burst: 3 });
    let other = LimitRow { concurrency: None, rate, changed_at_ms: 9, ..limit("charge", "") };
    let (changed, created) = store.put_limit(&other).await.expect("written");
    let expected = LimitRow { id: first.id, created_at_ms: LONG_AGO_MS, ..other };
    assert_eq!((&changed, created), (&expected, false));
    assert_eq!(store.limits().await.expect("read"), [changed, by_customer.clone()]);
    assert!(store.delete_limit(&first.key).await.expect("written"));
    assert!(!store.delete_limit(&first.key).await.expect("written"));
    assert_eq!(store.limits().await.expect("read"), [by_customer]);
    let (again, created) = store.put_limit(&limit("charge", "")).await.expect("written");
    assert!(created && again.id > first.id, "an id is not used again");
}

pub(super) async fn what_is_settled_is_kept_until_nothing_is_left(
    registry: Arc<dyn ShardRegistry>,
) {
    let store = registry.clone().limits();
    let (row, _) = store.put_limit(&limit("charge", "/c")).await.expect("written");
    let at = shard(&registry).await;
    let demands = [demand(&row, "ann", 9, 0), demand(&row, "bob", 2, 0)];
    assert_eq!(granted(store.as_ref(), &at, &demands).await, [4, 2]);
    let mut uses = store.limit_uses().await.expect("read");
    uses.sort_by(|one, other| one.of.cmp(&other.of));
    let shown: Vec<_> = uses
        .iter()
        .map(|used| (&*used.of.value, used.shard, used.wanted, used.waiting, used.granted))
        .collect();
    assert_eq!(shown, [("ann", at.shard, 9, 9, 4), ("bob", at.shard, 2, 2, 2)]);
    let ended = [demand(&row, "ann", 0, 0), demand(&row, "bob", 1, 1)];
    assert_eq!(granted(store.as_ref(), &at, &ended).await, [0, 1]);
    assert_eq!(store.limit_uses().await.expect("read").len(), 1, "of the others nothing is left");
    store.delete_limit(&row.key).await.expect("written");
    assert_eq!(store.limit_uses().await.expect("read"), []);
    let gone = store.settle_limits(at.shard, at.log, &demands).await.expect("settled");
    assert_eq!(gone, [None, None]);
}

pub(super) async fn many_values_are_settled_at_once(registry: Arc<dyn ShardRegistry>) {
    let store = registry.clone().limits();
    let (row, _) = store.put_limit(&limit("charge", "/c")).await.expect("written");
    let at = shard(&registry).await;
    let demands: Vec<Demand> =
        (0..500).map(|number| demand(&row, &format!("{number:03}"), 5, 0)).collect();
    assert_eq!(granted(store.as_ref(), &at, &demands).await, [4; 500]);
    assert_eq!(store.limit_uses().await.expect("read").len(), 500);
}

pub(super) async fn starts_are_counted_out(registry: Arc<dyn ShardRegistry>) {
    let store = registry.clone().limits();
    let rate = Some(Rate { per_second: 0.001, burst: 3 });
    let slow = LimitRow { concurrency: None, rate, ..limit("charge", "") };
    let (row, _) = store.put_limit(&slow).await.expect("written");
    let at = shard(&registry).await;
    let settle = async |wanted, returned| {
        let asked = Demand { tokens_returned: returned, ..demand(&row, "", wanted, 0) };
        let settled = store.settle_limits(at.shard, at.log, &[asked]).await.expect("settled");
        settled[0].expect("a limit")
    };
    let any = Grant { granted: u32::MAX, share: u32::MAX };
    assert_eq!(settle(2, 0).await, Settled { grant: any, tokens: 2 });
    assert_eq!(settle(2, 0).await.tokens, 1);
    assert_eq!(settle(2, 0).await.tokens, 0, "the next comes in a quarter of an hour");
    assert_eq!(settle(2, 1).await.tokens, 1, "what is given back is there again");
}

pub(super) async fn who_was_replaced_settles_nothing_more(registry: Arc<dyn ShardRegistry>) {
    let store = registry.clone().limits();
    let (row, _) = store.put_limit(&limit("charge", "")).await.expect("written");
    let old = shard(&registry).await;
    let holder = Holder { id: "b".to_owned(), address: String::new() };
    let new = registry.take(&old, &holder).await.expect("written").expect("taken");
    let demands = [demand(&row, "", 2, 0)];
    let late = store.settle_limits(old.shard, old.log, &demands).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(granted(store.as_ref(), &new, &demands).await, [2]);
}

/// For stores that have room for several shards.
pub(super) async fn shards_share_a_limit(registry: Arc<dyn ShardRegistry>) {
    let store = registry.clone().limits();
    let (row, _) = store.put_limit(&limit("charge", "")).await.expect("written");
    let (one, other) = (shard(&registry).await, shard(&registry).await);
    assert!(one.shard < other.shard && other.shard != Shard::default());
    assert_eq!(granted(store.as_ref(), &one, &[demand(&row, "", 9, 0)]).await, [4]);
    assert_eq!(granted(store.as_ref(), &other, &[demand(&row, "", 9, 0)]).await, [0]);
    // The first has heard what the other wants, and gives back what does not run.
    assert_eq!(granted(store.as_ref(), &one, &[demand(&row, "", 9, 2)]).await, [2]);
    assert_eq!(granted(store.as_ref(), &other, &[demand(&row, "", 9, 0)]).await, [2]);
    // All at once: it is as if they came one after the other.
    let (first, second) = ([demand(&row, "", 9, 1)], [demand(&row, "", 9, 1)]);
    for _ in 0..20 {
        let (one, other) = tokio::join!(
            granted(store.as_ref(), &one, &first),
            granted(store.as_ref(), &other, &second)
        );
        assert!(one[0] + other[0] <= 4, "{one:?} {other:?}");
    }
}

/// For stores that have room for several shards: what runs already must be told of first.
pub(super) async fn a_new_limit_grants_nothing_at_first(registry: Arc<dyn ShardRegistry>) {
    let store = registry.clone().limits();
    let created_at_ms = planaria_runtime::clock::now_ms();
    let new = LimitRow { created_at_ms, changed_at_ms: created_at_ms, ..limit("charge", "") };
    let (row, _) = store.put_limit(&new).await.expect("written");
    let at = shard(&registry).await;
    assert_eq!(granted(store.as_ref(), &at, &[demand(&row, "", 9, 2)]).await, [2]);
    // As soon as all have had the time, there is something.
    let there =
        async { while granted(store.as_ref(), &at, &[demand(&row, "", 9, 2)]).await != [4] {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), there).await.expect("in time");
}
