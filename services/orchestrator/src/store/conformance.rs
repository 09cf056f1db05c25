//! What every store promises, one function each. Every adapter runs all of them.

use std::sync::Arc;

use bytes::Bytes;
use planaria_kernel::workflow::{FrameId, Timer};
use planaria_proto::types::v1::{Healing, Phase, Signal};
use prost::Message;
use uuid::Uuid;

use super::{
    DefinitionKey, DefinitionRow, PhaseChange, Position, RecordWrite, SessionRow, StepWrite,
    StoreError, Subject, TaskKey, TaskRow, TaskState, TimerKey, WorkflowFilter, WorkflowRow,
    WorkflowStore, Write,
};

pub(super) fn row(phase: Phase) -> WorkflowRow {
    let (namespace, name, version) = ("test".to_owned(), "d".to_owned(), "1.0.0".to_owned());
    WorkflowRow {
        id: Uuid::now_v7(),
        definition: DefinitionKey { namespace, name, version },
        phase,
        started_at_ms: 1_000,
        ended_at_ms: None,
        idempotency_key: None,
        start_digest: None,
        fault: None,
    }
}

pub(super) fn step(workflow: Uuid) -> StepWrite {
    StepWrite {
        workflow,
        created: None,
        phase: None,
        record: None,
        cleared: false,
        tasks: Vec::new(),
        timers: Vec::new(),
        listeners: Vec::new(),
        healings: Vec::new(),
    }
}

pub(super) fn record(first_seq: u64, body: &'static str) -> Option<RecordWrite> {
    let definition = Arc::new(row(Phase::Running).definition);
    let body = Bytes::from_static(body.as_bytes());
    Some(RecordWrite { first_seq, at_ms: 5, topics: 2, definition, body })
}

fn phase(phase: Phase, ended_at_ms: Option<u64>) -> PhaseChange {
    PhaseChange { phase, ended_at_ms, fault: None, started_at_ms: None }
}

pub(super) fn created(row: &WorkflowRow) -> StepWrite {
    StepWrite { created: Some(row.clone()), record: record(1, "first"), ..step(row.id) }
}

pub(super) fn write(step: StepWrite) -> Write {
    Write::Step(Box::new(step))
}

