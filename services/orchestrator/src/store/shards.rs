//! Shards: what is committed by one engine, and who runs that engine.
//!
//! A workflow belongs to the shard that it was started in, for ever; so do its tasks and timers,
//! and a session belongs to the shard that opened it. The ids tell which (see [`Shard::of`]). One
//! engine at a time works on a shard: the one whose log is in the shard's row. Every commit holds
//! that row while it is made, so that an engine that was replaced commits nothing more.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::limits::LimitStore;
use super::{StoreError, WorkflowStore};

/// A shard's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Shard(pub u16);

impl Shard {
    /// The shard that an id of a workflow or session names: its last two bytes.
    #[must_use]
    pub(crate) const fn of(id: Uuid) -> Self {
        let bytes = id.as_bytes();
        Self(u16::from_be_bytes([bytes[14], bytes[15]]))
    }

    /// A new id in this shard: a UUIDv7 that ends with the shard's number.
    #[must_use]
    pub(crate) fn new_id(self) -> Uuid {
        let mut bytes = *Uuid::now_v7().as_bytes();
        bytes[14..].copy_from_slice(&self.0.to_be_bytes());
        Uuid::from_bytes(bytes)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A shard as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardRow {
    /// Its number.
    pub shard: Shard,
    /// The log that may be written in it.
    pub log: u64,
    /// The process that has it: unique per start. Empty: nobody, it was given back.
    pub holder: String,
    /// Where that process answers: `http://host:port`.
    pub address: String,
    /// Rises for as long as the holder lives.
    pub beat: u64,
    /// The process that asked for it; empty if none did.
    pub wanted_by: String,
}

/// A process that can hold shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Unique per start.
    pub id: String,
    /// Where it answers: `http://host:port`.
    pub address: String,
}

/// Who works on which shard. Every method sees what was committed before it was called.
#[async_trait]
pub(crate) trait ShardRegistry: Send + Sync {
    /// Whether other processes can hold shards too.
    fn is_shared(&self) -> bool;
    /// All shards, in the order of their numbers.
    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError>;
    /// Makes a new shard with a new log, held by `holder`. `None`: the store has room for one
    /// only, or somebody else made one in this moment.
    async fn create(&self, holder: &Holder) -> Result<Option<ShardRow>, StoreError>;
    /// Takes a shard over, with a new log, if its row's log, holder and beat are still those that
    /// were seen; `wanted_by` is cleared. `None`: they are not.
    async fn take(&self, seen: &ShardRow, holder: &Holder) -> Result<Option<ShardRow>, StoreError>;
    /// The holder of a shard's log lives. `None`: the log is not the shard's any more.
    async fn beat(&self, shard: Shard, log: u64) -> Result<Option<ShardRow>, StoreError>;
    /// Asks the holder of a shard to give it back.
    async fn want(&self, shard: Shard, log: u64, by: &str) -> Result<(), StoreError>;
    /// Gives a shard back: from now on nothing is committed to that log.
    async fn give_back(&self, shard: Shard, log: u64) -> Result<(), StoreError>;
    /// The store of limits, which are everybody's.
    fn limits(self: Arc<Self>) -> Arc<dyn LimitStore>;
    /// What is wrong with the store, in words, and every change of it; nothing if it works.
    fn trouble(&self) -> watch::Receiver<Option<String>>;
    /// The store as an engine with that log sees it: what is open in the shard, what anybody
    /// published or started.
    fn store(&self, shard: Shard, log: u64) -> Arc<dyn WorkflowStore>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_shard() {
        for number in [0, 1, 258, u16::MAX] {
            let id = Shard(number).new_id();
            assert_eq!(Shard::of(id), Shard(number));
            assert_eq!(id.get_version_num(), 7);
        }
        assert_ne!(Shard(1).new_id(), Shard(1).new_id());
    }
}
