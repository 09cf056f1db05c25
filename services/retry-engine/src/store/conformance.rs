//! What every store promises to whoever uses the port.

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::retry::v1::{DeadLetterCause, DeadLetterState};
use planaria_proto::types::v1::{DefinitionReference, WorkflowError};

use super::RetryStore;
use crate::records::{Change, Fault, Retry, RetryKey};

const POSITION: LogPosition = LogPosition { log: 1, seq: 7 };

struct Scene<'a> {
    store: &'a dyn RetryStore,
}

fn retry(workflow: &str, attempt: u32, due_at_ms: u64, give_up_reason: &str) -> Change {
    Change::Decided(Retry {
        key: RetryKey { workflow: workflow.into(), frame: 4, attempt },
        function: "charge-card".into(),
        failure: attempt,
        attempts_max: 10,
        error: WorkflowError { status: 402, ..WorkflowError::default() },
        created_at_ms: due_at_ms,
        due_at_ms,
        give_up_reason: give_up_reason.into(),
    })
}

fn fault(workflow: &str, frame: Option<u32>, at_ms: u64) -> Fault {
    Fault {
        workflow: workflow.into(),
        definition: DefinitionReference::default(),
        frame,
        task: "/do/0/charge".into(),
        error: WorkflowError::default(),
        at_ms,
    }
}

impl Scene<'_> {
    async fn record(&self, changes: &[Change]) {
        self.store.record(changes, POSITION).await.unwrap();
    }

    async fn listed(&self, state: DeadLetterState) -> Vec<(String, DeadLetterCause)> {
        let letters = self.store.dead_letters(state, "", None, 100).await.unwrap();
        letters.into_iter().map(|letter| (letter.id, letter.cause)).collect()
    }
}

pub(crate) async fn a_decision_is_kept_once_and_an_older_one_never_replaces_it(store: &dyn RetryStore) {
    let scene = Scene { store };
    assert_eq!(scene.store.position().await.unwrap(), None);
    assert_eq!(scene.store.next_due_ms().await.unwrap(), None);
    let (first, second) = (retry("w", 1, 100, ""), retry("w", 2, 50, ""));
    scene.record(&[first.clone(), second.clone(), first, second.clone()]).await;
    assert_eq!(scene.store.position().await.unwrap(), Some(POSITION));
    assert_eq!(scene.store.next_due_ms().await.unwrap(), Some(50));
    assert!(scene.store.due(49, 10).await.unwrap().is_empty());
    let due = scene.store.due(50, 10).await.unwrap();
    assert_eq!(due.iter().cloned().map(Change::Decided).collect::<Vec<_>>(), [second]);

    // What was handed over is an attempt, not a task: a newer decision stays.
    let handed_over = RetryKey { attempt: 1, ..due[0].key.clone() };
    scene.store.remove(&[handed_over]).await.unwrap();
    assert_eq!(scene.store.counts().await.unwrap(), (1, 0));
    scene.store.remove(&[due[0].key.clone()]).await.unwrap();
    assert_eq!(scene.store.counts().await.unwrap(), (0, 0));
    assert!(!scene.store.reschedule(&due[0].key, 1).await.unwrap());
}

pub(crate) async fn the_cause_of_a_dead_letter_is_what_was_decided_about_its_task(store: &dyn RetryStore) {
    let scene = Scene { store };
    scene
        .record(&[
            retry("exhausted", 3, 10, "EXHAUSTED"),
            retry("hopeless", 1, 10, "NOT_RETRYABLE"),
            retry("elsewhere", 1, 10, "EXHAUSTED"),
            Change::Faulted(fault("exhausted", Some(4), 100)),
            Change::Faulted(fault("elsewhere", Some(5), 102)),
        ])
        .await;
    // The reconciler does not know the frame.
    scene.store.write_dead_letter(&fault("hopeless", None, 101)).await.unwrap();
    let expected = [
        ("elsewhere.102".to_owned(), DeadLetterCause::Uncaught),
        ("hopeless.101".to_owned(), DeadLetterCause::NotRetryable),
        ("exhausted.100".to_owned(), DeadLetterCause::Exhausted),
    ];
    assert_eq!(scene.listed(DeadLetterState::Open).await, expected);
    let newest = scene.store.dead_letters(DeadLetterState::Open, "", None, 1).await.unwrap();
    let before = Some((newest[0].created_at_ms, newest[0].id.clone()));
    let rest = scene.store.dead_letters(DeadLetterState::Open, "", before, 9).await.unwrap();
    assert_eq!(rest.len(), 2);
}

