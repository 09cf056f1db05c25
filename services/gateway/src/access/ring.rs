//! Every key in memory, as the store had them a moment ago.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use planaria_runtime::clock::now_ms;
use planaria_runtime::{Identity, Secret};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, MissedTickBehavior};

use super::bucket::Bucket;
use super::key::{ApiKey, Hash};
use super::{Caller, Denied, KeyStore};
use crate::Config;

/// Keys that nobody knows make the store be asked this often at most.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(100);
/// Revoked and expired keys are told apart from those that never were for so long.
const REMEMBERED_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// They are forgotten about this often.
const CLEAR_EVERY: u32 = 3_600;

pub(crate) struct Ring {
    pub(super) store: Arc<dyn KeyStore>,
    secret: Secret,
    refresh: Duration,
    stale_max: Duration,
    requests_per_second: u32,
    requests_burst: u32,
    calls_per_key_max: usize,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Held by whoever asks the store; the others wait for what it finds.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Snapshot {
    keys: HashMap<String, Held>,
    revision: u64,
    read_at: Instant,
}

#[derive(Debug, Clone)]
struct Held {
    key: Arc<ApiKey>,
    caller: Arc<Caller>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ring").field("refresh", &self.refresh).finish_non_exhaustive()
    }
}

impl Ring {
    /// Reads every key.
    pub(crate) async fn open(
        store: Arc<dyn KeyStore>,
        config: &Config,
        secret: &Secret,
    ) -> Result<Self, sqlx::Error> {
        let nothing = Snapshot { keys: HashMap::new(), revision: 0, read_at: Instant::now() };
        let ring = Self {
            store,
            secret: secret.clone(),
            refresh: Duration::from_millis(config.key_refresh_ms.max(1)),
            stale_max: Duration::from_millis(config.keys_stale_ms_max),
            requests_per_second: config.requests_per_second,
            requests_burst: config.requests_burst,
            calls_per_key_max: config.calls_per_key_max,
            snapshot: RwLock::new(Arc::new(nothing)),
            asking: tokio::sync::Mutex::default(),
        };
        ring.refresh().await?;
        Ok(ring)
    }

    /// Whether there is any key that opens anything.
    pub(crate) fn is_empty(&self) -> bool {
        let now_ms = now_ms();
        let good =
            |held: &Held| held.key.revoked_at_ms.is_none() && held.key.expires_at_ms > now_ms;
        !self.snapshot().keys.values().any(good)
    }

    /// The caller whose key has this id and hash.
    pub(super) async fn find(&self, id: &str, hash: &Hash) -> Result<Arc<Caller>, Denied> {
        let mut snapshot = self.snapshot();
        if !snapshot.keys.contains_key(id) {
            // Another gateway may have made it a moment ago.
            self.refresh_since(Instant::now()).await;
            snapshot = self.snapshot();
        }
        if snapshot.read_at.elapsed() > self.stale_max {
            return Err(Denied::Unknown);
        }
        let held = snapshot.keys.get(id).ok_or(Denied::KeyInvalid)?;
        if !bool::from(held.key.hash.ct_eq(hash)) {
            return Err(Denied::KeyInvalid);
        }
        let key_id = held.key.id.clone();
        if held.key.revoked_at_ms.is_some() {
            return Err(Denied::KeyRevoked { key_id });
        }
        if held.key.expires_at_ms <= now_ms() {
            return Err(Denied::KeyExpired { key_id });
        }
        Ok(Arc::clone(&held.caller))
    }

    /// Looks at the store again and again; ends callers whose keys have ended.
    pub(crate) async fn run(&self) {
        let mut ticks = tokio::time::interval(self.refresh);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count: u32 = 0;
        loop {
            ticks.tick().await;
            if let Err(error) = self.refresh().await {
                planaria_store::tell("the API keys cannot be read; those known stay good", &error);
            }
            self.end_expired();
            if count.is_multiple_of(CLEAR_EVERY)
                && let Err(error) = self.store.clear(now_ms().saturating_sub(REMEMBERED_MS)).await
            {
                planaria_store::tell("old API keys cannot be cleared away", &error);
            }
            count = count.wrapping_add(1);
        }
    }

    /// Reads what changed.
    pub(super) async fn refresh(&self) -> Result<(), sqlx::Error> {
        let _asking = self.asking.lock().await;
        self.read().await
    }

    /// Returns when the store was asked after `since`, or could not be.
    async fn refresh_since(&self, since: Instant) {
        let _asking = self.asking.lock().await;
        let read_at = self.snapshot().read_at;
        if read_at >= since {
            return;
        }
        tokio::time::sleep_until(read_at + UNKNOWN_PAUSE).await;
        if let Err(error) = self.read().await {
            planaria_store::tell("an unknown API key cannot be looked up", &error);
        }
    }

    async fn read(&self) -> Result<(), sqlx::Error> {
        let read_at = Instant::now();
        let old = self.snapshot();
        // Read before the keys: what changes in between is read again next time.
        let revision = self.store.revision().await?;
        let keys = if revision == old.revision {
            old.keys.clone()
        } else {
            let found = self.store.keys().await?;
            found.into_iter().map(|key| (key.id.clone(), self.hold(&old, key))).collect()
        };
        for (id, held) in &old.keys {
            let good = keys.get(id).is_some_and(|held| held.key.revoked_at_ms.is_none());
            if !good {
                held.caller.over.cancel();
            }
        }
        let snapshot = Arc::new(Snapshot { keys, revision, read_at });
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }

    /// A key whose calls go on keeps its caller, and with it what is left in its bucket.
    fn hold(&self, old: &Snapshot, key: ApiKey) -> Held {
        let caller = match old.keys.get(&key.id) {
            Some(held) => Arc::clone(&held.caller),
            None => Arc::new(self.caller(&key)),
        };
        Held { key: Arc::new(key), caller }
    }

    fn caller(&self, key: &ApiKey) -> Caller {
        let or = |own: u32, setting: u32| if own == 0 { setting } else { own };
        let per_second = or(key.requests_per_second, self.requests_per_second);
        let bucket = Bucket::new(per_second, or(key.requests_burst, self.requests_burst));
        let identity = Identity::new(&key.id, &key.namespace, key.role);
        Caller::new(&self.secret, identity, (bucket, self.calls_per_key_max))
    }

    fn end_expired(&self) {
        let now_ms = now_ms();
        for held in self.snapshot().keys.values() {
            if held.key.expires_at_ms <= now_ms {
                held.caller.over.cancel();
            }
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }
}
