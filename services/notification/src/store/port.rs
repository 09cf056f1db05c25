//! The port, in the words of both databases. Compiled for each: `super` has `reading` for what
//! changes nothing, `writing` for one statement, and `all_or_none` for a transaction.

use planaria_log_tail::LogCursor;
use tokio::sync::watch;

use super::{IS_SHARED, Store, deliveries, derivation, webhooks};
use crate::records::{Attempt, Delivery, Fate, NewDelivery, Webhook};
use crate::secret::Secret;
use crate::store::{DeliveryFilter, Derivation, Resend, Retained, Step, WebhookStore};

type Result<T> = std::result::Result<T, sqlx::Error>;

#[tonic::async_trait]
impl WebhookStore for Store {
    fn is_shared(&self) -> bool {
        IS_SHARED
    }

    fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.store.trouble()
    }

    async fn create(&self, webhook: &Webhook, webhooks_max: u32) -> Result<bool> {
        all_or_none!(self, session => webhooks::create(session, webhook, webhooks_max))
    }

    async fn webhook(&self, id: &str) -> Result<Option<Webhook>> {
        reading!(self, session => webhooks::webhook(session, id))
    }

    async fn webhooks(&self, namespace: &str, after: &str, limit: u32) -> Result<Vec<Webhook>> {
        reading!(self, session => webhooks::list(session, namespace, after, limit))
    }

    async fn delete(&self, id: &str) -> Result<bool> {
        all_or_none!(self, session => webhooks::delete(session, id))
    }

    async fn delete_deliveries(&self, id: &str, limit: u32) -> Result<u64> {
        writing!(self, session => webhooks::delete_deliveries(session, id, limit))
    }

    async fn enable(&self, id: &str, behind: &LogCursor) -> Result<bool> {
        all_or_none!(self, session => webhooks::enable(session, id, behind))
    }

    async fn disable(&self, id: &str, because: &str) -> Result<bool> {
        all_or_none!(self, session => webhooks::disable(session, id, because))
    }

    async fn rotate(&self, id: &str, secret: &Secret, former_until_ms: u64) -> Result<bool> {
        all_or_none!(self, session => webhooks::rotate(session, id, secret, former_until_ms))
    }

    async fn pending(&self, id: &str) -> Result<u64> {
        reading!(self, session => webhooks::pending(session, id))
    }

    async fn take(&self, holder: &str, lease_ms: u64) -> Result<Option<Derivation>> {
        all_or_none!(self, session => derivation::take(session, holder, lease_ms))
    }

    async fn save(&self, step: Step<'_>, deliveries: &[NewDelivery], now_ms: u64) -> Result<bool> {
        all_or_none!(self, session => derivation::save(session, step, deliveries, now_ms))
    }

    async fn release(&self, holder: &str) -> Result<()> {
        writing!(self, session => derivation::release(session, holder))
    }

    async fn due(&self, now_ms: u64) -> Result<Vec<Webhook>> {
        reading!(self, session => deliveries::due(session, now_ms))
    }

    async fn next_due_ms(&self, now_ms: u64) -> Result<Option<u64>> {
        reading!(self, session => deliveries::next_due_ms(session, now_ms))
    }

    async fn claim(
        &self,
        webhook: &str,
        now_ms: u64,
        until_ms: u64,
        limit: u32,
    ) -> Result<Vec<Delivery>> {
        writing!(self, session => deliveries::claim(session, webhook, (now_ms, until_ms), limit))
    }

    async fn settle(&self, id: &str, attempts: u32, attempt: &Attempt, fate: Fate) -> Result<()> {
        writing!(self, session => deliveries::settle(session, id, attempts, attempt, fate))
    }

    async fn add(&self, delivery: &NewDelivery, now_ms: u64, until_ms: u64) -> Result<()> {
        writing!(self, session => deliveries::add(session, delivery, now_ms, until_ms))
    }

    async fn deliveries(&self, filter: &DeliveryFilter, limit: u32) -> Result<Vec<Delivery>> {
        reading!(self, session => deliveries::list(session, filter, limit))
    }

    async fn delivery(&self, id: &str) -> Result<Option<Delivery>> {
        reading!(self, session => deliveries::delivery(session, id))
    }

    async fn resend(&self, which: &Resend, now_ms: u64) -> Result<u64> {
        all_or_none!(self, session => deliveries::resend(session, which, now_ms))
    }

    async fn clear(&self, retained: &Retained) -> Result<u64> {
        all_or_none!(self, session => deliveries::clear(session, retained))
    }
}
