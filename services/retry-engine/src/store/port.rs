//! The port, in the words of both databases. Compiled for each: `super` has `reading` for what
//! changes nothing, `writing` for one statement, and `all_or_none` for a transaction.

use planaria_kernel::retry::breaker::BreakerEvent;
use planaria_proto::retry::v1::{BreakerChange, DeadLetterState, RedriveState};
use tokio::sync::watch;

use super::{IS_SHARED, Store, breakers, changes, dead_letters, redrives, retries};
use crate::records::{DeadLetter, Fault, Filter, Group, Retry, RetryKey, Route};
use crate::store::{
    Acted, BreakerRow, Claimed, Counted, RedriveRow, RetryStore, Rules, Tenure, Told,
};

type Result<T> = std::result::Result<T, sqlx::Error>;

#[tonic::async_trait]
impl RetryStore for Store {
    fn is_shared(&self) -> bool {
        IS_SHARED
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn take(&self, tenure: Tenure<'_>) -> Result<Option<String>> {
        writing!(self, session => changes::take(session, tenure, !IS_SHARED))
    }

    async fn resign(&self, holder: &str) -> Result<()> {
        writing!(self, session => changes::resign(session, holder))
    }

    async fn record(
        &self,
        tenure: Tenure<'_>,
        told: Told<'_>,
        rules: &Rules,
    ) -> Result<Option<Vec<BreakerChange>>> {
        all_or_none!(self, session => changes::record(session, tenure, told, rules))
    }

    async fn next_due_ms(&self) -> Result<Option<u64>> {
        reading!(self, session => retries::next_due_ms(session))
    }

    async fn claim(
        &self,
        now_ms: u64,
        until_ms: u64,
        limit: u32,
        rules: &Rules,
    ) -> Result<Claimed> {
        all_or_none!(self, session => retries::claim(session, (now_ms, until_ms), limit, rules))
    }

    async fn release(&self, keys: &[RetryKey], now_ms: u64) -> Result<()> {
        all_or_none!(self, session => retries::release(session, keys, now_ms))
    }

    async fn remove(&self, keys: &[RetryKey]) -> Result<()> {
        all_or_none!(self, session => retries::remove(session, keys))
    }

    async fn reschedule(&self, key: &RetryKey, due_at_ms: u64) -> Result<bool> {
        writing!(self, session => retries::reschedule(session, key, due_at_ms))
    }

    async fn retries(&self, namespace: &str, workflow: &str, limit: u32) -> Result<Vec<Retry>> {
        reading!(self, session => retries::waiting(session, (namespace, workflow), limit))
    }

    async fn counts(&self) -> Result<(u64, u64)> {
        reading!(self, session => dead_letters::counts(session))
    }

    async fn act(
        &self,
        route: &Route,
        event: BreakerEvent,
        now_ms: u64,
        rules: &Rules,
    ) -> Result<Acted> {
        all_or_none!(self, session => breakers::act(session, route, event, now_ms, rules))
    }

    async fn breakers(&self, namespace: &str, all: bool, limit: u32) -> Result<Vec<BreakerRow>> {
        reading!(self, session => breakers::list(session, namespace, all, limit))
    }

    async fn breaker(&self, route: &Route) -> Result<Option<BreakerRow>> {
        reading!(self, session => breakers::get(session, route))
    }

    async fn breakers_after(&self, revision: u64, limit: u32) -> Result<Vec<BreakerRow>> {
        reading!(self, session => breakers::after(session, revision, limit))
    }

    async fn revision(&self) -> Result<u64> {
        reading!(self, session => breakers::revision(session))
    }

    async fn breaker_deadlines(&self, limit: u32) -> Result<Vec<(Route, u64)>> {
        reading!(self, session => breakers::deadlines(session, limit))
    }

    async fn breaker_changes(&self, namespace: &str, limit: u32) -> Result<Vec<BreakerChange>> {
        reading!(self, session => breakers::changes(session, namespace, limit))
    }

    async fn write_dead_letter(&self, fault: &Fault) -> Result<()> {
        all_or_none!(self, session => dead_letters::write(session, fault))
    }

    async fn dead_letters(
        &self,
        state: DeadLetterState,
        filter: &Filter,
        before: Option<(u64, String)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>> {
        reading!(self, session => dead_letters::list(session, state, filter, before, limit))
    }

    async fn dead_letter_count(&self, state: DeadLetterState, filter: &Filter) -> Result<u64> {
        reading!(self, session => dead_letters::count(session, state, filter))
    }

    async fn dead_letter_groups(
        &self,
        state: DeadLetterState,
        filter: &Filter,
        limit: u32,
    ) -> Result<Vec<Group>> {
        reading!(self, session => dead_letters::groups(session, state, filter, limit))
    }

    async fn dead_letter(&self, id: &str) -> Result<Option<DeadLetter>> {
        reading!(self, session => dead_letters::get(session, id))
    }

    async fn begin_redrive(&self, id: &str, at_ms: u64) -> Result<()> {
        writing!(self, session => dead_letters::begin_redrive(session, id, at_ms))
    }

    async fn settle(&self, id: &str, state: DeadLetterState, at_ms: u64) -> Result<()> {
        writing!(self, session => dead_letters::settle(session, id, state, at_ms))
    }

    async fn clear_settled(&self, settled_max: u32, before_ms: u64) -> Result<()> {
        writing!(self, session => dead_letters::clear(session, settled_max, before_ms))
    }

    async fn clear_give_ups(&self, before_ms: u64) -> Result<()> {
        writing!(self, session => retries::clear_give_ups(session, before_ms))
    }

    async fn clear_old(&self, before_ms: u64) -> Result<()> {
        all_or_none!(self, session => async {
            dead_letters::clear_losses(session, before_ms).await?;
            breakers::clear(session, before_ms).await?;
            redrives::clear(session, before_ms).await
        })
    }

    async fn start_redrive(&self, row: &RedriveRow) -> Result<RedriveRow> {
        all_or_none!(self, session => redrives::start(session, row))
    }

    async fn redrive(&self, id: &str) -> Result<Option<RedriveRow>> {
        reading!(self, session => redrives::get(session, id))
    }

    async fn claim_redrive(&self, now_ms: u64, until_ms: u64) -> Result<Option<RedriveRow>> {
        writing!(self, session => redrives::claim(session, now_ms, until_ms))
    }

    async fn count_redrive(
        &self,
        id: &str,
        counted: &Counted,
        claimed_until_ms: u64,
    ) -> Result<bool> {
        all_or_none!(self, session => redrives::count(session, id, counted, claimed_until_ms))
    }

    async fn stop_redrive(&self, id: &str, at_ms: u64) -> Result<()> {
        writing!(self, session => redrives::end(session, id, RedriveState::Stopped, at_ms))
    }

    async fn open_after(&self, workflow: &str, limit: u32) -> Result<Vec<(String, String)>> {
        reading!(self, session => dead_letters::open_after(session, workflow, limit))
    }

    async fn retries_after(&self, workflow: &str, limit: u32) -> Result<Vec<Retry>> {
        reading!(self, session => retries::after(session, workflow, limit))
    }
}
