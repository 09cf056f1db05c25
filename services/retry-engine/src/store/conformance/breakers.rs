//! Breakers in the store.

use planaria_kernel::retry::breaker::{Breaker, BreakerEffect, BreakerEvent, Outcome};
use planaria_proto::retry::v1::BreakerPhase;

use super::*;

fn ended(function: &str, outcome: Outcome, at_ms: u64) -> Ended {
    Ended { route: route(function), outcome, started_at_ms: at_ms, at_ms, is_first: true }
}

async fn fail(scene: &Scene<'_>, function: &str, count: u64, from_ms: u64) -> Vec<BreakerChange> {
    let failures = (0..count).map(|n| ended(function, Outcome::Failed, from_ms + n));
    scene.tell(&[], &failures.collect::<Vec<_>>()).await
}

pub(crate) async fn breakers_open_and_are_the_same_when_read_again(store: &dyn RetryStore) {
    let scene = Scene { store };
    let rules = Rules::default();
    assert!(fail(&scene, "charge", 9, 1_000).await.is_empty());
    let answered = ended("ship", Outcome::Answered, 1_000);
    scene.tell(&[], &[answered]).await;
    assert_eq!(store.breakers("", false, 10).await.unwrap(), []);
    assert_eq!(store.breakers("shop", true, 10).await.unwrap().len(), 2);
    let row = store.breaker(&route("charge")).await.unwrap().unwrap();
    let Breaker::Closed(closed) = &row.breaker else { panic!("{row:?}") };
    assert_eq!((closed.failures_in_row, closed.window.sums(30_000, 1_100)), (9, (9, 9)));

    let changes = fail(&scene, "charge", 1, 1_200).await;
    assert_eq!((changes.len(), changes[0].to()), (1, BreakerPhase::Open));
    let held = store.breakers("shop", false, 10).await.unwrap();
    let Breaker::Open(open) = held[0].breaker else { panic!("{held:?}") };
    assert_eq!((open.since_ms, open.times), (1_200, 1));
    assert!((16_200..=19_200).contains(&open.until_ms), "{open:?}");
    let deadlines = store.breaker_deadlines(10).await.unwrap();
    assert_eq!(deadlines, [(route("charge"), open.until_ms)]);

    let early = store.act(&route("charge"), BreakerEvent::TimePassed, 2_000, &rules).await.unwrap();
    assert_eq!((early.effect, early.change), (None, None));
    assert_eq!(early.row, held[0]);
    let due_ms = open.until_ms;
    let due = store.act(&route("charge"), BreakerEvent::TimePassed, due_ms, &rules).await.unwrap();
    assert_eq!(due.effect, Some(BreakerEffect::HalfOpened));
    assert_eq!(store.breaker(&route("charge")).await.unwrap(), Some(due.row));
}

pub(crate) async fn changes_of_breakers_have_rising_revisions_and_old_ones_are_forgotten(
    store: &dyn RetryStore,
) {
    let scene = Scene { store };
    let rules = Rules::default();
    assert_eq!(store.revision().await.unwrap(), 0);
    for (number, function) in (1..).zip(["a", "b", "c"]) {
        fail(&scene, function, 10, number * 1_000).await;
    }
    assert_eq!(store.revision().await.unwrap(), 3);
    let reset = store.act(&route("a"), BreakerEvent::Reset, 5_000, &rules).await.unwrap();
    assert_eq!(reset.change.map(|change| change.reason).as_deref(), Some("it was reset by hand"));
    let behind = store.breakers_after(1, 10).await.unwrap();
    let behind: Vec<_> = behind.iter().map(|row| (&*row.route.function, row.revision)).collect();
    assert_eq!(behind, [("b", 2), ("c", 3), ("a", 4)]);
    let changes = store.breaker_changes("shop", 2).await.unwrap();
    let ids: Vec<_> = changes.iter().map(|change| change.id.as_str()).collect();
    assert_eq!(ids, ["breaker-4", "breaker-3"]);
    assert!(store.breaker_changes("other", 2).await.unwrap().is_empty());

    store.clear_old(6_000).await.unwrap();
    assert!(store.breaker_changes("", 10).await.unwrap().is_empty());
    // Those that hold something back are not forgotten.
    let left = store.breakers("", true, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|row| &*row.route.function).collect();
    assert_eq!(left, ["c", "b"]);
}

pub(crate) async fn probes_are_granted_once(store: &dyn RetryStore) {
    let scene = Scene { store };
    let rules = Rules::default();
    fail(&scene, "charge", 10, 1_000).await;
    let charge = route("charge");
    let act = |event, now_ms| store.act(&charge, event, now_ms, &rules);
    assert_eq!(act(BreakerEvent::ProbesWanted(1), 2_000).await.unwrap().effect, None);
    act(BreakerEvent::TimePassed, 60_000).await.unwrap();
    let mut granted = 0;
    let wants: Vec<_> = (0..8).map(|_| act(BreakerEvent::ProbesWanted(1), 60_000)).collect();
    for acted in futures_util::future::join_all(wants).await {
        if let Some(BreakerEffect::Probes(count)) = acted.unwrap().effect {
            granted += count;
        }
    }
    assert_eq!(granted, 5);
    let answers: Vec<_> = (0..4).map(|_| ended("charge", Outcome::Answered, 61_000)).collect();
    let changes = scene.tell(&[], &answers).await;
    assert_eq!((changes.len(), changes[0].to()), (1, BreakerPhase::Closed));
}
