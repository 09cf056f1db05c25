//! What every store promises to whoever uses the port.

mod breakers;
mod claims;
mod redrives;

use planaria_kernel::retry::ErrorClass;
use planaria_proto::retry::v1::dead_letter::Loss;
use planaria_proto::retry::v1::{BreakerChange, DeadLetterCause, DeadLetterState};
use planaria_proto::types::v1::{DefinitionReference, WorkflowError};

pub(crate) use breakers::*;
pub(crate) use claims::*;
pub(crate) use redrives::*;

use super::{RetryStore, Rules, Tenure, Told};
use crate::records::{Change, Ended, Fault, Filter, Retry, RetryKey, Route};

/// The tests of an adapter: each promise, with a store of its own.
macro_rules! promises {
    ($conforms:ident) => {
        $conforms! {
            a_decision_is_kept_once_and_an_older_one_never_replaces_it
            the_cause_of_a_dead_letter_is_what_was_decided_about_its_task
            the_same_fault_is_one_dead_letter_and_late_news_settle_no_newer_one
            what_is_over_is_forgotten_but_not_what_came_after_it
            only_settled_dead_letters_are_cleared_away
            a_give_up_is_remembered_until_it_was_handed_over_and_grew_old
            a_quarantined_task_keeps_the_evidence
            dead_letters_are_grouped_and_filtered
            one_replica_follows_the_log_and_nobody_else_records
            what_is_claimed_is_nobody_elses_until_its_time_is_over
            an_empty_budget_defers_and_charges_nothing_twice
            a_retry_started_by_hand_pays_no_budget
            breakers_open_and_are_the_same_when_read_again
            changes_of_breakers_have_rising_revisions_and_old_ones_are_forgotten
            probes_are_granted_once
            a_redrive_is_started_once_and_worked_on_by_one
        }
    };
}
pub(crate) use promises;

const HOLDER: &str = "this-replica";
const CURSOR: &str = "1-7";
/// Later than all that happens here.
const FAR: u64 = 10_000_000;

struct Scene<'a> {
    store: &'a dyn RetryStore,
}

fn route(function: &str) -> Route {
    Route { namespace: "shop".into(), function: function.into(), destination: String::new() }
}

fn retry(workflow: &str, attempt: u32, due_at_ms: u64, give_up_reason: &str) -> Change {
    Change::Decided(Box::new(Retry {
        key: RetryKey { workflow: workflow.into(), frame: 4, attempt },
        route: route("charge-card"),
        class: ErrorClass::Timeout,
        failure: attempt,
        attempts_max: 10,
        error: WorkflowError { status: 402, ..WorkflowError::default() },
        created_at_ms: due_at_ms,
        due_at_ms,
        give_up_reason: give_up_reason.into(),
        deferrals: 0,
    }))
}

fn fault(workflow: &str, frame: Option<u32>, at_ms: u64) -> Fault {
    Fault {
        workflow: workflow.into(),
        definition: DefinitionReference { namespace: "shop".into(), ..Default::default() },
        frame,
        task: "/do/0/charge".into(),
        error: WorkflowError::default(),
        at_ms,
    }
}

fn faulted(fault: Fault) -> Change {
    Change::Faulted(Box::new(fault))
}

const fn tenure(holder: &str) -> Tenure<'_> {
    Tenure { holder, now_ms: 0, until_ms: FAR }
}

impl Scene<'_> {
    async fn record(&self, changes: &[Change]) {
        self.tell(changes, &[]).await;
    }

    async fn tell(&self, changes: &[Change], ended: &[Ended]) -> Vec<BreakerChange> {
        self.store.take(tenure(HOLDER)).await.unwrap().unwrap();
        let told = Told { changes, ended, cursor: CURSOR };
        self.store.record(tenure(HOLDER), told, &Rules::default()).await.unwrap().unwrap()
    }

    async fn claim(&self, now_ms: u64) -> Vec<Retry> {
        let claimed = self.store.claim(now_ms, FAR, 10, &Rules::default()).await.unwrap();
        assert!(claimed.deferred.is_empty(), "{claimed:?}");
        claimed.decided
    }

    async fn listed(&self, state: DeadLetterState) -> Vec<(String, DeadLetterCause)> {
        let all = Filter::default();
        let letters = self.store.dead_letters(state, &all, None, 100).await.unwrap();
        letters.into_iter().map(|letter| (letter.id, letter.cause)).collect()
    }
}

