//! The port to the store.

#[cfg(test)]
pub(crate) mod conformance;

use std::ops::Range;

use planaria_log_tail::LogCursor;
use planaria_proto::types::v1::Healing;
use tokio::sync::watch;

use crate::harvest::Harvest;
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};

/// Which healings to list.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) namespace: String,
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

/// How long the steps of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    Minutes,
    Hours,
}

impl Resolution {
    pub(crate) const ALL: [Self; 2] = [Self::Minutes, Self::Hours];

    pub(crate) const fn step_s(self) -> u64 {
        match self {
            Self::Minutes => 60,
            Self::Hours => 3_600,
        }
    }
}

/// Steps of a series: those that begin within a range of Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) resolution: Resolution,
    pub(crate) begins_s: Range<u64>,
    /// Empty: all.
    pub(crate) namespace: String,
}

/// What is older than this goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retained {
    /// Unix milliseconds.
    pub(crate) healings_from_ms: u64,
    pub(crate) healings_max: u32,
    /// Unix seconds.
    pub(crate) minutes_from_s: u64,
    pub(crate) hours_from_s: u64,
    /// Rows that one statement removes.
    pub(crate) batch_max: u32,
}

/// A step of the holder through the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) holder: &'a str,
    /// It stays the holder for so long.
    pub(crate) lease_ms: u64,
    /// The place that was saved last: a step whose fate is unknown is not made twice.
    pub(crate) from: &'a LogCursor,
    pub(crate) to: &'a LogCursor,
}

/// Everything monitoring keeps, and the place in the log that it comes from. One replica, the
/// holder, writes; all read.
#[tonic::async_trait]
pub(crate) trait MonitoringStore: Send + Sync + 'static {
    /// Whether other replicas may write here, so that the holder has to say that it lives.
    fn is_shared(&self) -> bool;
    /// What is wrong with the store, in words, and every change of it; nothing if it works.
    fn trouble(&self) -> watch::Receiver<Option<String>>;
    /// Becomes the holder, or stays it, for `lease_ms`; tells the place up to which everything was
    /// saved (empty: nothing was). Nothing: another one holds it.
    async fn take(&self, holder: &str, lease_ms: u64) -> Result<Option<LogCursor>, sqlx::Error>;
    /// Adds what was gathered, and moves the place, in one transaction. Answers the healings that
    /// were not known to be healed before, and are; nothing, and nothing saved, if another one is
    /// the holder or the place is another one.
    async fn save(
        &self,
        step: Step<'_>,
        harvest: &Harvest,
    ) -> Result<Option<Vec<Healing>>, sqlx::Error>;
    /// Ends the lease.
    async fn release(&self, holder: &str) -> Result<(), sqlx::Error>;

    /// The newest first.
    async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Healing>, sqlx::Error>;
    /// Healings detected since a time (Unix milliseconds).
    async fn recent(&self, since_ms: u64) -> Result<Recent, sqlx::Error>;
    /// The number of the last change.
    async fn last_change(&self) -> Result<u64, sqlx::Error>;
    /// Healings that changed after a change, with its number, in the order of changes.
    async fn changed_after(
        &self,
        change: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Healing)>, sqlx::Error>;

    /// The values of a stretch by the beginning of their step, ascending.
    async fn values(
        &self,
        metric: Metric,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, u64)>, sqlx::Error>;
    /// The spreads of a stretch by the beginning of their step, ascending; several namespaces have
    /// one each.
    async fn spreads(
        &self,
        spread: Spread,
        stretch: &Stretch,
    ) -> Result<Vec<(u64, Histogram)>, sqlx::Error>;

    /// Removes a batch of each kind of what is not retained; tells how many rows went.
    async fn clear(&self, retained: &Retained) -> Result<u64, sqlx::Error>;
}
