//! The section `[notification]`.

use planaria_egress::Network;
use planaria_log_tail::TailSettings;
use planaria_store::SqliteSettings;
use serde::{Deserialize, Serialize};

/// Settings of notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Open subscriptions; more are refused.
    pub subscribers_max: usize,
    /// Types that one subscription may name.
    pub types_max: usize,
    /// Events in one message.
    pub deliveries_max: usize,
    /// Messages that wait for a slow reader.
    pub unread_max: usize,
    /// Batches of the log that a slow reader may fall behind the others; then it reads the log on
    /// its own until it has caught up.
    pub shared_batches_max: usize,
    /// The log is read on for so long after the last reader left.
    pub linger_ms: u64,
    /// A subscription must be under way within this.
    pub join_ms_max: u64,
    /// Tasks whose place in their workflow is remembered; others are looked up.
    pub tasks_max: usize,
    /// A call of the orchestrator.
    pub call_ms_max: u64,
    /// Between two tries to look up a task.
    pub retry_ms: u64,
    /// How the log is followed.
    pub tail: TailSettings,
    /// Webhooks.
    pub webhooks: WebhookConfig,
    /// How the file is opened, where the store is SQLite.
    pub store: SqliteSettings,
}

/// The section `[notification.webhooks]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookConfig {
    /// Webhooks; more are refused.
    pub webhooks_max: u32,
    /// Of a webhook's description.
    pub description_chars_max: usize,
    /// Networks that may be posted to although they are denied.
    pub egress_allow: Vec<Network>,
    /// Networks that may not be posted to; all that is not out in the world.
    pub egress_deny: Vec<Network>,
    /// Before each try of a delivery; after the last it is given up.
    pub delays_ms: Vec<u64>,
    /// A receiver must have answered within this.
    pub attempt_ms_max: u64,
    /// The connection to it must stand within this.
    pub connect_ms_max: u64,
    /// When a try has ended, what came of it is noted within this; otherwise it is tried again.
    pub note_ms_max: u64,
    /// How much of an answer is kept.
    pub response_bytes_max: usize,
    /// Tries for one webhook at the same time, by each replica.
    pub endpoint_attempts_max: u32,
    /// Deliveries that may wait for one webhook; with more it is disabled.
    pub pending_max: u64,
    /// The former secret signs too for so long, if nothing else is said.
    pub secret_overlap_ms: u64,
    /// Deliveries that one call sends again.
    pub resend_max: usize,
    /// Settled deliveries that are kept; the oldest beyond go.
    pub settled_max: u32,
    /// Deliveries older than this go, settled or not.
    pub delivery_age_hours_max: u64,
    /// Rows that one statement removes.
    pub clear_batch_max: u32,
    /// Between two clearings.
    pub housekeeping_ms: u64,
    /// Deliveries that another replica derived are looked for this often.
    pub poll_ms: u64,
    /// When the service ends, tries under way may take so much longer.
    pub drain_ms_max: u64,
    /// What was read of the log is saved after this; deliveries at once.
    pub save_ms: u64,
    /// The replica that derives is replaced if it does not say for so long that it lives.
    pub lease_ms: u64,
}

impl WebhookConfig {
    /// Whoever takes a delivery has it alone for so long.
    pub(crate) const fn claim_ms(&self) -> u64 {
        self.attempt_ms_max.saturating_add(self.note_ms_max)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            subscribers_max: 1_000,
            types_max: 64,
            deliveries_max: 500,
            unread_max: 4,
            shared_batches_max: 64,
            linger_ms: 2_000,
            join_ms_max: 3_000,
            tasks_max: 20_000,
            call_ms_max: 3_000,
            retry_ms: 200,
            tail: TailSettings::default(),
            webhooks: WebhookConfig::default(),
            store: SqliteSettings::default(),
        }
    }
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

impl Default for WebhookConfig {
    fn default() -> Self {
        let hours = [2, 5, 10, 14, 20, 24].map(|hours| hours * HOUR_MS);
        let soon = [0, 5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS];
        Self {
            webhooks_max: 200,
            description_chars_max: 256,
            egress_allow: Vec::new(),
            egress_deny: Network::not_public(),
            delays_ms: soon.into_iter().chain(hours).collect(),
            attempt_ms_max: 15_000,
            connect_ms_max: 5_000,
            note_ms_max: 15_000,
            response_bytes_max: 1_024,
            endpoint_attempts_max: 4,
            pending_max: 100_000,
            secret_overlap_ms: 24 * HOUR_MS,
            resend_max: 500,
            settled_max: 100_000,
            delivery_age_hours_max: 14 * 24,
            clear_batch_max: 1_000,
            housekeeping_ms: MINUTE_MS,
            poll_ms: 1_000,
            drain_ms_max: 3_000,
            save_ms: 1_000,
            lease_ms: 6_000,
        }
    }
}
