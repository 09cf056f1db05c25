//! Limits as a process knows them: read again and again from the store, where operators put them.

mod rules;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::Command;
use crate::shards::Shards;
use crate::store::StoreError;
use crate::store::limits::LimitStore;

pub(crate) use crate::store::limits::{Demand, LimitKey, LimitRow, LimitUse, Settled, UseRow};
pub(crate) use rules::{Rule, Rules, Values};

/// How often the store is asked.
const POLL: Duration = Duration::from_millis(500);

/// The limits; cheap to clone, all clones are one.
#[derive(Clone)]
pub(crate) struct Limits {
    store: Arc<dyn LimitStore>,
    known: Arc<RwLock<Arc<Rules>>>,
    changed: Arc<Notify>,
}

impl Limits {
    /// The limits of a store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn open(store: Arc<dyn LimitStore>) -> Result<Self, StoreError> {
        let limits = Self { store, known: Arc::default(), changed: Arc::default() };
        limits.read().await?;
        Ok(limits)
    }

    /// Where they are.
    pub(crate) fn store(&self) -> Arc<dyn LimitStore> {
        self.store.clone()
    }

    /// The limits as they were read last.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody changed them here: they are read again at once.
    pub(crate) fn change(&self) {
        self.changed.notify_one();
    }

    /// Reads them. Whether they are others than before. If that fails, what was known is still
    /// known.
    async fn read(&self) -> Result<bool, StoreError> {
        let rules = Rules::of_rows(&self.store.limits().await?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = **known != rules;
        if is_other {
            *known = Arc::new(rules);
        }
        Ok(is_other)
    }

    /// Reads them until `stop`, and has the engines of this process look whenever they change.
    pub(crate) async fn follow(self, shards: Shards, stop: CancellationToken) {
        loop {
            match self.read().await {
                Ok(false) => {}
                Ok(true) => {
                    for local in shards.here() {
                        // An engine that ends has nothing to hand out.
                        drop(local.engine.send(Command::Look).await);
                    }
                }
                Err(error) => tracing::debug!(%error, "limits are not read"),
            }
            tokio::select! {
                _ = timeout(POLL, self.changed.notified()) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}