pub(crate) async fn the_same_fault_is_one_dead_letter_and_late_news_settle_no_newer_one(store: &dyn RetryStore) {
    let scene = Scene { store };
    let went_on = |at_ms, redriven| Change::WentOn { workflow: "w".into(), redriven, at_ms };
    // The reconciler saw the second fault; the log still tells of the first.
    scene.store.write_dead_letter(&fault("w", None, 300)).await.unwrap();
    scene.record(&[went_on(200, false)]).await;
    assert_eq!(scene.listed(DeadLetterState::Open).await.len(), 1);
    scene.record(&[Change::Faulted(fault("w", Some(4), 300))]).await;
    assert_eq!(scene.listed(DeadLetterState::Open).await.len(), 1);
    scene.record(&[went_on(400, true)]).await;
    assert_eq!(scene.listed(DeadLetterState::Open).await, []);
    assert_eq!(scene.listed(DeadLetterState::Redriven).await.len(), 1);
    // A third fault, then the workflow is cancelled.
    scene.record(&[Change::Faulted(fault("w", Some(4), 500)), retry("w", 1, 1, "")]).await;
    scene.record(&[Change::Over { workflow: "w".into(), at_ms: 600 }]).await;
    assert_eq!(scene.listed(DeadLetterState::Resolved).await.len(), 1);
    assert_eq!(scene.store.counts().await.unwrap(), (0, 0));
}

pub(crate) async fn only_settled_dead_letters_are_cleared_away(store: &dyn RetryStore) {
    let scene = Scene { store };
    for number in 0..5_u64 {
        let workflow = format!("w{number}");
        scene.record(&[Change::Faulted(fault(&workflow, None, number))]).await;
        if number > 0 {
            scene.record(&[Change::Over { workflow, at_ms: 100 + number }]).await;
        }
    }
    scene.store.clear_settled(2, 0).await.unwrap();
    let resolved = scene.listed(DeadLetterState::Resolved).await;
    let ids: Vec<_> = resolved.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["w4.4", "w3.3"]);
    scene.store.clear_settled(2, 104).await.unwrap();
    assert_eq!(scene.listed(DeadLetterState::Resolved).await.len(), 1);
    assert_eq!(scene.listed(DeadLetterState::Open).await.len(), 1);
}

pub(crate) async fn a_give_up_is_remembered_until_it_was_handed_over_and_grew_old(store: &dyn RetryStore) {
    let scene = Scene { store };
    scene.record(&[retry("kept", 1, 10, "EXHAUSTED"), retry("old", 1, 10, "EXHAUSTED")]).await;
    let handed_over = RetryKey { workflow: "old".into(), frame: 4, attempt: 1 };
    scene.store.remove(&[handed_over]).await.unwrap();
    scene.store.clear_give_ups(11).await.unwrap();
    for workflow in ["kept", "old"] {
        scene.record(&[Change::Faulted(fault(workflow, Some(4), 100))]).await;
    }
    let expected = [
        ("old.100".to_owned(), DeadLetterCause::Uncaught),
        ("kept.100".to_owned(), DeadLetterCause::Exhausted),
    ];
    assert_eq!(scene.listed(DeadLetterState::Open).await, expected);
}
