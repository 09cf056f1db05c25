//! What every store promises, one function each. Every adapter runs all of them.

use planaria_log_tail::LogCursor;
use planaria_proto::notification::v1::{DeliveryState, EventFilter};
use planaria_proto::orchestrator::v1::LogPosition;

use super::{DeliveryFilter, Resend, Retained, Step, WebhookStore};
use crate::records::{Attempt, Delivery, Fate, NewDelivery, Webhook};
use crate::secret::Secret;

const LONG_MS: u64 = 600_000;
const MANY: u32 = 100;

fn at(seq: u64) -> LogCursor {
    LogCursor::behind(LogPosition { log: 1, seq })
}

fn webhook(id: &str, namespace: &str) -> Webhook {
    let filter = EventFilter {
        types: vec!["a".into(), "b".into()],
        namespace: namespace.to_owned(),
        ..EventFilter::default()
    };
    Webhook {
        id: id.to_owned(),
        url: format!("https://hooks.example/{id}"),
        filter,
        description: "for tests".into(),
        enabled: true,
        disabled_because: String::new(),
        created_at_ms: 1_000,
        secret: Secret::generate(),
        former: None,
        behind: at(5),
    }
}

fn delivery(webhook: &str, number: u64) -> NewDelivery {
    NewDelivery {
        id: format!("{webhook}_1-{number}-0"),
        webhook: webhook.to_owned(),
        namespace: "shop".into(),
        event_id: format!("1-{number}-0"),
        event_type: if number.is_multiple_of(2) { "even.v1" } else { "odd.v1" }.into(),
        body: format!("{{\"number\":{number}}}").into_bytes(),
    }
}

/// Takes the lease, and saves deliveries at a time.
async fn saved(store: &impl WebhookStore, to: u64, deliveries: &[NewDelivery], now_ms: u64) {
    let derivation = store.take("a", LONG_MS).await.unwrap().unwrap();
    let (version, from) = (derivation.version, &derivation.cursor);
    let step = Step { holder: "a", lease_ms: LONG_MS, version, from, to: &at(to) };
    assert!(store.save(step, deliveries, now_ms).await.unwrap());
}

async fn ids(store: &impl WebhookStore, filter: &DeliveryFilter) -> Vec<String> {
    let found = store.deliveries(filter, MANY).await.unwrap();
    found.into_iter().map(|delivery| delivery.event_id).collect()
}

async fn state(store: &impl WebhookStore, id: &str) -> Delivery {
    store.delivery(id).await.unwrap().unwrap()
}

/// Webhooks are kept as they are, listed by age and namespace, up to a limit.
pub(crate) async fn webhooks_are_kept(store: &impl WebhookStore) {
    let mut first = webhook("w1", "shop");
    assert!(store.create(&first, MANY).await.unwrap());
    assert!(store.create(&webhook("w2", ""), MANY).await.unwrap());
    assert!(store.create(&webhook("w3", "shop"), 3).await.unwrap());
    assert!(!store.create(&webhook("w4", "shop"), 3).await.unwrap());
    assert_eq!(store.webhook("w1").await.unwrap(), Some(first.clone()));
    assert_eq!(store.webhook("w4").await.unwrap(), None);
    let listed = async |namespace: &str, after: &str, limit| {
        let found = store.webhooks(namespace, after, limit).await.unwrap();
        found.into_iter().map(|webhook| webhook.id).collect::<Vec<_>>()
    };
    assert_eq!(listed("", "", 2).await, ["w1", "w2"]);
    assert_eq!(listed("", "w2", 2).await, ["w3"]);
    assert_eq!(listed("shop", "", MANY).await, ["w1", "w3"]);

    let new = Secret::generate();
    assert!(store.rotate("w1", &new, 7_000).await.unwrap());
    first.former = Some((std::mem::replace(&mut first.secret, new), 7_000));
    assert_eq!(store.webhook("w1").await.unwrap(), Some(first.clone()));
    assert!(store.disable("w1", "tired").await.unwrap());
    assert!(store.disable("w1", "again").await.unwrap(), "it stays as it is");
    first.enabled = false;
    first.disabled_because = "tired".into();
    assert_eq!(store.webhook("w1").await.unwrap(), Some(first.clone()));
    assert!(store.enable("w1", &at(9)).await.unwrap());
    assert!(store.enable("w1", &at(10)).await.unwrap(), "it stays as it is");
    let enabled = store.webhook("w1").await.unwrap().unwrap();
    assert!(enabled.enabled && enabled.disabled_because.is_empty());
    assert_eq!(enabled.behind, at(9));
    assert!(store.delete("w1").await.unwrap() && !store.delete("w1").await.unwrap());
    assert!(!store.enable("w1", &at(9)).await.unwrap());
    assert!(!store.disable("w1", "").await.unwrap());
    assert!(!store.rotate("w1", &Secret::generate(), 0).await.unwrap());
}

