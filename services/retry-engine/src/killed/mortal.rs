//! A store whose replica is killed at one of its changes: what it was about to do, and everything
//! after, never happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use planaria_kernel::retry::breaker::BreakerEvent;
use planaria_proto::retry::v1::{BreakerChange, DeadLetterState};
use tokio_util::sync::CancellationToken;

use crate::records::{DeadLetter, Fault, Filter, Group, Retry, RetryKey, Route};
use crate::store::{
    Acted, BreakerRow, Claimed, Counted, RedriveRow, RetryStore, Rules, Tenure, Told,
};

/// On which side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

/// When a replica is killed, if it is.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    at: Option<(usize, When)>,
    changes: Arc<AtomicUsize>,
    met: CancellationToken,
}

impl Fate {
    pub(super) fn at(change: usize, when: When) -> Self {
        Self { at: Some((change, when)), ..Self::immortal() }
    }

    pub(super) fn immortal() -> Self {
        Self { at: None, changes: Arc::default(), met: CancellationToken::new() }
    }

    pub(super) fn is_met(&self) -> bool {
        self.met.is_cancelled()
    }

    pub(super) async fn met(&self) {
        self.met.cancelled().await;
    }

    /// Counts a change.
    fn next(&self) -> usize {
        self.changes.fetch_add(1, Ordering::AcqRel)
    }

    async fn pass(&self, change: usize, when: When) {
        if self.at == Some((change, when)) {
            self.met.cancel();
        }
        if self.is_met() {
            std::future::pending::<()>().await;
        }
    }
}

/// The store of one replica.
pub(super) struct Mortal {
    pub(super) store: Arc<dyn RetryStore>,
    pub(super) fate: Fate,
}

type Result<T> = std::result::Result<T, sqlx::Error>;

macro_rules! change {
    ($self:ident.$method:ident($($argument:expr),*)) => {{
        let change = $self.fate.next();
        $self.fate.pass(change, When::Before).await;
        let done = $self.store.$method($($argument),*).await;
        $self.fate.pass(change, When::After).await;
        done
    }};
}

macro_rules! look {
    ($self:ident.$method:ident($($argument:expr),*)) => {{
        let seen = $self.store.$method($($argument),*).await;
        // Who is killed does nothing with it.
        $self.fate.pass(usize::MAX, When::After).await;
        seen
    }};
}

#[tonic::async_trait]
impl RetryStore for Mortal {
    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn trouble(&self) -> tokio::sync::watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn take(&self, tenure: Tenure<'_>) -> Result<Option<String>> {
        change!(self.take(tenure))
    }

    async fn resign(&self, holder: &str) -> Result<()> {
        change!(self.resign(holder))
    }

    async fn record(
        &self,
        tenure: Tenure<'_>,
        told: Told<'_>,
        rules: &Rules,
    ) -> Result<Option<Vec<BreakerChange>>> {
        // A lease that is only kept is nothing to be killed at.
        if told.changes.is_empty() && told.ended.is_empty() {
            return look!(self.record(tenure, told, rules));
        }
        change!(self.record(tenure, told, rules))
    }

    async fn next_due_ms(&self) -> Result<Option<u64>> {
        look!(self.next_due_ms())
    }

    async fn claim(
        &self,
        now_ms: u64,
        until_ms: u64,
        limit: u32,
        rules: &Rules,
    ) -> Result<Claimed> {
        if self.store.next_due_ms().await?.is_none_or(|due_ms| due_ms > now_ms) {
            return look!(self.claim(now_ms, until_ms, limit, rules));
        }
        change!(self.claim(now_ms, until_ms, limit, rules))
    }

    async fn release(&self, keys: &[RetryKey], now_ms: u64) -> Result<()> {
        change!(self.release(keys, now_ms))
    }

    async fn remove(&self, keys: &[RetryKey]) -> Result<()> {
        change!(self.remove(keys))
    }

    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool> {
        change!(self.reschedule(key, due_at_ms))
    }