pub(super) fn task(workflow: Uuid, frame: u32, state: TaskState) -> TaskRow {
    TaskRow {
        key: TaskKey { workflow, frame: FrameId(frame) },
        state,
        queue: "default".to_owned(),
        function: "echo".to_owned(),
        version: Some("1.0.0".to_owned()),
        labels: Some("{\"a\":\"b\"}".to_owned()),
        priority: -3,
        attempt: 4,
        failures: 2,
        losses: 1,
        lost_workers: vec!["w1".to_owned(), "w2".to_owned()],
        session: Some(Uuid::from_u128(9)),
        since_ms: 77,
        latest_start_ms: 88,
        checkpoint: Some(Bytes::from_static(b"[1]")),
        healing: Some("h".to_owned()),
        namespace: "test".to_owned(),
        destination: Some("example.org:80".to_owned()),
        limit_values: TaskRow::limit_values_of(Some(r#"{"/customer":"ann"}"#)).expect("values"),
    }
}

fn session(worker: &str, incarnation: &str) -> SessionRow {
    SessionRow {
        id: Uuid::now_v7(),
        worker_id: worker.to_owned(),
        incarnation: incarnation.to_owned(),
        announcement: Bytes::from_static(b"\x00\xff"),
        lease_until_ms: 1_000,
        is_lent: false,
    }
}

async fn entry_count(store: &dyn WorkflowStore) -> usize {
    store.log_entries(Position::default(), u32::MAX, 10_000).await.expect("read").0.len()
}

pub(super) async fn commits_are_all_or_nothing(store: &dyn WorkflowStore) {
    let (good, twice) = (row(Phase::Running), row(Phase::Running));
    store.commit(&[write(created(&twice))]).await.expect("committed");
    let before = entry_count(store).await;
    let mut whole = created(&good);
    whole.tasks.push((FrameId(2), Some(task(good.id, 2, TaskState::Queued))));
    whole.timers.push(((FrameId(3), Timer::Wait), Some(1)));
    whole.listeners.push((FrameId(4), Some("t".to_owned())));
    let session = session("all-or-nothing", "1");
    let healing = Healing { id: "all-or-nothing".to_owned(), ..Healing::default() };
    let writes = [
        write(whole),
        Write::SessionOpened(session),
        Write::Healing(Box::new(healing)),
        write(created(&twice)),
    ];
    let outcome = store.commit(&writes).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert_eq!(store.workflow_row(good.id).await.expect("read"), None);
    assert!(store.tasks_of(&[good.id]).await.expect("read").is_empty());
    assert!(store.timers_before(u64::MAX >> 1, 100).await.expect("read").is_empty());
    assert!(store.listeners().await.expect("read").is_empty());
    assert!(store.sessions().await.expect("read").is_empty());
    assert!(store.open_healings().await.expect("read").is_empty());
    assert_eq!(entry_count(store).await, before);
    store.commit(&writes[..3]).await.expect("without the culprit it is committed");
    assert_eq!(store.workflow_row(good.id).await.expect("read"), Some(good));
}

pub(super) async fn the_fence_lets_one_of_two_steps_through(store: &dyn WorkflowStore) {
    let row = row(Phase::Running);
    store.commit(&[write(created(&row))]).await.expect("committed");
    let second = StepWrite { record: record(2, "second"), ..step(row.id) };
    store.commit(&[write(second.clone())]).await.expect("committed");
    let late = StepWrite {
        record: record(2, "late"),
        phase: Some(phase(Phase::Completed, Some(9))),
        tasks: vec![(FrameId(2), Some(task(row.id, 2, TaskState::Queued)))],
        ..step(row.id)
    };
    let outcome = store.commit(&[write(late)]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    let stored = store.workflow(row.id).await.expect("read").expect("there");
    assert_eq!(stored.row, row);
    assert_eq!(stored.records, ["first", "second"]);
    assert!(stored.tasks.is_empty());
    // Another workflow may have the same number.
    let other = super::conformance::row(Phase::Running);
    let mut other_step = created(&other);
    other_step.record = record(2, "other");
    store.commit(&[write(other_step)]).await.expect("committed");
}

pub(super) async fn the_last_word_on_a_row_counts(store: &dyn WorkflowStore) {
    let row = row(Phase::Running);
    let mut first = created(&row);
    first.phase = Some(phase(Phase::Running, None));
    first.tasks = vec![
        (FrameId(1), Some(task(row.id, 1, TaskState::Queued))),
        (FrameId(2), Some(task(row.id, 2, TaskState::Queued))),
        (FrameId(3), None),
    ];
    first.timers = vec![
        ((FrameId(1), Timer::Wait), Some(10)),
        ((FrameId(2), Timer::Wait), Some(20)),
        ((FrameId(2), Timer::Timeout), Some(21)),
    ];
    first.listeners = vec![(FrameId(1), Some("a".to_owned())), (FrameId(2), Some("b".to_owned()))];
    let claimed = task(row.id, 1, TaskState::Running);
    let second = StepWrite {
        record: record(2, "second"),
        phase: Some(phase(Phase::Waiting, None)),
        tasks: vec![(FrameId(2), None), (FrameId(3), Some(task(row.id, 3, TaskState::RetryWait)))],
        timers: vec![((FrameId(1), Timer::Wait), Some(11)), ((FrameId(2), Timer::Wait), None)],
        listeners: vec![(FrameId(1), None), (FrameId(2), Some("c".to_owned()))],
        ..step(row.id)
    };
    let writes = [write(first), Write::Task(Box::new(claimed.clone())), write(second)];
    store.commit(&writes).await.expect("committed");
    let stored = store.workflow(row.id).await.expect("read").expect("there");
    assert_eq!(stored.row.phase, Phase::Waiting);
    assert_eq!(stored.tasks, [claimed, task(row.id, 3, TaskState::RetryWait)]);
    let timer = |frame, timer| TimerKey {
        task: TaskKey { workflow: row.id, frame: FrameId(frame) },
        timer,
    };
    let timers = store.timers_before(1_000, 100).await.expect("read");
    assert_eq!(timers, [(timer(1, Timer::Wait), 11), (timer(2, Timer::Timeout), 21)]);
    let listeners = store.listeners().await.expect("read");
    assert_eq!(listeners, [(timer(2, Timer::Wait).task, "c".to_owned())]);
}

pub(super) async fn a_cleared_workflow_has_only_what_comes_after(store: &dyn WorkflowStore) {
    let (row, neighbour) = (row(Phase::Running), row(Phase::Running));
    let mut rows = Vec::new();
    for row in [&row, &neighbour] {
        let mut full = created(row);
        full.tasks = vec![(FrameId(1), Some(task(row.id, 1, TaskState::Queued)))];
        full.timers = vec![((FrameId(1), Timer::Wait), Some(10))];
        full.listeners = vec![(FrameId(1), Some("a".to_owned()))];
        rows.push(write(full));
    }
    store.commit(&rows).await.expect("committed");
    let mut before = step(row.id);
    before.tasks = vec![(FrameId(2), Some(task(row.id, 2, TaskState::Queued)))];
    let mut cleared = StepWrite { cleared: true, record: record(2, "b"), ..step(row.id) };
    cleared.tasks = vec![(FrameId(3), Some(task(row.id, 3, TaskState::Queued)))];
    cleared.timers = vec![((FrameId(3), Timer::Wait), Some(30))];
    store.commit(&[write(before), write(cleared)]).await.expect("committed");
    let tasks = store.tasks_of(&[row.id]).await.expect("read");
    assert_eq!(tasks, [task(row.id, 3, TaskState::Queued)]);
    let timers = store.timers_before(1_000, 100).await.expect("read");
    assert_eq!(timers.iter().map(|(_, due)| *due).collect::<Vec<_>>(), [10, 30]);
    let listeners = store.listeners().await.expect("read");
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0].0.workflow, neighbour.id);
    assert_eq!(store.tasks_of(&[neighbour.id]).await.expect("read").len(), 1);
}

pub(super) async fn the_log_is_gapless_in_commit_order(store: &dyn WorkflowStore) {
    let log = store.log();
    let mut expected = Vec::new();
    for _ in 0..5 {
        // 41 entries: a batch is cut into statements of several sizes.
        let rows: Vec<WorkflowRow> = (0..41).map(|_| row(Phase::Running)).collect();
        let writes: Vec<Write> = rows.iter().map(|row| write(created(row))).collect();
        let made = store.commit(&writes).await.expect("committed");
        assert_eq!(made.len(), 41);
        expected.extend(rows.iter().map(|row| row.id));
        // A failure leaves no gap.
        assert!(store.commit(&writes).await.is_err());
        let end = store.log_end().await.expect("read");
        assert_eq!(end, Position { log, seq: expected.len() as u64 });
    }
    let mut after = Position::default();
    let mut found = Vec::new();
    loop {
        let (entries, last) = store.log_entries(after, u32::MAX, 7).await.expect("read");
        if entries.is_empty() {
            assert_eq!(last, after);
            break;
        }
        for entry in entries {
            assert_eq!(entry.position, Position { log, seq: found.len() as u64 + 1 });
            let Subject::Workflow { id, first_seq: 1 } = entry.subject else {
                panic!("{entry:?}");
            };
            found.push(id);
        }
        after = last;
    }
    assert_eq!(found, expected);
    let (entries, last) = store.log_entries(Position::default(), 4, 7).await.expect("read");
    assert_eq!((entries.len(), last), (0, Position { log, seq: 7 }), "no entry of that topic");
}

pub(super) async fn records_are_read_behind_a_number(store: &dyn WorkflowStore) {
    let row = row(Phase::Running);
    store.commit(&[write(created(&row))]).await.expect("committed");
    // Records of 3, 1 and 4 events behind the first.
    for (first_seq, body) in [(2, "2-4"), (5, "5"), (6, "6-9")] {
        let step = StepWrite { record: record(first_seq, body), ..step(row.id) };
        store.commit(&[write(step)]).await.expect("committed");
    }
    let all = ["first", "2-4", "5", "6-9"];
    for (after, from) in [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2), (5, 3), (8, 3), (u64::MAX, 3)] {
        let records = store.records(row.id, after, u32::MAX).await.expect("read");
        assert_eq!(records, all[from..], "behind {after}");
    }
    let page = store.records(row.id, 1, 2).await.expect("read");
    assert_eq!(page, ["2-4", "5"]);
    assert!(store.records(Uuid::now_v7(), 0, 9).await.expect("read").is_empty());
}

