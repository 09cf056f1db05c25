//! What every store promises, one function each. Every adapter runs all of them.

use planaria_log_tail::LogCursor;
use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::types::v1::Healing;
use prost_types::{Duration, Timestamp};

use super::{Filter, MonitoringStore, Resolution, Retained, Step, Stretch};
use crate::harvest::{Harvest, NamespaceHealing, Place};
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};

/// The beginning of an hour (Unix seconds).
const HOUR: u64 = 1_699_999_200;
const LONG_MS: u64 = 600_000;

fn at(seq: u64) -> LogCursor {
    LogCursor::behind(LogPosition { log: 1, seq })
}

fn step<'a>(holder: &'a str, from: &'a LogCursor, to: &'a LogCursor) -> Step<'a> {
    Step { holder, lease_ms: LONG_MS, from, to }
}

fn healing(id: &str, detected_at_ms: u64, healed_after_ms: Option<i32>) -> NamespaceHealing {
    let time = |at_ms: u64| Timestamp {
        seconds: i64::try_from(at_ms / 1_000).unwrap(),
        nanos: i32::try_from(at_ms % 1_000).unwrap() * 1_000_000,
    };
    let healing = Healing {
        id: id.into(),
        incident: format!("incident-of-{id}"),
        workflow_id: format!("workflow-of-{id}"),
        detected_at: Some(time(detected_at_ms)),
        detected_after: Some(Duration { seconds: 0, nanos: 20_000_000 }),
        healed_at: healed_after_ms.map(|_| time(detected_at_ms)),
        healed_after: healed_after_ms.map(|ms| Duration { seconds: 0, nanos: ms * 1_000_000 }),
        ..Healing::default()
    };
    NamespaceHealing { namespace: format!("namespace-of-{id}"), healing }
}

fn healings(healings: Vec<NamespaceHealing>) -> Harvest {
    Harvest { healings, ..Harvest::default() }
}

fn counted(values: &[(Metric, &str, u64, u64)]) -> Harvest {
    let mut harvest = Harvest::default();
    for &(metric, namespace, minute_s, value) in values {
        let place = Place { metric, namespace: namespace.to_owned(), minute_s };
        harvest.values.insert(place, value);
    }
    harvest
}

fn stretch(resolution: Resolution, begins_s: std::ops::Range<u64>, namespace: &str) -> Stretch {
    Stretch { resolution, begins_s, namespace: namespace.to_owned() }
}

fn ids(healings: &[Healing]) -> Vec<&str> {
    healings.iter().map(|healing| healing.id.as_str()).collect()
}

/// One replica writes; another one takes over when the lease ends, and the first cannot write on.
pub(crate) async fn one_holder_writes(store: &impl MonitoringStore) {
    let start = LogCursor::default();
    assert_eq!(store.take("a", LONG_MS).await.unwrap(), Some(start.clone()));
    assert_eq!(store.take("b", LONG_MS).await.unwrap(), None);
    let one = counted(&[(Metric::Retries, "", HOUR, 1)]);
    assert!(store.save(step("b", &start, &at(1)), &one).await.unwrap().is_none());
    assert!(store.save(step("a", &start, &at(1)), &one).await.unwrap().is_some());
    store.release("b").await.unwrap();
    assert_eq!(store.take("b", LONG_MS).await.unwrap(), None, "it had nothing to release");
    // The lease of a ends at once.
    assert_eq!(store.take("a", 0).await.unwrap(), Some(at(1)));
    assert_eq!(store.take("b", LONG_MS).await.unwrap(), Some(at(1)));
    assert!(store.save(step("a", &at(1), &at(2)), &one).await.unwrap().is_none());
    assert!(store.save(step("b", &at(1), &at(2)), &one).await.unwrap().is_some());
    store.release("b").await.unwrap();
    assert_eq!(store.take("c", LONG_MS).await.unwrap(), Some(at(2)));
    let all = stretch(Resolution::Minutes, 0..u64::MAX >> 1, "");
    assert_eq!(store.values(Metric::Retries, &all).await.unwrap(), [(HOUR, 2)]);
}

