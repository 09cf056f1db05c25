//! Limits and what is used of them: everybody's, in one place.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use planaria_kernel::flow::{Bucket, Claim, Grant, Held, Rate, settle};

use super::{Shard, StoreError};

/// After so long another holder has its turn with what does not come out even.
const TURN_MS: u64 = 2_000;
/// Nothing is granted of a new limit before every shard has heard of it and told what it has
/// running.
const HEARD_MS: u64 = 1_500;

/// Names a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LimitKey {
    /// The namespace of the definitions whose tasks it is about.
    pub namespace: String,
    /// The function.
    pub function: String,
    /// JSON pointer into the arguments; empty = all tasks of the function together.
    pub per: String,
}

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LimitRow {
    /// Never used again, also if a limit with the same key is set later.
    pub id: i64,
    /// What it is about.
    pub key: LimitKey,
    /// Attempts at once.
    pub concurrency: Option<u32>,
    /// Starts in a second.
    pub rate: Option<Rate>,
    /// When it was made, in Unix milliseconds.
    pub created_at_ms: u64,
    /// When it was set last, in Unix milliseconds.
    pub changed_at_ms: u64,
}

/// A limit and the value that it counts for itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LimitUse {
    /// The limit.
    pub limit: i64,
    /// What its pointer leads to; empty if it has none.
    pub value: Arc<str>,
}

/// What a shard has of a limit, as it said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UseRow {
    /// Of what.
    pub of: LimitUse,
    /// The shard.
    pub shard: Shard,
    /// As many as it could use: those that run and wait, or as many as ran lately.
    pub wanted: u32,
    /// Those that run.
    pub running: u32,
    /// Those that wait.
    pub waiting: u32,
    /// As many as it holds.
    pub granted: u32,
}

/// What a shard says of its use of a limit when it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Of what.
    pub of: LimitUse,
    /// What it wants and keeps.
    pub claim: Claim,
    /// Those that run.
    pub running: u32,
    /// Those that wait.
    pub waiting: u32,
    /// Starts that it wants to make.
    pub tokens_wanted: u32,
    /// Starts that it may make and will not.
    pub tokens_returned: u32,
}

/// What a shard may do after it settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// What it holds.
    pub grant: Grant,
    /// Starts that it may make, besides those that it did not return.
    pub tokens: u32,
}

/// The store of limits. Every method sees what was committed before it was called.
#[async_trait]
pub(crate) trait LimitStore: Send + Sync {
    /// All limits, in the order of their keys.
    async fn limits(&self) -> Result<Vec<LimitRow>, StoreError>;
    /// Sets a limit; `id` and `created_at_ms` are those of the one with the same key, if there is
    /// one. Answers the limit as it is now, and whether it is new.
    async fn put_limit(&self, limit: &LimitRow) -> Result<(LimitRow, bool), StoreError>;
    /// Removes a limit and what was used of it. Whether there was one.
    async fn delete_limit(&self, key: &LimitKey) -> Result<bool, StoreError>;
    /// What is used of all limits, by all shards.
    async fn limit_uses(&self) -> Result<Vec<UseRow>, StoreError>;
    /// Settles a shard's uses in one transaction, after all that settled the same limits before.
    /// Answers what it may do, in the order of the demands; `None` = there is no such limit. Fails
    /// with [`StoreError::Fenced`] if the log is not the shard's any more.
    async fn settle_limits(
        &self,
        shard: Shard,
        log: u64,
        demands: &[Demand],
    ) -> Result<Vec<Option<Settled>>, StoreError>;
}

/// What the store has of the limits that a shard settles.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) limits: Vec<LimitRow>,
    pub(super) uses: Vec<UseRow>,
    pub(super) buckets: BTreeMap<LimitUse, Bucket>,
}

/// What settling changes.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) answers: Vec<Option<Settled>>,
    /// The shard's own; one without anything is to go.
    pub(super) uses: Vec<UseRow>,
    pub(super) buckets: Vec<(LimitUse, Bucket, Rate)>,
}

/// Settles a shard. `is_shared`: other shards may have something running of which they have not
/// told yet.
pub(super) fn settle_all(
    mut known: Known,
    shard: Shard,
    demands: &[Demand],
    (now_ms, is_shared): (u64, bool),
) -> Outcome {
    known.uses.sort_unstable_by_key(|row| row.shard);
    let mut outcome = Outcome::default();
    for demand in demands {
        let Some(limit) = known.limits.iter().find(|limit| limit.id == demand.of.limit) else {
            outcome.answers.push(None);
            continue;
        };
        let others = known.uses.iter().filter(|row| row.of == demand.of && row.shard != shard);
        let place = others.clone().filter(|row| row.shard < shard).count();
        let is_new = is_shared && now_ms < limit.created_at_ms.saturating_add(HEARD_MS);
        let grant = match limit.concurrency {
            Some(_) if is_new => settle(0, demand.claim, &[], 0, 0),
            Some(total) => {
                let held: Vec<Held> = others.clone().map(UseRow::held).collect();
                settle(total, demand.claim, &held, place, now_ms / TURN_MS)
            }
            None => Grant { granted: u32::MAX, share: u32::MAX },
        };
        let wanted_by_others = others.map(|row| row.waiting).fold(0, u32::saturating_add);
        let mut tokens = u32::MAX;
        if let Some(rate) = limit.rate {
            let known = known.buckets.get(&demand.of).copied();
            let mut bucket = known.unwrap_or_else(|| Bucket::full(rate, now_ms));
            bucket.fill(rate, now_ms);
            bucket.put(rate, f64::from(demand.tokens_returned));
            tokens = bucket.take(demand.tokens_wanted, wanted_by_others);
            outcome.buckets.push((demand.of.clone(), bucket, rate));
        }
        outcome.answers.push(Some(Settled { grant, tokens }));
        outcome.uses.push(UseRow {
            of: demand.of.clone(),
            shard,
            wanted: demand.claim.wanted,
            running: demand.running,
            waiting: demand.waiting,
            granted: if limit.concurrency.is_some() { grant.granted } else { 0 },
        });
    }
    outcome
}

impl UseRow {
    fn held(&self) -> Held {
        Held { wanted: self.wanted, granted: self.granted }
    }

    /// Whether nothing runs, waits or is held.
    pub(super) const fn is_nothing(&self) -> bool {
        self.wanted == 0 && self.running == 0 && self.granted == 0
    }
}