pub(super) async fn sessions_come_and_go(store: &dyn WorkflowStore) {
    let (first, second, other) = (session("w", "1"), session("w", "2"), session("v", "1"));
    let opened = [Write::SessionOpened(first.clone()), Write::SessionOpened(other.clone())];
    store.commit(&opened).await.expect("committed");
    let ended = |session: &SessionRow| Write::SessionEnded {
        id: session.id,
        worker_id: session.worker_id.clone(),
        detail: "gone".to_owned(),
        signal: Signal::StreamLost,
        at_ms: 7,
        is_lent: false,
    };
    let renewed = Write::Renewed { ids: vec![other.id, first.id], until_ms: 2_000 };
    let writes = [ended(&first), Write::SessionOpened(second.clone()), renewed];
    let entries = store.commit(&writes).await.expect("committed");
    assert_eq!(entries.len(), 2, "renewals are no news");
    assert!(entries.iter().all(|entry| entry.subject == Subject::Session));
    let mut found = store.sessions().await.expect("read");
    found.sort_by(|left, right| left.worker_id.cmp(&right.worker_id));
    assert_eq!(found, [SessionRow { lease_until_ms: 2_000, ..other.clone() }, second.clone()]);
    let brief = session("brief", "1");
    let writes =
        [Write::SessionOpened(brief.clone()), ended(&brief), ended(&other), ended(&second)];
    store.commit(&writes).await.expect("committed");
    assert!(store.sessions().await.expect("read").is_empty());
}