/// A step whose fate was not known is not counted twice.
pub(crate) async fn a_step_is_made_once(store: &impl MonitoringStore) {
    store.take("a", LONG_MS).await.unwrap();
    let one = counted(&[(Metric::Retries, "", HOUR, 1)]);
    let start = LogCursor::default();
    assert!(store.save(step("a", &start, &at(7)), &one).await.unwrap().is_some());
    assert!(store.save(step("a", &start, &at(7)), &one).await.unwrap().is_none());
    assert_eq!(store.take("a", LONG_MS).await.unwrap(), Some(at(7)));
    let all = stretch(Resolution::Hours, 0..u64::MAX >> 1, "");
    assert_eq!(store.values(Metric::Retries, &all).await.unwrap(), [(HOUR, 1)]);
}

/// Sums add up, levels rise, spreads merge; by minute and by hour, by namespace and over all.
pub(crate) async fn series_are_kept(store: &impl MonitoringStore) {
    store.take("a", LONG_MS).await.unwrap();
    let (completed, queued) = (Metric::WorkflowsCompleted, Metric::TasksQueued);
    let spread = |minute_s: u64, namespace: &str, span_ms: u64| {
        let mut histogram = Histogram::default();
        histogram.add(span_ms);
        let metric = Spread::WorkflowLatency;
        (Place { metric, namespace: namespace.to_owned(), minute_s }, histogram)
    };
    let mut cursor = LogCursor::default();
    for (seq, value) in [(1, 3), (2, 2)] {
        let mut harvest = counted(&[
            (completed, "a", HOUR, value),
            (completed, "b", HOUR, value * 10),
            (completed, "a", HOUR + 120, value),
            (queued, "", HOUR, value),
        ]);
        harvest.spreads.extend([spread(HOUR, "a", 5 * seq), spread(HOUR, "b", 7)]);
        harvest.spreads.extend([spread(HOUR + 60, "a", 9)]);
        store.save(step("a", &cursor, &at(seq)), &harvest).await.unwrap().unwrap();
        cursor = at(seq);
    }
    let minutes = |namespace| stretch(Resolution::Minutes, HOUR..HOUR + 3_600, namespace);
    let all = store.values(completed, &minutes("")).await.unwrap();
    assert_eq!(all, [(HOUR, 55), (HOUR + 120, 5)]);
    assert_eq!(store.values(completed, &minutes("b")).await.unwrap(), [(HOUR, 50)]);
    assert_eq!(store.values(queued, &minutes("")).await.unwrap(), [(HOUR, 3)]);
    let early = stretch(Resolution::Minutes, HOUR - 60..HOUR, "");
    assert!(store.values(completed, &early).await.unwrap().is_empty());
    let hours = stretch(Resolution::Hours, HOUR..HOUR + 1, "a");
    assert_eq!(store.values(completed, &hours).await.unwrap(), [(HOUR, 10)]);
    let latency = store.spreads(Spread::WorkflowLatency, &minutes("a")).await.unwrap();
    let counts: Vec<_> = latency.iter().map(|(at_s, spread)| (*at_s, spread.count())).collect();
    assert_eq!(counts, [(HOUR, 2), (HOUR + 60, 2)]);
    assert_eq!(latency[0].1.quantile(1_000), Some(10));
    let latency = store.spreads(Spread::WorkflowLatency, &hours).await.unwrap();
    assert_eq!(latency[0].1.count(), 4);
}

/// A healing is told twice and kept once; what is healed stays so; changes are numbered.
pub(crate) async fn healings_are_kept(store: &impl MonitoringStore) {
    store.take("a", LONG_MS).await.unwrap();
    let begin = store.last_change().await.unwrap();
    let told = healings(vec![healing("h1", 1_000, None), healing("h2", 2_000, None)]);
    let start = LogCursor::default();
    let healed = store.save(step("a", &start, &at(1)), &told).await.unwrap().unwrap();
    assert!(healed.is_empty());
    let middle = store.last_change().await.unwrap();
    let told = healings(vec![healing("h1", 1_000, Some(80))]);
    let healed = store.save(step("a", &at(1), &at(2)), &told).await.unwrap().unwrap();
    assert_eq!(ids(&healed), ["h1"]);
    // As when the log is read again.
    let told = healings(vec![healing("h1", 1_000, None), healing("h1", 1_000, Some(90))]);
    let healed = store.save(step("a", &at(2), &at(3)), &told).await.unwrap().unwrap();
    assert!(healed.is_empty());

    let recent = store.recent(0).await.unwrap();
    assert_eq!((recent.count, recent.open, recent.healed_after_ms), (2, 1, vec![80]));
    assert_eq!(store.recent(1_500).await.unwrap().count, 1);
    let changed = async |change| {
        let changed = store.changed_after(change, 10).await.unwrap();
        changed.into_iter().map(|(_, healing)| healing.id).collect::<Vec<_>>()
    };
    assert_eq!(changed(begin).await, ["h2", "h1"]);
    assert_eq!(changed(middle).await, ["h1"]);
    let last = store.last_change().await.unwrap();
    assert!(changed(last).await.is_empty());
}

