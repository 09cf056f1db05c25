use std::collections::{BTreeMap, BTreeSet};

use planaria_proto::workflow::v1::task_started::{Call, Detail};
use planaria_proto::workflow::v1::{
    AttemptAbandoned, Execution, HistoryEvent, RetryStarted, WorkflowCancelled, WorkflowCompleted,
    WorkflowRetried, WorkflowStarted,
};
use planaria_telemetry::TraceId;

use super::*;

const ID: &str = "0199a9f0-0000-7000-8000-000000000001";

fn trace() -> WorkflowTrace {
    WorkflowTrace { trace: TraceId::new(7), parent: Some(SpanId::new(9)) }
}

/// A record for each event, a second apart.
fn history(events: Vec<Event>) -> Vec<HistoryRecord> {
    let record = |(seq, event): (u64, Event)| HistoryRecord {
        first_seq: seq,
        at: Some(convert::timestamp(seq * 1_000)),
        events: vec![HistoryEvent { seq: 0, at: None, event: Some(event) }],
        ..HistoryRecord::default()
    };
    (1..).zip(events).map(record).collect()
}

fn tell(events: Vec<Event>) -> Vec<Span> {
    let mut story = Story::new(ID, "order", trace());
    let mut told = Vec::new();
    history(events).iter().for_each(|record| story.record(record, &mut told));
    told
}

/// Every span has a parent that was told too, but the workflow's own, which is the caller's.
fn is_one_tree(spans: &[Span]) {
    let ids: BTreeSet<SpanId> = spans.iter().map(|span| span.place.span).collect();
    assert_eq!(ids.len(), spans.len(), "each is told once: {spans:#?}");
    let outside = |span: &&Span| span.parent.is_none_or(|parent| !ids.contains(&parent));
    let roots: Vec<&Span> = spans.iter().filter(outside).collect();
    assert_eq!(roots.len(), 1, "{spans:#?}");
    assert_eq!((roots[0].name.as_ref(), roots[0].parent), ("workflow", trace().parent));
    assert!(spans.iter().flat_map(|span| &span.links).all(|link| ids.contains(link)));
}

fn find<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn task(frame: u32, parent: u32, task: &str) -> Event {
    let detail = (frame > 1).then(|| Detail::Call(Call::default()));
    let task = task.to_owned();
    Event::TaskStarted(TaskStarted { frame, parent, task, detail, ..TaskStarted::default() })
}

fn execution(attempt: u32, started_s: u64) -> Option<Execution> {
    Some(Execution {
        attempt,
        worker_id: format!("w{attempt}"),
        started_at: Some(convert::timestamp(started_s * 1_000)),
        ..Execution::default()
    })
}

fn lost(frame: u32, attempt: u32, started_s: u64) -> Event {
    let signal_at = Some(convert::timestamp(started_s * 1_000 + 500));
    let execution = execution(attempt, started_s);
    Event::AttemptLost(AttemptLost { frame, execution, signal_at, ..AttemptLost::default() })
}

fn failed(frame: u32, attempt: u32, started_s: u64) -> Event {
    let execution = execution(attempt, started_s);
    Event::AttemptFailed(AttemptFailed { frame, execution, ..AttemptFailed::default() })
}

fn completed(frame: u32, execution: Option<Execution>) -> Event {
    Event::TaskCompleted(TaskCompleted { frame, execution, ..TaskCompleted::default() })
}

fn started() -> Vec<Event> {
    let start = Event::WorkflowStarted(WorkflowStarted::default());
    vec![start, task(1, 0, "/do"), task(2, 1, "/do/0/charge")]
}

fn with(more: Vec<Event>) -> Vec<Event> {
    started().into_iter().chain(more).collect()
}

fn end() -> Event {
    Event::WorkflowCompleted(WorkflowCompleted::default())
}

#[test]
fn a_healed_workflow_is_one_tree_with_both_attempts_and_the_healing() {
    let spans =
        tell(with(vec![lost(2, 1, 3), completed(2, execution(2, 6)), completed(1, None), end()]));
    is_one_tree(&spans);
    let [charge] = find(&spans, "charge")[..] else { panic!("{spans:#?}") };
    let [first, second] = find(&spans, "attempt")[..] else { panic!("{spans:#?}") };
    let [healing] = find(&spans, "healing")[..] else { panic!("{spans:#?}") };
    for inside in [first, second, healing] {
        assert_eq!(inside.parent, Some(charge.place.span));
    }
    assert!(first.error.as_deref().is_some_and(|error| error.starts_with("lost")));
    assert_eq!(second.links, [first.place.span]);
    assert_eq!(healing.links, [first.place.span]);
    // From the first sign to the next attempt.
    assert_eq!((healing.start_ns, healing.end_ns), (3_500_000_000, 6_000_000_000));
    assert_eq!(first.place.span, WorkflowSpans::new(ID).attempt(2, 1));
    assert!(spans.iter().all(|span| span.place.trace == trace().trace));
}

