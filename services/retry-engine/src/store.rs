//! The port to the store. What both databases are asked in the same words lies below it.

#[cfg(test)]
pub(crate) mod conformance;

use planaria_kernel::retry::breaker::{Breaker, BreakerEffect, BreakerEvent, BreakerPolicy};
use planaria_kernel::retry::budget::BudgetPolicy;
use planaria_proto::retry::v1::{BreakerChange, DeadLetterState, Redrive};
use tokio::sync::watch;

use crate::records::{Change, DeadLetter, Ended, Fault, Filter, Group, Retry, RetryKey, Route};

/// What was derived from a stretch of the log, and the place behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) changes: &'a [Change],
    /// In the order of the log.
    pub(crate) ended: &'a [Ended],
    pub(crate) cursor: &'a str,
}

/// How breakers and budgets decide.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    pub(crate) breaker: BreakerPolicy,
    pub(crate) budget: BudgetPolicy,
}

/// Which replica follows the log, and until when nobody else does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tenure<'a> {
    pub(crate) holder: &'a str,
    pub(crate) now_ms: u64,
    pub(crate) until_ms: u64,
}

/// Decisions that nobody else hands over for a while.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Claimed {
    /// To be handed over, the earliest due first.
    pub(crate) decided: Vec<Retry>,
    /// Put off: the budget was empty. Their due time is the new one.
    pub(crate) deferred: Vec<Retry>,
}

/// A breaker of a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BreakerRow {
    pub(crate) route: Route,
    pub(crate) breaker: Breaker,
    /// Rises with every change of any breaker's phase.
    pub(crate) revision: u64,
}

/// A redrive, and what it needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RedriveRow {
    pub(crate) redrive: Redrive,
    /// Each task's new raw input.
    pub(crate) input: Option<Vec<u8>>,
}

