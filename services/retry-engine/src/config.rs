//! The section `[retry-engine]`.

use planaria_kernel::retry::RetryPolicy;
use planaria_log_tail::TailSettings;
use planaria_store::SqliteSettings;
use serde::{Deserialize, Serialize};

/// Settings of the retry engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// For functions that announced no policy of their own.
    pub policy: PolicyConfig,
    /// How decisions reach the orchestrator.
    pub hand_off: HandOffConfig,
    /// How its own records are checked against what is.
    pub reconcile: ReconcileConfig,
    /// What is kept of settled dead letters.
    pub retention: RetentionConfig,
    /// An unsaved place in the log is saved after this, where nothing else was to be saved.
    pub cursor_save_ms: u64,
    /// The longest page of a list.
    pub page_size_max: u32,
    /// Dead letters that one call may redrive.
    pub redrive_max: usize,
    /// Of these, so many at the same time.
    pub redrive_concurrency_max: usize,
    /// The last so many events of a task make up its story.
    pub story_events_max: usize,
    /// A call of the orchestrator.
    pub call_ms_max: u64,
    /// How the log is followed.
    pub tail: TailSettings,
    /// How the store is opened.
    pub store: SqliteSettings,
}

/// The default policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyConfig {
    /// The longest first delay.
    pub base_ms: u64,
    /// From one delay to the next.
    pub factor: f64,
    /// The longest delay.
    pub cap_ms: u64,
    /// The failure with this number is the last.
    pub attempts_max: u32,
}

/// How decisions reach the orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandOffConfig {
    /// Decisions in one call.
    pub batch_max: u32,
    /// The pause after the first failed call; it doubles with each further one.
    pub pause_ms_min: u64,
    /// The longest pause.
    pub pause_ms_max: u64,
    /// A decision that the orchestrator refused alone waits this long.
    pub refused_ms: u64,
}

/// How its own records are checked against what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReconcileConfig {
    /// Between two checks.
    pub interval_ms: u64,
    /// A workflow that faulted less than this ago is left to the log.
    pub grace_ms: u64,
    /// Records of each kind that are looked at together.
    pub page_max: u32,
    /// A retry that waits longer than this has its workflow looked up.
    pub lookup_after_ms: u64,
    /// Workflows looked up in one check.
    pub lookups_max: usize,
}

/// What is kept of settled dead letters. Open ones are kept until they are settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionConfig {
    /// Settled dead letters; the oldest beyond go.
    pub settled_max: u32,
    /// Settled dead letters older than this go.
    pub settled_age_hours_max: u64,
    /// Why a task was given up is forgotten after this, if its workflow went on without a fault.
    pub give_up_age_hours_max: u64,
    /// Between two clearings.
    pub interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: PolicyConfig::default(),
            hand_off: HandOffConfig::default(),
            reconcile: ReconcileConfig::default(),
            retention: RetentionConfig::default(),
            cursor_save_ms: 1_000,
            page_size_max: 500,
            redrive_max: 500,
            redrive_concurrency_max: 16,
            story_events_max: 1_000,
            call_ms_max: 5_000,
            tail: TailSettings::default(),
            store: SqliteSettings::default(),
        }
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        let RetryPolicy { base_ms, factor, cap_ms, attempts_max } = RetryPolicy::default();
        Self { base_ms, factor, cap_ms, attempts_max }
    }
}

impl From<PolicyConfig> for RetryPolicy {
    fn from(config: PolicyConfig) -> Self {
        let PolicyConfig { base_ms, factor, cap_ms, attempts_max } = config;
        Self { base_ms, factor, cap_ms, attempts_max }
    }
}

impl Default for HandOffConfig {
    fn default() -> Self {
        Self { batch_max: 500, pause_ms_min: 100, pause_ms_max: 2_000, refused_ms: 10_000 }
    }
}

impl Default for ReconcileConfig {
    fn default() -> Self {
        Self {
            interval_ms: 5_000,
            grace_ms: 5_000,
            page_max: 1_000,
            lookup_after_ms: 60_000,
            lookups_max: 20,
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            settled_max: 10_000,
            settled_age_hours_max: 30 * 24,
            give_up_age_hours_max: 1,
            interval_ms: 600_000,
        }
    }
}
