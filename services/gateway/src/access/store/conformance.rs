//! What every store of keys promises.

use planaria_runtime::Role;

use super::KeyStore;
use crate::access::key::{ApiKey, hash};

/// Every promise, for a macro that makes a test of each.
macro_rules! promises {
    ($tests:ident) => {
        $tests! {
            a_key_is_kept_as_it_was_made
            every_change_raises_the_revision_and_nothing_else_does
            there_are_never_more_good_keys_than_allowed
            a_key_is_revoked_once_and_only_in_its_namespace
            lists_are_in_order_and_of_one_namespace
            only_keys_that_ended_are_cleared_away
        }
    };
}
pub(crate) use promises;

fn key(id: &str, namespace: &str) -> ApiKey {
    ApiKey {
        id: id.into(),
        hash: hash(id),
        label: "the shop's own".into(),
        namespace: namespace.into(),
        role: Role::Operator,
        created_at_ms: 1_000,
        created_by: "admin-key".into(),
        expires_at_ms: 9_000,
        revoked_at_ms: None,
        requests_per_second: 7,
        requests_burst: u32::MAX,
    }
}

async fn add(store: &dyn KeyStore, key: &ApiKey) {
    assert!(store.create(key, 100, 2_000).await.unwrap());
}

async fn ids(store: &dyn KeyStore) -> Vec<String> {
    let mut ids: Vec<_> = store.keys().await.unwrap().into_iter().map(|key| key.id).collect();
    ids.sort();
    ids
}

pub(crate) async fn a_key_is_kept_as_it_was_made(store: &dyn KeyStore) {
    assert_eq!(store.keys().await.unwrap(), []);
    let key = key("a", "shop");
    add(store, &key).await;
    assert_eq!(store.keys().await.unwrap(), std::slice::from_ref(&key));
    assert!(store.create(&key, 100, 2_000).await.is_err(), "an id is given once");
}

pub(crate) async fn every_change_raises_the_revision_and_nothing_else_does(store: &dyn KeyStore) {
    let mut last = store.revision().await.unwrap();
    let mut rose = async || {
        let revision = store.revision().await.unwrap();
        assert!(revision >= last);
        let rose = revision > last;
        last = revision;
        rose
    };
    add(store, &key("a", "shop")).await;
    assert!(rose().await);
    store.keys().await.unwrap();
    store.list(None, None, "", 10).await.unwrap();
    store.clear(5_000).await.unwrap();
    assert!(!rose().await);
    store.revoke("a", None, 3_000).await.unwrap();
    assert!(rose().await);
    store.clear(5_000).await.unwrap();
    assert!(rose().await);
}

pub(crate) async fn there_are_never_more_good_keys_than_allowed(store: &dyn KeyStore) {
    assert!(store.create(&key("a", "shop"), 2, 2_000).await.unwrap());
    assert!(store.create(&key("b", "bank"), 2, 2_000).await.unwrap());
    assert!(!store.create(&key("c", "shop"), 2, 2_000).await.unwrap());
    assert_eq!(ids(store).await, ["a", "b"]);
    store.revoke("a", None, 3_000).await.unwrap();
    assert!(store.create(&key("d", "shop"), 2, 3_000).await.unwrap());
    // All have expired at 9000.
    let later = ApiKey { expires_at_ms: 20_000, ..key("e", "shop") };
    assert!(store.create(&later, 1, 9_000).await.unwrap());
}

pub(crate) async fn a_key_is_revoked_once_and_only_in_its_namespace(store: &dyn KeyStore) {
    add(store, &key("a", "shop")).await;
    assert_eq!(store.revoke("a", Some("bank"), 3_000).await.unwrap(), None);
    assert_eq!(store.revoke("b", None, 3_000).await.unwrap(), None);
    assert_eq!(store.keys().await.unwrap()[0].revoked_at_ms, None);
    let revoked = ApiKey { revoked_at_ms: Some(3_000), ..key("a", "shop") };
    assert_eq!(store.revoke("a", Some("shop"), 3_000).await.unwrap(), Some(revoked.clone()));
    assert_eq!(store.revoke("a", None, 4_000).await.unwrap(), Some(revoked));
}

pub(crate) async fn lists_are_in_order_and_of_one_namespace(store: &dyn KeyStore) {
    for (id, namespace) in [("c", "shop"), ("a", "shop"), ("b", "bank"), ("d", "shop")] {
        add(store, &key(id, namespace)).await;
    }
    store.revoke("c", None, 3_000).await.unwrap();
    for (namespace, good_at_ms, after, limit, expected) in [
        (None, None, "", 10, vec!["a", "b", "c", "d"]),
        (None, None, "a", 2, vec!["b", "c"]),
        (Some("shop"), None, "", 10, vec!["a", "c", "d"]),
        (Some("shop"), Some(4_000), "", 10, vec!["a", "d"]),
        (None, Some(9_000), "", 10, vec![]),
        (Some("nobody"), None, "", 10, vec![]),
    ] {
        let found = store.list(namespace, good_at_ms, after, limit).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|key| key.id).collect();
        assert_eq!(found, expected, "{namespace:?} {good_at_ms:?} {after}");
    }
}

pub(crate) async fn only_keys_that_ended_are_cleared_away(store: &dyn KeyStore) {
    for (id, expires_at_ms) in [("expired", 4_000), ("good", 9_000), ("revoked", 9_000)] {
        add(store, &ApiKey { expires_at_ms, ..key(id, "shop") }).await;
    }
    store.revoke("revoked", None, 3_000).await.unwrap();
    store.clear(3_000).await.unwrap();
    assert_eq!(ids(store).await, ["expired", "good", "revoked"]);
    store.clear(4_001).await.unwrap();
    assert_eq!(ids(store).await, ["good"]);
}