pub(crate) async fn a_decision_is_kept_once_and_an_older_one_never_replaces_it(
    store: &dyn RetryStore,
) {
    let scene = Scene { store };
    assert_eq!(store.take(tenure(HOLDER)).await.unwrap().as_deref(), Some(""));
    assert_eq!(scene.store.next_due_ms().await.unwrap(), None);
    let (first, second) = (retry("w", 1, 100, ""), retry("w", 2, 50, ""));
    scene.record(&[first.clone(), second.clone(), first, second.clone()]).await;
    assert_eq!(store.take(tenure(HOLDER)).await.unwrap().as_deref(), Some(CURSOR));
    assert_eq!(scene.store.next_due_ms().await.unwrap(), Some(50));
    assert!(scene.claim(49).await.is_empty());
    let due = scene.claim(50).await;
    let same: Vec<_> = due.iter().cloned().map(|due| Change::Decided(Box::new(due))).collect();
    assert_eq!(same, [second]);

    // What was handed over is an attempt, not a task: a newer decision stays.
    let handed_over = RetryKey { attempt: 1, ..due[0].key.clone() };
    scene.store.remove(&[handed_over]).await.unwrap();
    assert_eq!(scene.store.counts().await.unwrap(), (1, 0));
    scene.store.remove(&[due[0].key.clone()]).await.unwrap();
    assert_eq!(scene.store.counts().await.unwrap(), (0, 0));
    assert!(!scene.store.reschedule(&due[0].key, 1).await.unwrap());
}