/// Deriving begins with the first enabled webhook and ends with the last.
pub(crate) async fn deriving_follows_the_webhooks(store: &impl WebhookStore) {
    assert!(store.take("a", LONG_MS).await.unwrap().is_none());
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    let begun = store.take("a", LONG_MS).await.unwrap().unwrap();
    assert_eq!((begun.cursor, begun.webhooks.len()), (at(5), 1));
    // It goes on from where it is.
    saved(store, 20, &[], 0).await;
    store.create(&Webhook { behind: at(30), ..webhook("w2", "") }, MANY).await.unwrap();
    let derivation = store.take("a", LONG_MS).await.unwrap().unwrap();
    assert_eq!((derivation.cursor, derivation.webhooks.len()), (at(20), 2));
    store.disable("w1", "").await.unwrap();
    assert_eq!(store.take("a", LONG_MS).await.unwrap().unwrap().webhooks.len(), 1);
    store.delete("w2").await.unwrap();
    assert!(store.take("a", LONG_MS).await.unwrap().is_none());
    store.enable("w1", &at(90)).await.unwrap();
    assert_eq!(store.take("a", LONG_MS).await.unwrap().unwrap().cursor, at(90));
}

/// One replica derives, for the webhooks as they are, and each step once.
pub(crate) async fn one_holder_derives(store: &impl WebhookStore) {
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    let derivation = store.take("a", LONG_MS).await.unwrap().unwrap();
    assert!(store.take("b", LONG_MS).await.unwrap().is_none());
    let (from, to) = (at(5), at(6));
    let version = derivation.version;
    let step = |holder| Step { holder, lease_ms: LONG_MS, version, from: &from, to: &to };
    let one = [delivery("w1", 6)];
    assert!(!store.save(step("b"), &one, 0).await.unwrap());
    // A webhook came meanwhile: it might have wanted the event too.
    store.create(&webhook("w2", ""), MANY).await.unwrap();
    assert!(!store.save(step("a"), &one, 0).await.unwrap());
    assert!(ids(store, &DeliveryFilter::default()).await.is_empty());
    let version = store.take("a", LONG_MS).await.unwrap().unwrap().version;
    let step = |lease_ms| Step { holder: "a", lease_ms, version, from: &from, to: &to };
    assert!(store.save(step(0), &one, 0).await.unwrap());
    assert!(!store.save(step(0), &one, 0).await.unwrap(), "a step is made once");
    // The lease of a ended at once.
    assert_eq!(store.take("b", LONG_MS).await.unwrap().unwrap().cursor, to);
    assert!(store.take("a", LONG_MS).await.unwrap().is_none());
    store.release("b").await.unwrap();
    assert!(store.take("a", LONG_MS).await.unwrap().is_some());
    assert_eq!(ids(store, &DeliveryFilter::default()).await, ["1-6-0"]);
}

