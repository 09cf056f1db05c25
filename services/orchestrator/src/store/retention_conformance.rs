//! What every store promises of removing what is over for long. Every adapter runs all of it.

use planaria_kernel::workflow::{FrameId, Timer};
use planaria_proto::types::v1::{Healing, Phase, Signal};
use uuid::Uuid;

use super::conformance::{created, record, row, step, task, write};
use super::{
    Expiry, Position, StepWrite, StoreError, TaskState, WorkflowRow, WorkflowStore, Write,
};

/// A workflow of the ids' order `number`, started at that many milliseconds.
fn workflow(number: u128, phase: Phase, ended_at_ms: Option<u64>) -> WorkflowRow {
    let started_at_ms = u64::try_from(number).expect("small");
    WorkflowRow { id: Uuid::from_u128(number << 80), started_at_ms, ended_at_ms, ..row(phase) }
}

fn ids(rows: &[&WorkflowRow]) -> Vec<Uuid> {
    rows.iter().map(|row| row.id).collect()
}

pub(super) async fn what_is_over_for_long_is_found_and_forgotten(store: &dyn WorkflowStore) {
    let completed = workflow(1, Phase::Completed, Some(50));
    let running = workflow(2, Phase::Running, None);
    let faulted = workflow(3, Phase::Faulted, Some(15));
    let fault_of_late = workflow(4, Phase::Faulted, Some(50));
    let cancelled = workflow(5, Phase::Cancelled, Some(99));
    let ended_late = workflow(6, Phase::Completed, Some(100));
    let started_late = workflow(100, Phase::Completed, Some(101));
    let all =
        [&completed, &running, &faulted, &fault_of_late, &cancelled, &ended_late, &started_late];
    let writes: Vec<_> = all.iter().map(|row| write(created(row))).collect();
    let entries = store.commit(&writes).await.expect("committed");
    let mut left = StepWrite { record: record(2, "second"), ..step(cancelled.id) };
    left.tasks = vec![(FrameId(1), Some(task(cancelled.id, 1, TaskState::Queued)))];
    left.timers = vec![((FrameId(1), Timer::Wait), Some(10))];
    left.listeners = vec![(FrameId(1), Some("a".to_owned()))];
    store.commit(&[write(left)]).await.expect("committed");

    let ended = Expiry { over_before_ms: 100, faulted_before_ms: 20 };
    let old = ids(&[&completed, &faulted, &cancelled]);
    let found = store.expired(Uuid::nil(), ended, 100).await.expect("read");
    assert_eq!((found.ids, found.next), (old.clone(), None));
    // In pages: a page may have none.
    let mut paged = Vec::new();
    let mut after = Some(Uuid::nil());
    while let Some(place) = after {
        let found = store.expired(place, ended, 2).await.expect("read");
        paged.extend(found.ids);
        after = found.next;
    }
    assert_eq!(paged, old);

    assert_eq!(store.trimmed().await.expect("read"), Position::default());
    // One that is not over stays, whoever names it.
    store.forget(&ids(&[&completed, &running, &cancelled])).await.expect("forgotten");
    for (row, there) in all.iter().zip([false, true, true, true, false, true, true]) {
        assert_eq!(store.workflow_row(row.id).await.expect("read").is_some(), there);
        let records = store.records(row.id, 0, 9).await.expect("read");
        assert_eq!(records.len(), usize::from(there), "{row:?}");
    }
    assert!(store.tasks_of(&[cancelled.id]).await.expect("read").is_empty());
    assert!(store.timers_before(1_000, 9).await.expect("read").is_empty());
    assert!(store.listeners().await.expect("read").is_empty());
    let last = Position { seq: entries.len() as u64 + 1, ..entries[0].position };
    assert_eq!(store.trimmed().await.expect("read"), last);
    // An older one that goes later moves the mark nowhere.
    store.forget(&ids(&[&faulted])).await.expect("forgotten");
    assert_eq!(store.trimmed().await.expect("read"), last);
    let (entries, end) = store.log_entries(Position::default(), u32::MAX, 99).await.expect("read");
    assert_eq!(entries.len(), 4);
    assert_eq!(end, entries[3].position);
}

fn session_ended(at_ms: u64) -> Write {
    Write::SessionEnded {
        id: Uuid::now_v7(),
        worker_id: "w".to_owned(),
        detail: String::new(),
        signal: Signal::LeaseExpired,
        at_ms,
        is_lent: false,
    }
}

pub(super) async fn entries_of_no_workflow_are_trimmed_by_age(store: &dyn WorkflowStore) {
    let first = write(created(&row(Phase::Running)));
    let writes = [first, session_ended(1), session_ended(2), session_ended(3), session_ended(9)];
    let made = store.commit(&writes).await.expect("committed");
    assert_eq!(store.trim(9, 2).await.expect("trimmed"), 2);
    assert_eq!(store.trimmed().await.expect("read"), made[2].position);
    assert_eq!(store.trim(9, 2).await.expect("trimmed"), 1);
    assert_eq!(store.trim(9, 2).await.expect("nothing is left"), 0);
    assert_eq!(store.trimmed().await.expect("read"), made[3].position);
    let (entries, _) = store.log_entries(Position::default(), u32::MAX, 99).await.expect("read");
    let left: Vec<Position> = entries.iter().map(|entry| entry.position).collect();
    assert_eq!(left, [made[0].position, made[4].position]);
}

pub(super) async fn numbers_of_removed_entries_are_not_used_again(store: &dyn WorkflowStore) {
    let made = store.commit(&[session_ended(1), session_ended(2)]).await.expect("committed");
    assert_eq!(store.trim(9, 9).await.expect("trimmed"), 2);
    // A commit fails, so the end of the log is looked up.
    let twice = row(Phase::Running);
    let writes = [write(created(&twice)), write(created(&twice))];
    let outcome = store.commit(&writes).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    let healing = Healing { id: "h".to_owned(), ..Healing::default() };
    let next = store.commit(&[Write::Healing(Box::new(healing))]).await.expect("committed");
    assert!(next[0].position > made[1].position, "{next:?}");
    assert!(store.log_end().await.expect("read") == next[0].position);
}