#[test]
fn a_retried_task_links_its_attempts_and_a_caught_error_ends_what_is_inside() {
    let spans = tell(with(vec![
        failed(2, 1, 3),
        failed(2, 2, 5),
        Event::ErrorCaught(ErrorCaught { frame: 1, retry_at: None, ..ErrorCaught::default() }),
        Event::RetryStarted(RetryStarted { frame: 1 }),
        completed(1, None),
        end(),
    ]));
    is_one_tree(&spans);
    let attempts = find(&spans, "attempt");
    assert_eq!(attempts[1].links, [attempts[0].place.span]);
    let charge = find(&spans, "charge")[0];
    assert_eq!(charge.end_ns, 6_000_000_000, "nobody waits for it once the error is caught");
    let events: Vec<_> = find(&spans, "do")[0].events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["error caught", "its body runs again"]);
}

#[test]
fn a_workflow_that_goes_on_after_its_fault_stays_in_its_tree() {
    let fault = Event::WorkflowFaulted(WorkflowFaulted { frame: 2, ..WorkflowFaulted::default() });
    let spans = tell(with(vec![
        failed(2, 1, 3),
        Event::TaskFaulted(TaskFaulted { frame: 2, error: None }),
        fault,
        Event::WorkflowRetried(WorkflowRetried::default()),
        task(2, 1, "/do/0/charge"),
        completed(2, execution(3, 8)),
        completed(1, None),
        end(),
    ]));
    is_one_tree(&spans);
    let (first, again) = (find(&spans, "workflow")[0], find(&spans, "workflow, resumed")[0]);
    assert_eq!(again.parent, Some(first.place.span));
    assert!(first.error.is_some() && again.error.is_none());
    let runs: BTreeMap<u64, Option<SpanId>> =
        find(&spans, "do").iter().map(|span| (span.start_ns, span.parent)).collect();
    let parents: Vec<_> = runs.into_values().collect();
    assert_eq!(parents, [Some(first.place.span), Some(again.place.span)]);
}

#[test]
fn an_attempt_that_is_given_up_with_its_task_has_a_span_for_what_its_worker_tells() {
    let cancelled = WorkflowCancelled { reason: "enough".into() };
    let mut records = history(with(vec![failed(2, 1, 3), Event::WorkflowCancelled(cancelled)]));
    let last = records.last_mut().expect("there are some");
    last.abandoned.push(AttemptAbandoned { frame: 2, execution: execution(2, 4) });
    let mut spans = Vec::new();
    let mut story = Story::new(ID, "order", trace());
    records.iter().for_each(|record| story.record(record, &mut spans));
    is_one_tree(&spans);
    let [_, given_up] = find(&spans, "attempt")[..] else { panic!("{spans:#?}") };
    assert_eq!(given_up.place.span, WorkflowSpans::new(ID).attempt(2, 2));
    assert_eq!((given_up.start_ns, given_up.end_ns), (4_000_000_000, 5_000_000_000));
}

#[test]
fn what_is_told_again_is_told_as_the_same_spans_and_what_was_taken_in_is_passed_over() {
    let events =
        with(vec![lost(2, 1, 3), completed(2, execution(2, 6)), completed(1, None), end()]);
    let records = history(events.clone());
    let all = tell(events);
    for cut in 0..records.len() {
        let mut story = Story::new(ID, "order", trace());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        records[..cut].iter().for_each(|record| story.record(record, &mut before));
        // As after a restart: the past is taken in again, and some of it comes twice.
        let mut story = Story::new(ID, "order", trace());
        records[..cut].iter().for_each(|record| story.record(record, &mut Vec::new()));
        records.iter().for_each(|record| story.record(record, &mut after));
        before.append(&mut after);
        assert_eq!(before, all, "cut before record {cut}");
        assert!(story.is_over());
    }
}
