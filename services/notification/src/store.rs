//! The port to the store.

#[cfg(test)]
pub(crate) mod conformance;

use planaria_log_tail::LogCursor;
use planaria_proto::notification::v1::DeliveryState;
use tokio::sync::watch;

use crate::records::{Attempt, Delivery, Fate, NewDelivery, Webhook};
use crate::secret::Secret;

/// What whoever derives deliveries begins with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Derivation {
    /// Up to here deliveries were derived.
    pub(crate) cursor: LogCursor,
    /// Rises with every change of a webhook.
    pub(crate) version: u64,
    /// Those that are enabled.
    pub(crate) webhooks: Vec<Webhook>,
}

/// A step of the deriving replica through the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) holder: &'a str,
    /// It stays the holder for so long.
    pub(crate) lease_ms: u64,
    /// That the webhooks had which the deliveries were derived for.
    pub(crate) version: u64,
    /// The place that was saved last: a step whose fate is unknown is not made twice.
    pub(crate) from: &'a LogCursor,
    pub(crate) to: &'a LogCursor,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryFilter {
    pub(crate) webhook: String,
    pub(crate) namespace: String,
    pub(crate) state: Option<DeliveryState>,
    /// How the type begins.
    pub(crate) event_type: String,
    /// Behind this one: creation time and id.
    pub(crate) before: Option<(u64, String)>,
}

/// Which deliveries to send again.
#[derive(Debug, Clone)]
pub(crate) enum Resend {
    Ids(Vec<String>),
    /// All failed ones of this webhook.
    FailedOf(String),
}

/// What is older than this goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retained {
    /// Unix milliseconds; of pending ones too.
    pub(crate) from_ms: u64,
    /// Settled deliveries; the oldest beyond go.
    pub(crate) settled_max: u32,
    /// Rows that one statement removes.
    pub(crate) batch_max: u32,
}

/// Webhooks, their deliveries, and the place in the log that these were derived up to. One
/// replica, the holder, derives; all deliver.
#[tonic::async_trait]
pub(crate) trait WebhookStore: Send + Sync + 'static {
    /// Whether other replicas may work here.
    fn is_shared(&self) -> bool;
    /// What is wrong with the store, in words, and every change of it; nothing if it works.
    fn trouble(&self) -> watch::Receiver<Option<String>>;

    /// Adds a webhook, and begins to derive behind its place if nothing is derived yet. `false`:
    /// there are `webhooks_max` already.
    async fn create(&self, webhook: &Webhook, webhooks_max: u32) -> Result<bool, sqlx::Error>;
    async fn webhook(&self, id: &str) -> Result<Option<Webhook>, sqlx::Error>;
    /// The oldest first, behind an id.
    async fn webhooks(
        &self,
        namespace: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Webhook>, sqlx::Error>;
    /// Removes a webhook. Tells whether it was there.
    async fn delete(&self, id: &str) -> Result<bool, sqlx::Error>;
    /// Removes some deliveries of a webhook; tells how many.
    async fn delete_deliveries(&self, id: &str, limit: u32) -> Result<u64, sqlx::Error>;
    /// Enables a webhook from a place on; one that is enabled stays as it is. Tells whether it is
    /// there.
    async fn enable(&self, id: &str, behind: &LogCursor) -> Result<bool, sqlx::Error>;
    /// Disables a webhook; one that is disabled stays as it is. Tells whether it is there.
    async fn disable(&self, id: &str, because: &str) -> Result<bool, sqlx::Error>;
    /// Gives a webhook a new secret. Tells whether it is there.
    async fn rotate(
        &self,
        id: &str,
        secret: &Secret,
        former_until_ms: u64,
    ) -> Result<bool, sqlx::Error>;
    /// Deliveries of a webhook that are pending.
    async fn pending(&self, id: &str) -> Result<u64, sqlx::Error>;

    /// Becomes the holder, or stays it, for `lease_ms`. Nothing: another one holds it, or there
    /// is no enabled webhook.
    async fn take(&self, holder: &str, lease_ms: u64) -> Result<Option<Derivation>, sqlx::Error>;
    /// Adds deliveries, due at once, and moves the place, in one transaction. `false`: nothing was
    /// saved, because another one is the holder, or the place or the webhooks are others.
    async fn save(
        &self,
        step: Step<'_>,
        deliveries: &[NewDelivery],
        now_ms: u64,
    ) -> Result<bool, sqlx::Error>;
    /// Ends the lease.
    async fn release(&self, holder: &str) -> Result<(), sqlx::Error>;

    /// Enabled webhooks that deliveries are due for.
    async fn due(&self, now_ms: u64) -> Result<Vec<Webhook>, sqlx::Error>;
    /// When the next delivery is due, of those that are not due yet (Unix milliseconds).
    async fn next_due_ms(&self, now_ms: u64) -> Result<Option<u64>, sqlx::Error>;
    /// Takes due deliveries of a webhook, the earliest first: until `until_ms` nobody else gets
    /// them.
    async fn claim(
        &self,
        webhook: &str,
        now_ms: u64,
        until_ms: u64,
        limit: u32,
    ) -> Result<Vec<Delivery>, sqlx::Error>;
    /// Notes a try, unless the delivery was tried more often, or settled, meanwhile.
    async fn settle(
        &self,
        id: &str,
        attempts: u32,
        attempt: &Attempt,
        fate: Fate,
    ) -> Result<(), sqlx::Error>;
    /// Adds a delivery that whoever calls tries at once; nobody else does until `until_ms`.
    async fn add(
        &self,
        delivery: &NewDelivery,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<(), sqlx::Error>;

    /// The newest first, without their bodies.
    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: u32,
    ) -> Result<Vec<Delivery>, sqlx::Error>;
    async fn delivery(&self, id: &str) -> Result<Option<Delivery>, sqlx::Error>;
    /// Makes settled deliveries due again, with all their tries before them. Tells how many.
    async fn resend(&self, which: &Resend, now_ms: u64) -> Result<u64, sqlx::Error>;
    /// Removes a batch of what is not retained; tells how many rows went.
    async fn clear(&self, retained: &Retained) -> Result<u64, sqlx::Error>;
}
