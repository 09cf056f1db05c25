//! The section `[notification]`.

use planaria_log_tail::TailSettings;
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
        }
    }
}