pub(crate) async fn the_cause_of_a_dead_letter_is_what_was_decided_about_its_task(
    store: &dyn RetryStore,
) {
    let scene = Scene { store };
    scene
        .record(&[
            retry("exhausted", 3, 10, "EXHAUSTED"),
            retry("hopeless", 1, 10, "NOT_RETRYABLE"),
            retry("elsewhere", 1, 10, "EXHAUSTED"),
            faulted(fault("exhausted", Some(4), 100)),
            faulted(fault("elsewhere", Some(5), 102)),
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
    let newest =
        scene.store.dead_letters(DeadLetterState::Open, &Filter::default(), None, 1).await.unwrap();
    let before = Some((newest[0].created_at_ms, newest[0].id.clone()));
    let rest = scene
        .store
        .dead_letters(DeadLetterState::Open, &Filter::default(), before, 9)
        .await
        .unwrap();
    assert_eq!(rest.len(), 2);
}

pub(crate) async fn the_same_fault_is_one_dead_letter_and_late_news_settle_no_newer_one(
    store: &dyn RetryStore,
) {
    let scene = Scene { store };
    let went_on = |at_ms, redriven| Change::WentOn { workflow: "w".into(), redriven, at_ms };
    // The reconciler saw the second fault; the log still tells of the first.
    scene.store.write_dead_letter(&fault("w", None, 300)).await.unwrap();
    scene.record(&[went_on(200, false)]).await;
    assert_eq!(scene.listed(DeadLetterState::Open).await.len(), 1);
    scene.record(&[faulted(fault("w", Some(4), 300))]).await;
    assert_eq!(scene.listed(DeadLetterState::Open).await.len(), 1);
    scene.record(&[went_on(400, true)]).await;
    assert_eq!(scene.listed(DeadLetterState::Open).await, []);
    assert_eq!(scene.listed(DeadLetterState::Redriven).await.len(), 1);
    // A third fault, then the workflow is cancelled.
    scene.record(&[faulted(fault("w", Some(4), 500)), retry("w", 1, 1, "")]).await;
    scene.record(&[Change::Over { workflow: "w".into(), at_ms: 600 }]).await;
    assert_eq!(scene.listed(DeadLetterState::Resolved).await.len(), 1);
    assert_eq!(scene.store.counts().await.unwrap(), (0, 0));
}

pub(crate) async fn what_is_over_is_forgotten_but_not_what_came_after_it(store: &dyn RetryStore) {
    let scene = Scene { store };
    let over = |workflow: &str, at_ms| Change::Over { workflow: workflow.into(), at_ms };
    scene.record(&[retry("early", 1, 10, ""), faulted(fault("given-up", Some(4), 20))]).await;
    let mut changes = vec![retry("again", 1, 10, "EXHAUSTED"), retry("late", 1, 10, "")];
    // Nothing is known of most.
    changes.extend((0..600).map(|number| over(&format!("unknown-{number}"), 30)));
    changes.extend(["early", "again", "late", "given-up"].map(|workflow| over(workflow, 30)));
    // It was started again from one of its tasks, which failed.
    changes.extend([retry("again", 2, 40, ""), faulted(fault("given-up", Some(4), 50))]);
    scene.record(&changes).await;
    let due = scene.claim(50).await;
    let keys: Vec<_> = due.iter().map(|retry| retry.key.to_string()).collect();
    assert_eq!(keys, ["again.4.2"]);
    let ids = |letters: Vec<(String, _)>| letters.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(scene.listed(DeadLetterState::Resolved).await), ["given-up.20"]);
    assert_eq!(ids(scene.listed(DeadLetterState::Open).await), ["given-up.50"]);
}

pub(crate) async fn only_settled_dead_letters_are_cleared_away(store: &dyn RetryStore) {
    let scene = Scene { store };
    for number in 0..5_u64 {
        let workflow = format!("w{number}");
        scene.record(&[faulted(fault(&workflow, None, number))]).await;
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

pub(crate) async fn a_give_up_is_remembered_until_it_was_handed_over_and_grew_old(
    store: &dyn RetryStore,
) {
    let scene = Scene { store };
    scene.record(&[retry("kept", 1, 10, "EXHAUSTED"), retry("old", 1, 10, "EXHAUSTED")]).await;
    let handed_over = RetryKey { workflow: "old".into(), frame: 4, attempt: 1 };
    scene.store.remove(&[handed_over]).await.unwrap();
    scene.store.clear_give_ups(11).await.unwrap();
    for workflow in ["kept", "old"] {
        scene.record(&[faulted(fault(workflow, Some(4), 100))]).await;
    }
    let expected = [
        ("old.100".to_owned(), DeadLetterCause::Uncaught),
        ("kept.100".to_owned(), DeadLetterCause::Exhausted),
    ];
    assert_eq!(scene.listed(DeadLetterState::Open).await, expected);
}

pub(crate) async fn a_quarantined_task_keeps_the_evidence(store: &dyn RetryStore) {
    let scene = Scene { store };
    let loss = |attempt, worker: &str| Loss {
        worker_id: worker.into(),
        attempt,
        detail: "no heartbeat for 2 s".into(),
        ..Loss::default()
    };
    let lost = |workflow: &str, attempt, worker, at_ms| Change::Lost {
        workflow: workflow.into(),
        frame: 4,
        function: "charge-card".into(),
        loss: Box::new(loss(attempt, worker)),
        at_ms,
    };
    let mut poison = fault("w", Some(4), 100);
    poison.error.r#type = planaria_kernel::workflow::ErrorObject::QUARANTINED.into();
    let losses = [lost("w", 2, "b", 20), lost("w", 1, "a", 10), lost("other", 1, "c", 5)];
    scene.record(&losses).await;
    // The log tells the last loss after the reconciler saw the fault, and one of them twice.
    scene.store.write_dead_letter(&Fault { frame: None, ..poison.clone() }).await.unwrap();
    scene.record(&[lost("w", 1, "a", 10), lost("w", 3, "a", 30), faulted(poison)]).await;
    let letter = scene.store.dead_letter("w.100").await.unwrap().unwrap();
    assert_eq!(letter.cause, DeadLetterCause::Quarantined);
    assert_eq!(letter.function, "charge-card");
    assert_eq!(letter.losses, [loss(1, "a"), loss(2, "b"), loss(3, "a")]);
    // Those of a workflow that ran on are no evidence for ever.
    scene.store.clear_old(6).await.unwrap();
    scene.record(&[faulted(fault("other", Some(4), 100))]).await;
    let letter = scene.store.dead_letter("other.100").await.unwrap().unwrap();
    assert_eq!(letter.losses, []);
}

pub(crate) async fn dead_letters_are_grouped_and_filtered(store: &dyn RetryStore) {
    let scene = Scene { store };
    for number in 0..5_u64 {
        let mut fault = fault(&format!("w{number}"), Some(4), 100 + number);
        let definition = if number < 2 { "order" } else { "refund" };
        fault.definition.name = definition.into();
        fault.error.detail = match number {
            4 => "the shop is closed".into(),
            number => format!("card {number} declined"),
        };
        let give_up = retry(&fault.workflow, 1, 50, "EXHAUSTED");
        scene.record(&[give_up, faulted(fault)]).await;
    }
    let open = DeadLetterState::Open;
    let groups = store.dead_letter_groups(open, &Filter::default(), 10).await.unwrap();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group.count, group.first_ms, group.last_ms, group.definitions))
        .collect();
    assert_eq!(shown, [(4, 100, 103, 2), (1, 104, 104, 1)]);
    assert_eq!(groups[0].newest.workflow, "w3");
    assert_eq!(groups[0].newest.function, "charge-card");

    let fingerprint = groups[0].newest.fingerprint.clone();
    let all = Filter::default;
    for (filter, expected) in [
        (Filter { fingerprint, ..all() }, 4),
        (Filter { definition: "order".into(), ..all() }, 2),
        (Filter { namespace: "shop".into(), function: "charge-card".into(), ..all() }, 5),
        (Filter { namespace: "other".into(), ..all() }, 0),
        (Filter { from_ms: 101, before_ms: Some(104), ..all() }, 3),
        (Filter { workflow: "w4".into(), ..all() }, 1),
        (Filter { definition_version: "9".into(), ..all() }, 0),
    ] {
        assert_eq!(store.dead_letter_count(open, &filter).await.unwrap(), expected, "{filter:?}");
        let listed = store.dead_letters(open, &filter, None, 10).await.unwrap();
        assert_eq!(listed.len() as u64, expected, "{filter:?}");
    }
}