    async fn retries(&self, namespace: &str, workflow: &str, limit: u32) -> Result<Vec<Retry>> {
        look!(self.retries(namespace, workflow, limit))
    }

    async fn counts(&self) -> Result<(u64, u64)> {
        look!(self.counts())
    }

    async fn act(
        &self,
        route: &Route,
        event: BreakerEvent,
        now_ms: u64,
        rules: &Rules,
    ) -> Result<Acted> {
        change!(self.act(route, event, now_ms, rules))
    }

    async fn breakers(&self, namespace: &str, all: bool, limit: u32) -> Result<Vec<BreakerRow>> {
        look!(self.breakers(namespace, all, limit))
    }

    async fn breaker(&self, route: &Route) -> Result<Option<BreakerRow>> {
        look!(self.breaker(route))
    }

    async fn breakers_after(&self, revision: u64, limit: u32) -> Result<Vec<BreakerRow>> {
        look!(self.breakers_after(revision, limit))
    }

    async fn revision(&self) -> Result<u64> {
        look!(self.revision())
    }

    async fn breaker_deadlines(&self, limit: u32) -> Result<Vec<(Route, u64)>> {
        look!(self.breaker_deadlines(limit))
    }

    async fn breaker_changes(&self, namespace: &str, limit: u32) -> Result<Vec<BreakerChange>> {
        look!(self.breaker_changes(namespace, limit))
    }

    async fn write_dead_letter(&self, fault: &Fault) -> Result<()> {
        change!(self.write_dead_letter(fault))
    }

    async fn dead_letters(
        &self,
        state: DeadLetterState,
        filter: &Filter,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        look!(self.dead_letters(state, filter, before, limit))
    }

    async fn dead_letter_count(&self, state: DeadLetterState, filter: &Filter) -> Result<u64> {
        look!(self.dead_letter_count(state, filter))
    }

    async fn dead_letter_groups(
        &self,
        state: DeadLetterState,
        filter: &Filter,
        limit: u32,
    ) -> Result<Vec<Group>> {
        look!(self.dead_letter_groups(state, filter, limit))
    }

    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>> {
        look!(self.dead_letter(id))
    }

    async fn begin_redrive(&self, id: &str, at_ms: u64) -> Result<()> {
        change!(self.begin_redrive(id, at_ms))
    }

    async fn settle(&self, id: &str, state: DeadLetterState, at_ms: u64) -> Result<()> {
        change!(self.settle(id, state, at_ms))
    }

    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<()> {
        look!(self.clear_settled(settled_max, before_ms))
    }

    async fn clear_give_ups(&self, before_ms: u64) -> Result<()> {
        look!(self.clear_give_ups(before_ms))
    }

    async fn clear_old(&self, before_ms: u64) -> Result<()> {
        look!(self.clear_old(before_ms))
    }

    async fn start_redrive(&self, row: &RedriveRow) -> Result<RedriveRow> {
        change!(self.start_redrive(row))
    }

    async fn redrive(&self, id: &str) -> Result<Option<RedriveRow>> {
        look!(self.redrive(id))
    }

    async fn claim_redrive(&self, now_ms: u64, until_ms: u64) -> Result<Option<RedriveRow>> {
        change!(self.claim_redrive(now_ms, until_ms))
    }

    async fn count_redrive(
        &self,
        id: &str,
        counted: &Counted,
        claimed_until_ms: u64,
    ) -> Result<bool> {
        change!(self.count_redrive(id, counted, claimed_until_ms))
    }

    async fn stop_redrive(&self, id: &str, at_ms: u64) -> Result<()> {
        change!(self.stop_redrive(id, at_ms))
    }

    async fn open_after(&self, workflow: &str, limit: u32) -> Result<Vec<(String, String)>> {
        look!(self.open_after(workflow, limit))
    }

    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>> {
        look!(self.retries_after(workflow, limit))
    }
}
