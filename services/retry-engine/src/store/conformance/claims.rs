//! Who follows the log, who hands over what, and what it costs.

use planaria_kernel::retry::breaker::Outcome;
use planaria_kernel::retry::budget::BudgetPolicy;

use super::*;

pub(crate) async fn one_replica_follows_the_log_and_nobody_else_records(store: &dyn RetryStore) {
    let at = |holder, now_ms| Tenure { holder, now_ms, until_ms: now_ms + 100 };
    let told = |cursor| Told { changes: &[], ended: &[], cursor };
    let rules = Rules::default();
    assert_eq!(store.take(at("a", 0)).await.unwrap().as_deref(), Some(""));
    assert!(store.record(at("a", 50), told("1-1"), &rules).await.unwrap().is_some());
    if store.is_shared() {
        // Recording kept it: it is over at 150.
        assert_eq!(store.take(at("b", 149)).await.unwrap(), None);
        assert!(store.record(at("b", 149), told("1-2"), &rules).await.unwrap().is_none());
    }
    assert_eq!(store.take(at("b", 150)).await.unwrap().as_deref(), Some("1-1"));
    // Who was away too long records nothing any more, whatever it derived.
    let changes = [retry("w", 1, 10, "")];
    let late = Told { changes: &changes, ended: &[], cursor: "1-9" };
    assert!(store.record(at("a", 151), late, &rules).await.unwrap().is_none());
    assert_eq!(store.counts().await.unwrap(), (0, 0));
    store.resign("a").await.unwrap();
    store.resign("b").await.unwrap();
    assert_eq!(store.take(at("c", 152)).await.unwrap().as_deref(), Some("1-1"));
}

pub(crate) async fn what_is_claimed_is_nobody_elses_until_its_time_is_over(store: &dyn RetryStore) {
    let scene = Scene { store };
    let changes: Vec<_> = (1..=3).map(|n| retry(&format!("w{n}"), 1, n * 10, "")).collect();
    scene.record(&changes).await;
    let rules = Rules::default();
    let claim = |now_ms| store.claim(now_ms, now_ms + 100, 2, &rules);
    let names = |claimed: &super::super::Claimed| {
        claimed.decided.iter().map(|retry| retry.key.workflow.clone()).collect::<Vec<_>>()
    };
    let first = claim(50).await.unwrap();
    assert_eq!(names(&first), ["w1", "w2"]);
    assert_eq!(names(&claim(50).await.unwrap()), ["w3"]);
    assert!(claim(50).await.unwrap().decided.is_empty());
    // One is handed over, one is given back; the third's replica ends.
    store.remove(&[first.decided[0].key.clone()]).await.unwrap();
    store.release(&[first.decided[1].key.clone()], 60).await.unwrap();
    assert_eq!(store.next_due_ms().await.unwrap(), Some(60));
    assert_eq!(names(&claim(60).await.unwrap()), ["w2"]);
    assert_eq!(names(&claim(150).await.unwrap()), ["w3"]);
    assert_eq!(names(&claim(160).await.unwrap()), ["w2"]);
    // Waiting is waiting, claimed or not.
    let waiting = store.retries("shop", "", 10).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].due_at_ms), (2, 20));
    assert_eq!(waiting[0].class, ErrorClass::Timeout);
    assert!(store.retries("other", "", 10).await.unwrap().is_empty());
}

fn small_budget() -> Rules {
    let budget = BudgetPolicy { percent: 50, per_second: 1, window_ms: 2_000 };
    Rules { budget, ..Rules::default() }
}

pub(crate) async fn an_empty_budget_defers_and_charges_nothing_twice(store: &dyn RetryStore) {
    let scene = Scene { store };
    let rules = small_budget();
    let first = Ended {
        route: route("charge-card"),
        outcome: Outcome::Answered,
        started_at_ms: 900,
        at_ms: 1_000,
        is_first: true,
    };
    // Two seconds of one, and half of two.
    let mut changes: Vec<_> = (1..=6).map(|n| retry(&format!("w{n}"), 1, n, "")).collect();
    changes.push(retry("hopeless", 1, 7, "NOT_RETRYABLE"));
    scene.tell(&changes, &[first.clone(), first]).await;
    let claimed = store.claim(1_000, 6_000, 10, &rules).await.unwrap();
    let names: Vec<_> = claimed.decided.iter().map(|retry| &*retry.key.workflow).collect();
    assert_eq!(names, ["w1", "w2", "w3", "hopeless"]);
    let deferred: Vec<_> = claimed
        .deferred
        .iter()
        .map(|retry| (&*retry.key.workflow, retry.due_at_ms, retry.deferrals))
        .collect();
    // What was taken in second 1 is out of the window at 4 s; then one a second.
    assert_eq!(deferred, [("w4", 4_000, 1), ("w5", 5_000, 1), ("w6", 6_000, 1)]);
    assert_eq!(store.next_due_ms().await.unwrap(), Some(4_000));

    // The replica ends with its three; they were charged.
    let again = store.claim(6_000, 7_000, 10, &rules).await.unwrap();
    let names: Vec<_> = again.decided.iter().map(|retry| &*retry.key.workflow).collect();
    assert_eq!(names, ["w1", "w2", "w3", "hopeless", "w4", "w5"]);
    assert_eq!(again.deferred.len(), 1);
    assert_eq!((again.deferred[0].key.workflow.as_str(), again.deferred[0].deferrals), ("w6", 2));
    // A later failure of the same task is another retry.
    scene.record(&[retry("w6", 2, 20_000, "")]).await;
    let later = store.claim(20_000, 21_000, 1, &rules).await.unwrap();
    assert_eq!(later.decided.len(), 1);
}

pub(crate) async fn a_retry_started_by_hand_pays_no_budget(store: &dyn RetryStore) {
    let scene = Scene { store };
    let rules = small_budget();
    let changes: Vec<_> = (1..=3).map(|n| retry(&format!("w{n}"), 1, n, "")).collect();
    scene.record(&changes).await;
    let claimed = store.claim(1_000, 60_000, 10, &rules).await.unwrap();
    let key = &claimed.deferred[0].key;
    assert_eq!((claimed.deferred.len(), &*key.workflow), (1, "w3"));
    assert!(store.reschedule(key, 1_500).await.unwrap());
    let claimed = store.claim(1_500, 60_000, 10, &rules).await.unwrap();
    assert_eq!(claimed.decided.len(), 1);
}