pub(super) async fn healings_are_open_until_they_are_healed(store: &dyn WorkflowStore) {
    let healing = Healing { id: "a".to_owned(), summary: "lost".to_owned(), ..Healing::default() };
    let healed = Healing {
        healed_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        ..healing.clone()
    };
    store.commit(&[Write::Healing(Box::new(healing.clone()))]).await.expect("committed");
    let open = store.open_healings().await.expect("read");
    assert_eq!(open, [healing.encode_to_vec()]);
    let both = [Write::Healing(Box::new(healing)), Write::Healing(Box::new(healed))];
    assert_eq!(store.commit(&both).await.expect("committed").len(), 2, "both are told");
    assert!(store.open_healings().await.expect("read").is_empty());
}

pub(super) async fn an_idempotency_key_is_unique(store: &dyn WorkflowStore) {
    let with_key = |key: &str| WorkflowRow {
        idempotency_key: Some(key.to_owned()),
        start_digest: Some(vec![0, 255]),
        ..row(Phase::Running)
    };
    let (first, second) = (with_key("k"), with_key("k"));
    store.commit(&[write(created(&first))]).await.expect("committed");
    let outcome = store.commit(&[write(created(&second))]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert_eq!(store.workflow_by_key("k").await.expect("read"), Some(first));
    assert_eq!(store.workflow_by_key("K").await.expect("read"), None);
    assert_eq!(store.workflow_row(second.id).await.expect("read"), None);
    let keyless = [write(created(&row(Phase::Running))), write(created(&row(Phase::Running)))];
    store.commit(&keyless).await.expect("no key is no key twice");
}

pub(super) async fn definitions_are_put_once(store: &dyn WorkflowStore) {
    let definition = |name: &str, version: &str, source: &'static str| DefinitionRow {
        key: DefinitionKey {
            namespace: "n".to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        },
        source: Bytes::from_static(source.as_bytes()),
        digest: "d".to_owned(),
        published_at_ms: 5,
    };
    let all = [definition("a", "1", "x"), definition("a", "2", "y"), definition("b", "1", "z")];
    for row in &all {
        assert!(store.put_definition(row).await.expect("put"));
    }
    assert!(!store.put_definition(&definition("a", "1", "other")).await.expect("refused"));
    assert_eq!(store.definition(&all[0].key).await.expect("read"), Some(all[0].clone()));
    let key = DefinitionKey { version: "3".to_owned(), ..all[0].key.clone() };
    assert_eq!(store.definition(&key).await.expect("read"), None);
    let keys = async |namespace, name| {
        let mut keys = store.definition_keys(namespace, name).await.expect("read");
        keys.sort();
        keys
    };
    let all = all.map(|row| row.key);
    assert_eq!(keys(Some("n"), Some("a")).await, all[..2]);
    assert_eq!(keys(None, None).await, all);
    assert!(keys(Some("m"), None).await.is_empty());
}