/// Changes come as wholes, however few are asked for.
pub(crate) async fn changes_are_not_torn(store: &impl MonitoringStore) {
    store.take("a", LONG_MS).await.unwrap();
    let start = LogCursor::default();
    let many = (0..5).map(|number| healing(&format!("h{number}"), number, None)).collect();
    store.save(step("a", &start, &at(1)), &healings(many)).await.unwrap().unwrap();
    let next = healings(vec![healing("later", 9, None)]);
    store.save(step("a", &at(1), &at(2)), &next).await.unwrap().unwrap();
    let first = store.changed_after(0, 2).await.unwrap();
    assert_eq!(first.len(), 5);
    let rest = store.changed_after(first[4].0, 2).await.unwrap();
    assert_eq!(rest.len(), 1);
}

/// Lists are newest first, by page and filter.
pub(crate) async fn healings_are_listed(store: &impl MonitoringStore) {
    store.take("a", LONG_MS).await.unwrap();
    // Two at the same time: the id decides.
    let times = [1_000, 2_000, 2_000, 3_000];
    let told = times.iter().enumerate();
    let told = told.map(|(number, at_ms)| healing(&format!("h{number}"), *at_ms, Some(1)));
    let start = LogCursor::default();
    store.save(step("a", &start, &at(1)), &healings(told.collect())).await.unwrap().unwrap();
    let first = store.list(&Filter::default(), 2).await.unwrap();
    assert_eq!(ids(&first), ["h3", "h2"]);
    let before = Some((2_000, "h2".to_owned()));
    let rest = store.list(&Filter { before, ..Filter::default() }, 9).await.unwrap();
    assert_eq!(ids(&rest), ["h1", "h0"]);
    for filter in [
        Filter { workflow: "workflow-of-h2".into(), ..Filter::default() },
        Filter { incident: "incident-of-h2".into(), ..Filter::default() },
        Filter { namespace: "namespace-of-h2".into(), ..Filter::default() },
    ] {
        assert_eq!(ids(&store.list(&filter, 9).await.unwrap()), ["h2"]);
    }
}

/// What is old goes, a batch at a time.
pub(crate) async fn what_is_old_goes(store: &impl MonitoringStore) {
    store.take("a", LONG_MS).await.unwrap();
    let mut harvest = counted(&[
        (Metric::Retries, "", HOUR, 1),
        (Metric::Retries, "", HOUR + 60, 1),
        (Metric::Retries, "", HOUR + 7_200, 1),
    ]);
    harvest.healings =
        (0..6).map(|number| healing(&format!("h{number}"), number * 1_000, None)).collect();
    let start = LogCursor::default();
    store.save(step("a", &start, &at(1)), &harvest).await.unwrap().unwrap();
    let retained = Retained {
        healings_from_ms: 2_000,
        healings_max: 3,
        minutes_from_s: HOUR + 60,
        hours_from_s: HOUR + 3_600,
        batch_max: 1,
    };
    let mut rounds = 0;
    while store.clear(&retained).await.unwrap() > 0 {
        rounds += 1;
    }
    assert!(rounds > 1, "a batch is small");
    let left = store.list(&Filter::default(), 9).await.unwrap();
    assert_eq!(ids(&left), ["h5", "h4", "h3"]);
    let begins = async |resolution| {
        let all = stretch(resolution, 0..u64::MAX >> 1, "");
        let values = store.values(Metric::Retries, &all).await.unwrap();
        values.into_iter().map(|(at_s, _)| at_s).collect::<Vec<_>>()
    };
    assert_eq!(begins(Resolution::Minutes).await, [HOUR + 60, HOUR + 7_200]);
    assert_eq!(begins(Resolution::Hours).await, [HOUR + 7_200]);
}
