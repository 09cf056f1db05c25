//! What every adapter promises. Each case gets two ends of one bus, as two processes have them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::StreamExt;
use planaria_bus::{EventBus, Hint, InProcessBus, open};
use planaria_runtime::BusSettings;

use crate::server::Server;
use crate::{PATIENCE, condition, gap, news};

/// One bus, as two processes see it.
struct Ends {
    here: Arc<dyn EventBus>,
    there: Arc<dyn EventBus>,
    /// Ends with the case.
    _server: Option<Server>,
}

/// Queues of eight hints, so that a slow subscriber is soon too slow.
const QUEUE_MAX: usize = 8;

fn in_process() -> Ends {
    let settings = BusSettings { queue_max: QUEUE_MAX, ..BusSettings::default() };
    let bus = InProcessBus::new(&settings);
    Ends { here: Arc::new(bus.clone()), there: Arc::new(bus), _server: None }
}

async fn redis() -> Ends {
    #[expect(clippy::disallowed_methods, reason = "where the tests are told of a server")]
    let given = std::env::var("PLANARIA_TEST_REDIS_URL").ok().filter(|url| !url.is_empty());
    let server = given.is_none().then(Server::start);
    let mut settings = match (&server, given) {
        (Some(server), _) => server.settings(),
        (None, url) => BusSettings { url: url.unwrap_or_default(), ..BusSettings::default() },
    };
    // Other tests may use the same server.
    settings.prefix = format!("test-{:016x}", fastrand::u64(..));
    settings.claim_ms = 400;
    let there = open(&BusSettings { queue_max: QUEUE_MAX, ..settings.clone() }).expect("a bus");
    let here = open(&settings).expect("a bus");
    condition(&here, planaria_bus::Condition::is_up).await;
    Ends { here, there, _server: server }
}