pub(super) async fn lists_are_filtered_and_paged(store: &dyn WorkflowStore) {
    let mut rows = Vec::new();
    for number in 0..6_u64 {
        let mut row = row(if number % 2 == 0 { Phase::Running } else { Phase::Completed });
        row.started_at_ms = number * 100;
        row.definition.name = format!("d{}", number / 3);
        rows.push(row);
    }
    let mut writes: Vec<Write> = rows.iter().map(|row| write(created(row))).collect();
    let mut retrying = step(rows[2].id);
    retrying.tasks = vec![(FrameId(1), Some(task(rows[2].id, 1, TaskState::RetryWait)))];
    let mut queued = step(rows[4].id);
    queued.tasks = vec![(FrameId(1), Some(task(rows[4].id, 1, TaskState::Queued)))];
    writes.extend([write(retrying), write(queued)]);
    store.commit(&writes).await.expect("committed");
    let all = WorkflowFilter { limit: 100, ..WorkflowFilter::default() };
    let beyond = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let cases: Vec<(WorkflowFilter, &[usize])> = vec![
        (all.clone(), &[5, 4, 3, 2, 1, 0]),
        (WorkflowFilter { phases: vec![Phase::Completed], ..all.clone() }, &[5, 3, 1]),
        (
            WorkflowFilter { phases: vec![Phase::Completed, Phase::Running], ..all.clone() },
            &[5, 4, 3, 2, 1, 0],
        ),
        (WorkflowFilter { name: Some("d1".to_owned()), ..all.clone() }, &[5, 4, 3]),
        (WorkflowFilter { version: Some("9".to_owned()), ..all.clone() }, &[]),
        (WorkflowFilter { started_after_ms: Some(400), ..all.clone() }, &[5, 4]),
        (WorkflowFilter { started_before_ms: Some(200), ..all.clone() }, &[1, 0]),
        (WorkflowFilter { started_after_ms: Some(u64::MAX), ..all.clone() }, &[]),
        (WorkflowFilter { started_before_ms: Some(u64::MAX), ..all.clone() }, &[5, 4, 3, 2, 1, 0]),
        (WorkflowFilter { retrying: true, ..all.clone() }, &[2]),
        (WorkflowFilter { waiting_beyond: beyond(&[]), ..all.clone() }, &[4]),
        (WorkflowFilter { waiting_beyond: beyond(&["echo"]), ..all.clone() }, &[]),
        (WorkflowFilter { before: Some(rows[3].id), limit: 2, ..all }, &[2, 1]),
    ];
    for (filter, expected) in cases {
        let found = store.workflows(&filter).await.expect("read");
        let found: Vec<Uuid> = found.iter().map(|row| row.id).collect();
        let expected: Vec<Uuid> = expected.iter().map(|&position| rows[position].id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    assert_eq!(store.phase_counts().await.expect("read"), [(Phase::Running, 3)]);
}

/// Workflows in every phase that have what belongs there, and in some phases what does not.
pub(super) async fn bad_states_are_found_and_good_ones_are_not(store: &dyn WorkflowStore) {
    let session = session("w", "1");
    let mut writes = vec![Write::SessionOpened(session.clone())];
    let mut make = |phase: Phase, fill: &dyn Fn(&mut StepWrite)| {
        let row = row(phase);
        let mut step = created(&row);
        fill(&mut step);
        writes.push(write(step));
        row.id
    };
    let with_task = |state: TaskState, session: Option<Uuid>, since_ms: u64| {
        move |step: &mut StepWrite| {
            let row = TaskRow { session, since_ms, ..task(step.workflow, 1, state) };
            step.tasks.push((FrameId(1), Some(row)));
        }
    };
    let with_timer = |due_ms: u64| {
        move |step: &mut StepWrite| step.timers.push(((FrameId(1), Timer::Wait), Some(due_ms)))
    };
    let with_listener =
        |step: &mut StepWrite| step.listeners.push((FrameId(1), Some(String::new())));
    let held = Some(session.id);

    let quiet = [make(Phase::Running, &|_| {}), make(Phase::Waiting, &|_| {})];
    for phase in [Phase::Suspended, Phase::Completed, Phase::Cancelled, Phase::Faulted] {
        make(phase, &|_| {});
    }
    make(Phase::Running, &with_task(TaskState::Running, held, 0));
    make(Phase::Waiting, &with_task(TaskState::RetryWait, None, 0));
    make(Phase::Waiting, &with_listener);
    make(Phase::Waiting, &with_timer(500));
    let orphans = [
        make(Phase::Running, &with_task(TaskState::Running, Some(Uuid::from_u128(7)), 0)),
        make(Phase::Running, &with_task(TaskState::Running, None, 0)),
    ];
    let queued = make(Phase::Running, &with_task(TaskState::Queued, None, 99));
    make(Phase::Running, &with_task(TaskState::Queued, None, 100));
    make(Phase::Suspended, &with_task(TaskState::Queued, None, 0));
    let overdue = make(Phase::Waiting, &with_timer(99));
    make(Phase::Waiting, &with_timer(100));
    make(Phase::Suspended, &with_timer(0));
    let leftovers = [
        make(Phase::Completed, &with_task(TaskState::Queued, None, 0)),
        make(Phase::Cancelled, &with_timer(0)),
        make(Phase::Faulted, &with_listener),
    ];
    store.commit(&writes).await.expect("committed");

    let sorted = |mut ids: Vec<Uuid>| {
        ids.sort();
        ids
    };
    assert_eq!(store.quiet_workflows(Uuid::nil(), 100).await.expect("read"), quiet);
    assert_eq!(store.quiet_workflows(quiet[0], 100).await.expect("read"), quiet[1..]);
    let found = store.orphans(100).await.expect("read");
    assert_eq!(sorted(found.iter().map(|row| row.key.workflow).collect()), orphans);
    let found = store.queued_before(100, 100).await.expect("read");
    assert_eq!(found.iter().map(|row| row.key.workflow).collect::<Vec<_>>(), [queued]);
    let found = store.overdue_timers(100, 100).await.expect("read");
    assert_eq!(found.iter().map(|key| key.task.workflow).collect::<Vec<_>>(), [overdue]);
    assert_eq!(sorted(store.leftovers(100).await.expect("read")), leftovers);
    let faulted = store.faulted(Uuid::nil(), 100).await.expect("read");
    assert_eq!(faulted.len(), 2);
    assert!(faulted[0].id < faulted[1].id);
    assert_eq!(store.faulted(faulted[0].id, 100).await.expect("read"), faulted[1..]);
}

pub(super) async fn tasks_are_paged_in_key_order(store: &dyn WorkflowStore) {
    let mut expected = Vec::new();
    let mut writes = Vec::new();
    for _ in 0..4 {
        let row = row(Phase::Running);
        let mut step = created(&row);
        for frame in [3, 1, 2] {
            let task = task(row.id, frame, TaskState::Queued);
            step.tasks.push((FrameId(frame), Some(task.clone())));
            expected.push(task);
        }
        writes.push(write(step));
    }
    store.commit(&writes).await.expect("committed");
    expected.sort_by_key(|row| row.key);
    let mut found: Vec<TaskRow> = Vec::new();
    while found.len() < expected.len() {
        let after = found.last().map(|row| row.key);
        let page = store.tasks(after, 5).await.expect("read");
        assert!(!page.is_empty(), "{found:?}");
        found.extend(page);
    }
    assert_eq!(found, expected);
}
