//! The section `[monitoring]`.

use planaria_log_tail::TailSettings;
use planaria_store::SqliteSettings;
use serde::{Deserialize, Serialize};

/// Settings of monitoring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Watchers look for healings that another replica saved this often.
    pub watch_look_ms: u64,
    /// The longest page of a list.
    pub page_size_max: u32,
    /// How many of the workflows may fault.
    pub objective: ObjectiveConfig,
    /// What is kept for how long.
    pub retention: RetentionConfig,
    /// What was read of the log is saved after this; healings at once.
    pub save_ms: u64,
    /// The replica that writes is replaced if it does not say for so long that it lives.
    pub lease_ms: u64,
    /// How the log is followed.
    pub tail: TailSettings,
    /// How the store is opened.
    pub store: SqliteSettings,
}

/// The service level objective: the part of the workflows that complete, of those that complete
/// or fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectiveConfig {
    /// The part that must complete, in percent, such as 99.9.
    pub success_percent: f64,
    /// Over this time.
    pub window_days: u64,
    /// Fewer workflows than this in an hour tell nothing about how fast the budget burns.
    pub ended_min: u64,
}

/// What is kept for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionConfig {
    /// Healings; the oldest beyond go.
    pub healings_max: u32,
    /// Healings older than this go.
    pub age_hours_max: u64,
    /// Minutes of the series.
    pub minutes_hours_max: u64,
    /// Hours of the series.
    pub hours_days_max: u64,
    /// Rows that one statement removes.
    pub batch_max: u32,
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
            watch_look_ms: 500,
            page_size_max: 500,
            objective: ObjectiveConfig::default(),
            retention: RetentionConfig::default(),
            save_ms: 500,
            lease_ms: 6_000,
            tail: TailSettings::default(),
            store: SqliteSettings::default(),
        }
    }
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self { success_percent: 99.9, window_days: 30, ended_min: 20 }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            healings_max: 20_000,
            age_hours_max: 30 * 24,
            minutes_hours_max: 7 * 24,
            hours_days_max: 400,
            batch_max: 1_000,
            interval_ms: 600_000,
        }
    }
}