/// What the retry engine keeps, and the place in the log that it was derived from.
#[tonic::async_trait]
pub(crate) trait RetryStore: Send + Sync + 'static {
    /// Whether other replicas may use it too.
    fn is_shared(&self) -> bool;
    /// What is wrong with the store, in words, and every change of it; nothing if it works.
    fn trouble(&self) -> watch::Receiver<Option<String>>;

    /// Becomes the replica that follows the log, or stays it; answers the place behind what was
    /// recorded, empty for none. `None`: another one follows.
    async fn take(&self, tenure: Tenure<'_>) -> Result<Option<String>, sqlx::Error>;
    /// Lets another replica follow.
    async fn resign(&self, holder: &str) -> Result<(), sqlx::Error>;
    /// Does the changes in order, counts what ended, and moves the place, in one transaction.
    /// Answers the breakers that changed their phase; `None`: another replica follows, and nothing
    /// was recorded.
    async fn record(
        &self,
        tenure: Tenure<'_>,
        told: Told<'_>,
        rules: &Rules,
    ) -> Result<Option<Vec<BreakerChange>>, sqlx::Error>;

    /// The earliest time at which a decision is due that nobody claimed.
    async fn next_due_ms(&self) -> Result<Option<u64>, sqlx::Error>;
    /// Claims decisions that are due, the earliest first, and takes retries out of their budgets.
    /// What is claimed is claimed by nobody else before `until_ms`.
    async fn claim(
        &self,
        now_ms: u64,
        until_ms: u64,
        limit: u32,
        rules: &Rules,
    ) -> Result<Claimed, sqlx::Error>;
    /// Gives claims back, to be claimed at once; their budget is not charged again.
    async fn release(&self, keys: &[RetryKey], now_ms: u64) -> Result<(), sqlx::Error>;
    /// Removes decisions that the orchestrator has.
    async fn remove(&self, keys: &[RetryKey]) -> Result<(), sqlx::Error>;
    /// Makes a decision due at another time, out of any budget. Tells whether it was there.
    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool, sqlx::Error>;
    /// Retries that wait, the next due first.
    async fn retries(
        &self,
        namespace: &str,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<Retry>, sqlx::Error>;
    /// All decisions not handed over yet, and all open dead letters.
    async fn counts(&self) -> Result<(u64, u64), sqlx::Error>;

    /// Something happens to a breaker; answers it as it is then, with the change of its phase.
    async fn act(
        &self,
        route: &Route,
        event: BreakerEvent,
        now_ms: u64,
        rules: &Rules,
    ) -> Result<Acted, sqlx::Error>;
    /// Breakers, those that hold something back first; without `all` only those.
    async fn breakers(
        &self,
        namespace: &str,
        all: bool,
        limit: u32,
    ) -> Result<Vec<BreakerRow>, sqlx::Error>;
    /// A breaker, if there is one.
    async fn breaker(&self, route: &Route) -> Result<Option<BreakerRow>, sqlx::Error>;
    /// Breakers whose phase changed behind a revision, in the order of revisions.
    async fn breakers_after(
        &self,
        revision: u64,
        limit: u32,
    ) -> Result<Vec<BreakerRow>, sqlx::Error>;
    /// The revision of the last change.
    async fn revision(&self) -> Result<u64, sqlx::Error>;
    /// Breakers that time alone may change, and when, the earliest first.
    async fn breaker_deadlines(&self, limit: u32) -> Result<Vec<(Route, u64)>, sqlx::Error>;
    /// The last changes of phases, the newest first.
    async fn breaker_changes(
        &self,
        namespace: &str,
        limit: u32,
    ) -> Result<Vec<BreakerChange>, sqlx::Error>;

    /// Writes a dead letter that the log did not tell of.
    async fn write_dead_letter(&self, fault: &Fault) -> Result<(), sqlx::Error>;
    /// The newest first, behind `before` (creation time and id).
    async fn dead_letters(
        &self,
        state: DeadLetterState,
        filter: &Filter,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, sqlx::Error>;
    /// How many there are in a state.
    async fn dead_letter_count(
        &self,
        state: DeadLetterState,
        filter: &Filter,
    ) -> Result<u64, sqlx::Error>;
    /// By fingerprint, the largest group first.
    async fn dead_letter_groups(
        &self,
        state: DeadLetterState,
        filter: &Filter,
        limit: u32,
    ) -> Result<Vec<Group>, sqlx::Error>;
    /// One dead letter.
    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>, sqlx::Error>;
    /// Notes that a redrive of an open dead letter begins: until it is settled, nobody knows
    /// whether it was redriven.
    async fn begin_redrive(&self, id: &str, at_ms: u64) -> Result<(), sqlx::Error>;
    /// Settles a dead letter; one that the log resolved may still become redriven.
    async fn settle(&self, id: &str, state: DeadLetterState, at_ms: u64)
    -> Result<(), sqlx::Error>;
    /// Clears away settled dead letters: all but the newest `settled_max`, and those from before.
    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<(), sqlx::Error>;
    /// Forgets why tasks were given up before a time, where that was handed over.
    async fn clear_give_ups(&self, before_ms: u64) -> Result<(), sqlx::Error>;
    /// Forgets what nothing happened to since a time: losses, ended redrives, changes of breakers,
    /// breakers that let everything through, and budgets.
    async fn clear_old(&self, before_ms: u64) -> Result<(), sqlx::Error>;

    /// Starts a redrive, unless one with its id was started. Answers the one that was.
    async fn start_redrive(&self, row: &RedriveRow) -> Result<RedriveRow, sqlx::Error>;
    /// A redrive.
    async fn redrive(&self, id: &str) -> Result<Option<RedriveRow>, sqlx::Error>;
    /// Claims a running redrive that nobody works on.
    async fn claim_redrive(
        &self,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<Option<RedriveRow>, sqlx::Error>;
    /// Counts what a redrive did, keeps its claim, and ends it if `ended_at_ms` says when. Answers
    /// whether it goes on: somebody may have stopped it.
    async fn count_redrive(
        &self,
        id: &str,
        counted: &Counted,
        claimed_until_ms: u64,
    ) -> Result<bool, sqlx::Error>;
    /// Stops a running redrive.
    async fn stop_redrive(&self, id: &str, at_ms: u64) -> Result<(), sqlx::Error>;

    /// Open dead letters (workflow, id) behind a workflow, in the order of workflows.
    async fn open_after(
        &self,
        workflow: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, sqlx::Error>;
    /// Decisions behind a workflow, in the order of workflows.
    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>, sqlx::Error>;
}

/// What became of a breaker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Acted {
    pub(crate) row: BreakerRow,
    pub(crate) effect: Option<BreakerEffect>,
    pub(crate) change: Option<BreakerChange>,
}

/// What a redrive did since it was counted last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) redriven: u64,
    pub(crate) refused: u64,
    /// Why the last was refused, if one was.
    pub(crate) detail: String,
    pub(crate) ended_at_ms: Option<u64>,
}
