//! The section `[monitoring]`.

use planaria_log_tail::TailSettings;
use planaria_store::SqliteSettings;
use serde::{Deserialize, Serialize};

/// Settings of monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The services whose health is watched; those without an address are left out.
    pub services: Vec<String>,
    /// Between two health checks of a replica.
    pub check_interval_ms: u64,
    /// A replica must answer within this.
    pub check_ms_max: u64,
    /// Statistics are asked for at least this often, also when nobody looks.
    pub statistics_interval_ms: u64,
    /// Whoever looks sees statistics that are no older than this.
    pub statistics_age_ms_max: u64,
    /// The statistics' call.
    pub call_ms_max: u64,
    /// Rates are over this time.
    pub rate_window_ms: u64,
    /// Percentiles and counts of healings are over this time.
    pub recent_window_ms: u64,
    /// A queued task that waits longer than this is a finding.
    pub queued_ms_max: u64,
    /// The shortest time between two messages of a watched overview.
    pub watch_interval_ms_min: u64,
    /// The longest.
    pub watch_interval_ms_max: u64,
    /// Healings that a slow watcher may fall behind; then it is sent away.
    pub watch_backlog_max: usize,
    /// The longest page of a list.
    pub page_size_max: u32,
    /// What is kept of healings.
    pub retention: RetentionConfig,
    /// An unsaved place in the log is saved after this, where nothing else was to be saved.
    pub cursor_save_ms: u64,
    /// How the log is followed.
    pub tail: TailSettings,
    /// How the store is opened.
    pub store: SqliteSettings,
}

/// What is kept of healings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionConfig {
    /// Healings; the oldest beyond go.
    pub healings_max: u32,
    /// Healings older than this go.
    pub age_hours_max: u64,
    /// Between two clearings.
    pub interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        let services = [
            "gateway",
            "orchestrator",
            "worker",
            "failure-detector",
            "retry-engine",
            "notification",
            "monitoring",
        ];
        Self {
            services: services.map(str::to_owned).to_vec(),
            check_interval_ms: 1_000,
            check_ms_max: 1_000,
            statistics_interval_ms: 5_000,
            statistics_age_ms_max: 1_000,
            call_ms_max: 2_000,
            rate_window_ms: 60_000,
            recent_window_ms: 3_600_000,
            queued_ms_max: 10_000,
            watch_interval_ms_min: 100,
            watch_interval_ms_max: 60_000,
            watch_backlog_max: 1_024,
            page_size_max: 500,
            retention: RetentionConfig::default(),
            cursor_save_ms: 5_000,
            tail: TailSettings::default(),
            store: SqliteSettings::default(),
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { healings_max: 20_000, age_hours_max: 30 * 24, interval_ms: 600_000 }
    }
}
