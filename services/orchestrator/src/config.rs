//! The orchestrator's settings.

use planaria_kernel::workflow::Limits;
use serde::{Deserialize, Serialize};

/// The orchestrator's settings, section `[orchestrator]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A session dies that long after its last renewal.
    pub lease_ms: u64,
    /// How often workers beat.
    pub heartbeat_ms: u64,
    /// How often leases are looked at.
    pub sweep_ms: u64,
    /// A renewal is written to the store at most that often per session.
    pub renewal_ms: u64,
    /// An attempt that its worker does not have that long after it was handed out was never
    /// delivered.
    pub delivery_ms_max: u64,
    /// How often the reconciler looks for states that should not be.
    pub reconcile_ms: u64,
    /// How often open workflows are held against their histories.
    pub audit_ms: u64,
    /// Workflows that are held against their histories at once, those in doubt first: with more of
    /// them open a round takes longer, at the same cost.
    pub audited_max: u32,
    /// A retry that nobody decided is queued that long after its latest start.
    pub retry_grace_ms: u64,
    /// Losses on two or more workers after which a task is quarantined, if two of the workers came
    /// to their end while they had nothing else.
    pub losses_max: u32,
    /// The same if it had company on its worker, or may have had.
    pub losses_company_max: u32,
    /// Losses after which a task is quarantined that was alone the last time, even if one worker
    /// had them all, or fell silent only.
    pub losses_alone_max: u32,
    /// A task counts as if it had waited so much longer for each step of its priority: one of a
    /// priority that is `n` steps lower comes at its turn after `n` times this.
    pub ageing_step_ms: u64,
    /// How often orchestrators settle what they use of limits, as long as something waits for one.
    pub settle_ms: u64,
    /// Timers due within this are held in memory.
    pub timer_horizon_ms: u64,
    /// How often the store is asked for timers that come within the horizon.
    pub timer_scan_ms: u64,
    /// Largest payload.
    pub payload_bytes_max: usize,
    /// Largest definition.
    pub document_bytes_max: usize,
    /// How often a process shows the others that it lives.
    pub shard_beat_ms: u64,
    /// A process that showed nothing for so long is dead: another takes its shards over.
    pub shard_lease_ms: u64,
    /// How often a process looks for shards to take over.
    pub shard_poll_ms: u64,
    /// How long a call waits for a shard that is being taken over.
    pub shard_wait_ms_max: u64,
    /// Workflows that completed or were cancelled are removed so long after their end; 0 = never.
    pub over_kept_s: u64,
    /// Workflows that faulted and were neither retried nor cancelled; 0 = never.
    pub faulted_kept_s: u64,
    /// How often it is looked for what is to be removed.
    pub retention_ms: u64,
    /// Workflows kept in memory.
    pub workflows_cached_max: usize,
    /// Commands that wait for the engine.
    pub commands_max: usize,
    /// Writes of one commit.
    pub batch_writes_max: usize,
    /// Starts that wait for their commit, in bytes: 4 KiB and its input each. More are refused.
    pub starts_bytes_max: usize,
    /// Sessions that may be open.
    pub sessions_max: usize,
    /// Log entries kept in memory for readers that keep up.
    pub log_tail_max: usize,
    /// Local tasks executed between two commits.
    pub local_steps_max: usize,
    /// Length of a workflow's history.
    pub history_events_max: u64,
    /// Events kept for a workflow that does not listen to them.
    pub inbox_events_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            lease_ms: 9_000,
            heartbeat_ms: 500,
            sweep_ms: 500,
            renewal_ms: 2_000,
            delivery_ms_max: 1_000,
            reconcile_ms: 1_000,
            audit_ms: 1_000,
            audited_max: 50,
            retry_grace_ms: 5_000,
            losses_max: 3,
            losses_company_max: 10,
            losses_alone_max: 6,
            ageing_step_ms: 10_000,
            settle_ms: 200,
            timer_horizon_ms: 60_000,
            timer_scan_ms: 10_000,
            shard_beat_ms: 500,
            shard_lease_ms: 2_000,
            shard_poll_ms: 250,
            shard_wait_ms_max: 4_000,
            payload_bytes_max: 256 * 1024,
            document_bytes_max: 1024 * 1024,
            over_kept_s: 30 * 24 * 3_600,
            faulted_kept_s: 90 * 24 * 3_600,
            retention_ms: 60_000,
            workflows_cached_max: 20_000,
            commands_max: 8_192,
            batch_writes_max: 1_024,
            starts_bytes_max: 256 * 1024 * 1024,
            sessions_max: 10_000,
            log_tail_max: 4_096,
            local_steps_max: limits.local_steps_max,
            history_events_max: limits.history_events_max,
            inbox_events_max: limits.inbox_events_max,
        }
    }
}

impl Config {
    /// The limits of one workflow.
    #[must_use]
    pub const fn workflow_limits(&self) -> Limits {
        Limits {
            local_steps_max: self.local_steps_max,
            history_events_max: self.history_events_max,
            inbox_events_max: self.inbox_events_max,
        }
    }
}
