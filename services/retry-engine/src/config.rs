//! The section `[retry-engine]`.

use planaria_kernel::retry::RetryPolicy;
use planaria_kernel::retry::breaker::BreakerPolicy;
use planaria_kernel::retry::budget::BudgetPolicy;
use planaria_log_tail::TailSettings;
use planaria_store::SqliteSettings;
use serde::{Deserialize, Serialize};

use crate::store::Rules;

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
    /// When breakers open and close.
    pub breaker: BreakerConfig,
    /// What retries may cost.
    pub budget: BudgetConfig,
    /// How the log is followed by one replica of several, and how they tell each other.
    pub replicas: ReplicasConfig,
    /// How redrives by filter are worked on.
    pub redrive: RedriveConfig,
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
    /// What a replica claimed to hand over is another's after this.
    pub claim_ms: u64,
}

/// When breakers open and close: `planaria_kernel::retry::breaker::BreakerPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerConfig {
    /// So many failures in a row open it.
    pub failures_in_row: u32,
    /// Failures per hundred calls that open it.
    pub failures_percent: u32,
    /// Fewer calls say nothing about their share of failures.
    pub calls_min: u32,
    /// Calls are counted over this.
    pub window_ms: u64,
    /// How long it is open the first time; it doubles from time to time.
    pub open_ms: u64,
    /// The longest, before jitter.
    pub open_ms_max: u64,
    /// Calls that go through while it is half open.
    pub probes: u32,
    /// So many of them must be answered to close it.
    pub probes_passed: u32,
    /// Probes that nothing was heard of for so long are made again.
    pub probes_ms_max: u64,
}

/// What retries may cost a far side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetConfig {
    /// Retries per hundred first attempts.
    pub percent: u32,
    /// Retries per second that are always within the budget.
    pub per_second: u32,
    /// Both are counted over this.
    pub window_ms: u64,
}

/// How replicas share their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicasConfig {
    /// Another replica follows the log that long after the one that did was heard of last.
    pub lease_ms: u64,
    /// How often another replica looks whether it is to follow the log.
    pub standby_ms: u64,
    /// How often a replica looks what breakers became under another.
    pub breakers_poll_ms: u64,
    /// Watchers of gates are told all of them again this often.
    pub gates_repeat_ms: u64,
}

/// How redrives by filter are worked on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedriveConfig {
    /// Dead letters in a second, where the caller does not say.
    pub rate: f64,
    /// Dead letters in a second at most.
    pub rate_max: f64,
    /// What a replica claimed is another's after this.
    pub claim_ms: u64,
    /// Dead letters redriven at the same time.
    pub concurrency_max: usize,
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
    /// Losses, ended redrives, changes of breakers, closed breakers and budgets that nothing
    /// happened to for so long go.
    pub idle_age_hours_max: u64,
    /// Between two clearings.
    pub interval_ms: u64,
}

impl Config {
    /// How breakers and budgets decide.
    pub(crate) const fn rules(&self) -> Rules {
        let (breaker, budget) = (self.breaker, self.budget);
        Rules {
            breaker: BreakerPolicy {
                failures_in_row: breaker.failures_in_row,
                failures_percent: breaker.failures_percent,
                calls_min: breaker.calls_min,
                window_ms: breaker.window_ms,
                open_ms: breaker.open_ms,
                open_ms_max: breaker.open_ms_max,
                probes: breaker.probes,
                probes_passed: breaker.probes_passed,
                probes_ms_max: breaker.probes_ms_max,
            },
            budget: BudgetPolicy {
                percent: budget.percent,
                per_second: budget.per_second,
                window_ms: budget.window_ms,
            },
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            policy: PolicyConfig::default(),
            hand_off: HandOffConfig::default(),
            reconcile: ReconcileConfig::default(),
            breaker: BreakerConfig::default(),
            budget: BudgetConfig::default(),
            replicas: ReplicasConfig::default(),
            redrive: RedriveConfig::default(),
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
        Self {
            batch_max: 500,
            pause_ms_min: 100,
            pause_ms_max: 2_000,
            refused_ms: 10_000,
            claim_ms: 5_000,
        }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        let policy = BreakerPolicy::default();
        Self {
            failures_in_row: policy.failures_in_row,
            failures_percent: policy.failures_percent,
            calls_min: policy.calls_min,
            window_ms: policy.window_ms,
            open_ms: policy.open_ms,
            open_ms_max: policy.open_ms_max,
            probes: policy.probes,
            probes_passed: policy.probes_passed,
            probes_ms_max: policy.probes_ms_max,
        }
    }
}

impl Default for BudgetConfig {
    fn default() -> Self {
        let BudgetPolicy { percent, per_second, window_ms } = BudgetPolicy::default();
        Self { percent, per_second, window_ms }
    }
}

impl Default for ReplicasConfig {
    fn default() -> Self {
        Self { lease_ms: 3_000, standby_ms: 1_000, breakers_poll_ms: 250, gates_repeat_ms: 10_000 }
    }
}

impl Default for RedriveConfig {
    fn default() -> Self {
        Self { rate: 10.0, rate_max: 1_000.0, claim_ms: 5_000, concurrency_max: 16 }
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
            idle_age_hours_max: 24,
            interval_ms: 600_000,
        }
    }
}