/// What is due is taken once, the earliest first, and by webhook.
pub(crate) async fn what_is_due_is_claimed_once(store: &impl WebhookStore) {
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    store.create(&webhook("w2", ""), MANY).await.unwrap();
    let of_first: Vec<_> = (1..=3).map(|number| delivery("w1", number)).collect();
    saved(store, 10, &of_first, 1_000).await;
    saved(store, 11, &[delivery("w2", 4)], 2_000).await;
    let due = async |now_ms| {
        let due = store.due(now_ms).await.unwrap();
        let mut due: Vec<_> = due.into_iter().map(|webhook| webhook.id).collect();
        due.sort();
        due
    };
    assert!(due(999).await.is_empty());
    assert_eq!(
        (due(1_000).await, due(2_000).await),
        (vec!["w1".into()], vec!["w1".into(), "w2".into()])
    );
    assert_eq!(store.next_due_ms(999).await.unwrap(), Some(1_000));
    let claimed = store.claim("w1", 1_500, 5_000, 2).await.unwrap();
    let taken: Vec<_> = claimed.iter().map(|delivery| delivery.event_id.as_str()).collect();
    assert_eq!(taken, ["1-1-0", "1-2-0"]);
    assert_eq!((claimed[0].attempts, &claimed[0].body), (0, &of_first[0].body));
    assert_eq!(store.claim("w1", 1_500, 5_000, 9).await.unwrap().len(), 1);
    assert!(store.claim("w1", 4_999, 9_000, 9).await.unwrap().is_empty());
    assert_eq!(store.next_due_ms(2_000).await.unwrap(), Some(5_000));
    // Whoever took them did not settle them.
    assert_eq!(store.claim("w1", 5_000, 9_000, 9).await.unwrap().len(), 3);
    assert_eq!(store.pending("w1").await.unwrap(), 3);
    store.disable("w2", "").await.unwrap();
    assert!(due(3_000).await.is_empty(), "nothing is posted to a disabled one");
}

/// The outcome of a try is kept; what was settled stays so, and what is late does not count.
pub(crate) async fn tries_are_noted(store: &impl WebhookStore) {
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    saved(store, 10, &[delivery("w1", 1), delivery("w1", 2)], 1_000).await;
    let failed = Attempt {
        at_ms: 1_500,
        status: 503,
        error: "unavailable".into(),
        took_ms: 12,
        response: "later".into(),
    };
    let id = "w1_1-1-0";
    store.settle(id, 1, &failed, Fate::Again(7_000)).await.unwrap();
    let told = state(store, id).await;
    assert_eq!(
        (told.state, told.attempts, told.next_at_ms),
        (DeliveryState::Pending, 1, Some(7_000))
    );
    assert_eq!(told.last, Some(failed.clone()));
    // From somebody who was away while another one tried.
    store.settle(id, 1, &Attempt::default(), Fate::Again(1)).await.unwrap();
    assert_eq!(state(store, id).await.next_at_ms, Some(7_000));
    store.settle(id, 2, &failed, Fate::GivenUp).await.unwrap();
    assert_eq!(state(store, id).await.state, DeliveryState::Failed);
    let delivered = Attempt { status: 204, ..Attempt::default() };
    store.settle(id, 3, &delivered, Fate::Delivered).await.unwrap();
    assert_eq!(state(store, id).await.state, DeliveryState::Failed, "it was settled");
    // The receiver has it, whoever tried less often.
    let id = "w1_1-2-0";
    store.settle(id, 2, &failed, Fate::Again(7_000)).await.unwrap();
    store.settle(id, 1, &delivered, Fate::Delivered).await.unwrap();
    assert_eq!(state(store, id).await.state, DeliveryState::Delivered);
    assert_eq!(store.pending("w1").await.unwrap(), 0);
}

