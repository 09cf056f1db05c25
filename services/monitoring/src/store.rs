//! The port to the store.

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::types::v1::Healing;

/// Which healings to list.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) workflow: String,
    pub(crate) incident: String,
    /// Behind this one: detection time and id.
    pub(crate) before: Option<(u64, String)>,
}

/// Healings of the recent past, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recent {
    pub(crate) count: u64,
    pub(crate) open: u64,
    /// Milliseconds, ascending.
    pub(crate) detected_after_ms: Vec<u64>,
    /// Milliseconds, ascending.
    pub(crate) healed_after_ms: Vec<u64>,
}

/// The copies of healings, and the place in the log that they were copied up to.
#[tonic::async_trait]
pub(crate) trait HealingStore: Send + Sync + 'static {
    /// The place in the log up to which everything was recorded.
    async fn position(&self) -> Result<Option<LogPosition>, sqlx::Error>;
    /// Writes healings over what is known of them, and moves the place, in one transaction.
    /// Answers those that were not known to be healed before, and are.
    async fn record(
        &self,
        healings: &[Healing],
        position: LogPosition,
    ) -> Result<Vec<Healing>, sqlx::Error>;
    /// The newest first.
    async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Healing>, sqlx::Error>;
    /// Healings detected since a time (Unix milliseconds).
    async fn recent(&self, since_ms: u64) -> Result<Recent, sqlx::Error>;
    /// Clears away all but the newest `healings_max`, and those from before.
    async fn clear(&self, healings_max: u32, before_ms: u64) -> Result<(), sqlx::Error>;
}