macro_rules! conformance {
    ($($case:ident)*) => {
        mod in_process {
            $(#[tokio::test] async fn $case() { super::$case(super::in_process()).await; })*
        }
        mod redis {
            $(#[tokio::test] async fn $case() { super::$case(super::redis().await).await; })*
        }
    };
}

conformance! {
    every_subscriber_gets_every_hint_of_its_topics_in_order
    a_subscription_begins_when_it_says_so
    bodies_are_bytes_and_have_a_limit
    a_slow_subscriber_misses_hints_is_told_and_holds_up_nobody
    a_hint_of_a_group_goes_to_one_consumer
    what_a_consumer_did_not_deal_with_goes_to_another
    every_group_gets_every_hint
}

async fn every_subscriber_gets_every_hint_of_its_topics_in_order(ends: Ends) {
    let mut one = ends.there.subscribe(&["orders"]);
    let mut both = ends.there.subscribe(&["orders", "returns"]);
    let mut local = ends.here.subscribe(&["orders"]);
    for subscription in [&mut one, &mut both, &mut local] {
        gap(subscription).await;
    }
    for number in 0..5_u8 {
        ends.here.publish("orders", Bytes::from(vec![number]));
    }
    ends.here.publish("returns", Bytes::from_static(b"back"));
    ends.here.publish("elsewhere", Bytes::from_static(b"unheard"));
    for subscription in [&mut one, &mut both, &mut local] {
        for number in 0..5_u8 {
            let (topic, body, _) = news(subscription).await;
            assert_eq!((topic.as_str(), &body[..]), ("orders", &[number][..]));
        }
    }
    assert_eq!(news(&mut both).await.0, "returns");
    assert_eq!(one.next().now_or_never(), None, "nothing of other topics");
}

async fn a_subscription_begins_when_it_says_so(ends: Ends) {
    let mut early = ends.there.subscribe(&["orders"]);
    gap(&mut early).await;
    ends.here.publish("orders", Bytes::from_static(b"before"));
    assert_eq!(news(&mut early).await.1, "before");
    let mut late = ends.there.subscribe(&["orders"]);
    gap(&mut late).await;
    ends.here.publish("orders", Bytes::from_static(b"after"));
    assert_eq!(news(&mut late).await, ("orders".into(), "after".into(), 0));
}

async fn bodies_are_bytes_and_have_a_limit(ends: Ends) {
    let mut subscription = ends.there.subscribe(&["orders"]);
    gap(&mut subscription).await;
    let bytes = Bytes::from_iter(0..=u8::MAX);
    ends.here.publish("orders", Bytes::new());
    ends.here.publish("orders", bytes.clone());
    ends.here.publish("orders", vec![0; BusSettings::default().body_bytes_max + 1].into());
    assert_eq!(news(&mut subscription).await.1, "");
    assert_eq!(news(&mut subscription).await.1, bytes);
    // Too large is lost, and the subscriber is told to look.
    gap(&mut subscription).await;
    assert_eq!(ends.here.counters().dropped.get(), 1);
}

async fn a_slow_subscriber_misses_hints_is_told_and_holds_up_nobody(ends: Ends) {
    const HINTS: usize = 64;
    let mut slow = ends.there.subscribe(&["orders"]);
    let mut quick = ends.there.subscribe(&["orders"]);
    gap(&mut slow).await;
    gap(&mut quick).await;
    for number in 0..HINTS {
        ends.here.publish("orders", number.to_string().into());
        assert_eq!(news(&mut quick).await.1, number.to_string());
    }
    let missed = || ends.there.counters().missed.get() >= (HINTS - QUEUE_MAX) as u64;
    tokio::time::timeout(PATIENCE, async {
        while !missed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the slow one's queue is full");
    assert_eq!(slow.next().await, Some(Hint::Gap), "it is told first");
    for number in 0..QUEUE_MAX {
        assert_eq!(news(&mut slow).await.1, number.to_string());
    }
    ends.here.publish("orders", Bytes::from_static(b"then"));
    assert_eq!(news(&mut slow).await, ("orders".into(), "then".into(), 0));
}

async fn a_hint_of_a_group_goes_to_one_consumer(ends: Ends) {
    let mut first = ends.there.subscribe_group("orders", "packers", "first");
    let mut second = ends.here.subscribe_group("orders", "packers", "second");
    gap(&mut first).await;
    gap(&mut second).await;
    let mut got = Vec::new();
    for number in 0..20_u32 {
        ends.here.publish("orders", number.to_string().into());
        let body = tokio::select! {
            (_, body, _) = news(&mut first) => body,
            (_, body, _) = news(&mut second) => body,
        };
        got.push(body);
    }
    let wanted: Vec<_> = (0..20_u32).map(|number| Bytes::from(number.to_string())).collect();
    assert_eq!(got, wanted, "each once");
}

async fn what_a_consumer_did_not_deal_with_goes_to_another(ends: Ends) {
    let mut dying = ends.there.subscribe_group("orders", "packers", "dying");
    gap(&mut dying).await;
    ends.here.publish("orders", Bytes::from_static(b"dealt with"));
    ends.here.publish("orders", Bytes::from_static(b"dropped"));
    assert_eq!(news(&mut dying).await.1, "dealt with");
    assert_eq!(news(&mut dying).await.1, "dropped");
    drop(dying);
    let mut heir = ends.here.subscribe_group("orders", "packers", "heir");
    assert_eq!(news(&mut heir).await.1, "dropped");
    ends.here.publish("orders", Bytes::from_static(b"new"));
    assert_eq!(news(&mut heir).await.1, "new");
}

async fn every_group_gets_every_hint(ends: Ends) {
    let mut packers = ends.there.subscribe_group("orders", "packers", "one");
    let mut payers = ends.there.subscribe_group("orders", "payers", "one");
    let mut watcher = ends.there.subscribe(&["orders"]);
    for subscription in [&mut packers, &mut payers, &mut watcher] {
        gap(subscription).await;
    }
    ends.here.publish("orders", Bytes::from_static(b"all"));
    for subscription in [&mut packers, &mut payers, &mut watcher] {
        assert_eq!(news(subscription).await.1, "all");
    }
}