/// Settled deliveries can be sent again, one by one or all failed ones.
pub(crate) async fn settled_deliveries_are_sent_again(store: &impl WebhookStore) {
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    let all: Vec<_> = (1..=3).map(|number| delivery("w1", number)).collect();
    saved(store, 10, &all, 1_000).await;
    let attempt = Attempt::default();
    store.settle(&all[0].id, 1, &attempt, Fate::Delivered).await.unwrap();
    store.settle(&all[1].id, 1, &attempt, Fate::GivenUp).await.unwrap();
    let ids = all.iter().map(|delivery| delivery.id.clone()).chain(["unknown".into()]).collect();
    assert_eq!(store.resend(&Resend::Ids(ids), 9_000).await.unwrap(), 2);
    let again = state(store, &all[0].id).await;
    assert_eq!(
        (again.state, again.attempts, again.next_at_ms),
        (DeliveryState::Pending, 0, Some(9_000))
    );
    assert_eq!(state(store, &all[2].id).await.next_at_ms, Some(1_000), "it was pending");
    store.settle(&all[1].id, 1, &attempt, Fate::GivenUp).await.unwrap();
    assert_eq!(store.resend(&Resend::FailedOf("w1".into()), 9_500).await.unwrap(), 1);
    assert_eq!(store.resend(&Resend::FailedOf("w1".into()), 9_500).await.unwrap(), 0);
    assert_eq!(state(store, &all[1].id).await.next_at_ms, Some(9_500));
}

/// Lists are newest first, by page and filter, without bodies.
pub(crate) async fn deliveries_are_listed(store: &impl WebhookStore) {
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    saved(store, 10, &[delivery("w1", 1), delivery("w1", 2)], 1_000).await;
    saved(store, 11, &[delivery("w2", 3)], 2_000).await;
    store.add(&delivery("w1", 4), 3_000, 60_000).await.unwrap();
    store.settle("w1_1-4-0", 1, &Attempt::default(), Fate::GivenUp).await.unwrap();
    let all = DeliveryFilter::default();
    assert_eq!(ids(store, &all).await, ["1-4-0", "1-3-0", "1-2-0", "1-1-0"]);
    let page = store.deliveries(&all, 2).await.unwrap();
    assert!(page.iter().all(|delivery| delivery.body.is_empty()));
    let before = Some((page[1].created_at_ms, page[1].id.clone()));
    let rest = DeliveryFilter { before, ..all.clone() };
    assert_eq!(ids(store, &rest).await, ["1-2-0", "1-1-0"]);
    for (filter, expected) in [
        (DeliveryFilter { webhook: "w2".into(), ..all.clone() }, vec!["1-3-0"]),
        (DeliveryFilter { state: Some(DeliveryState::Failed), ..all.clone() }, vec!["1-4-0"]),
        (DeliveryFilter { event_type: "odd".into(), ..all.clone() }, vec!["1-3-0", "1-1-0"]),
        (DeliveryFilter { namespace: "other".into(), ..all.clone() }, vec![]),
    ] {
        assert_eq!(ids(store, &filter).await, expected);
    }
}

/// What is old goes, a batch at a time; what is pending stays longer than what is settled.
pub(crate) async fn what_is_old_goes(store: &impl WebhookStore) {
    store.create(&webhook("w1", ""), MANY).await.unwrap();
    for number in 1..=6 {
        saved(store, 10 + number, &[delivery("w1", number)], number * 1_000).await;
    }
    for number in [2, 3, 4] {
        let id = format!("w1_1-{number}-0");
        store.settle(&id, 1, &Attempt::default(), Fate::Delivered).await.unwrap();
    }
    let retained = Retained { from_ms: 2_000, settled_max: 1, batch_max: 1 };
    let mut rounds = 0;
    while store.clear(&retained).await.unwrap() > 0 {
        rounds += 1;
    }
    assert!(rounds > 1, "a batch is small");
    let left = ids(store, &DeliveryFilter::default()).await;
    assert_eq!(left, ["1-6-0", "1-5-0", "1-4-0"]);
    assert_eq!(store.delete_deliveries("w1", 2).await.unwrap(), 2);
    assert_eq!(store.delete_deliveries("w1", 2).await.unwrap(), 1);
    assert_eq!(store.delete_deliveries("w1", 2).await.unwrap(), 0);
}
