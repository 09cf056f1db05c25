//! Retention: workflows that are over for long are removed, with their histories; so are entries
//! of the log that are of no workflow.
//!
//! In small pages with pauses between them: whoever works notices nothing. A workflow that is being
//! removed is as good as gone for whoever asks for it meanwhile.

use std::collections::HashSet;
use std::time::Duration;

use planaria_runtime::clock::now_ms;
use tokio::time::Instant;
use uuid::Uuid;

use super::entry::Slot;
use super::{Engine, Internal};
use crate::store::{Expired, Expiry, StoreError};

/// Workflows looked at in one page.
const PAGE: u32 = 500;
/// Workflows removed in one transaction.
const REMOVED_MAX: usize = 100;
/// Between two pages.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the removal stands.
pub(super) struct Retention {
    next: Instant,
    is_looking: bool,
    /// The workflow behind which to go on.
    after: Uuid,
    /// Being removed.
    going: HashSet<Uuid>,
}

impl Retention {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, is_looking: false, after: Uuid::nil(), going: HashSet::new() }
    }

    /// When to look next.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Whether a workflow is being removed.
    pub(super) fn is_going(&self, id: &Uuid) -> bool {
        !self.going.is_empty() && self.going.contains(id)
    }
}

impl Engine {
    /// Looks at the next page, if nothing is under way.
    pub(super) fn look_for_expired(&mut self) {
        self.retention.next =
            Instant::now() + Duration::from_millis(self.parts.config.retention_ms.max(1));
        if self.retention.is_looking {
            return;
        }
        let settings = &self.parts.config;
        let now_ms = now_ms();
        let before = |kept_s: u64| match kept_s {
            0 => 0,
            _ => now_ms.saturating_sub(kept_s.saturating_mul(1_000)),
        };
        let ended = Expiry {
            over_before_ms: before(settings.over_kept_s),
            faulted_before_ms: before(settings.faulted_kept_s),
        };
        self.retention.is_looking = true;
        let (store, inner) = (self.parts.store.clone(), self.inner.clone());
        let after = self.retention.after;
        tokio::spawn(async move {
            let look = async {
                store.trim(ended.over_before_ms, PAGE).await?;
                store.expired(after, ended, PAGE).await
            };
            let _ = inner.send(Internal::Expired(look.await));
        });
    }

    /// Removes what was found and nobody needs.
    pub(super) fn remove_expired(&mut self, found: Result<Expired, StoreError>) {
        let found = found.unwrap_or_else(|error| {
            planaria_store::tell("nothing is removed", &error);
            Expired { ids: Vec::new(), next: None }
        });
        self.retention.after = found.next.unwrap_or_default();
        if found.next.is_some() {
            self.retention.next = Instant::now() + PAUSE;
        }
        let mut ids = found.ids;
        ids.retain(|id| match self.slots.get(id) {
            Some(Slot::Live(entry)) => entry.is_idle() && entry.workflow.phase.is_over(),
            Some(Slot::Loading(_)) => false,
            Some(Slot::Frozen(_)) | None => true,
        });
        for id in &ids {
            self.slots.remove(id);
        }
        self.retention.going = ids.iter().copied().collect();
        let going = &self.retention.going;
        self.keys.retain(|_, (id, _)| !going.contains(id));
        let (store, inner) = (self.parts.store.clone(), self.inner.clone());
        tokio::spawn(async move {
            let mut removed = 0;
            for chunk in ids.chunks(REMOVED_MAX) {
                if let Err(error) = store.forget(chunk).await {
                    planaria_store::tell("workflows stay", &error);
                    break;
                }
                removed += chunk.len();
                tokio::time::sleep(PAUSE / 10).await;
            }
            if removed > 0 {
                tracing::info!(removed, "workflows that were over for long");
            }
            let _ = inner.send(Internal::Removed);
        });
    }

    /// What was to be removed is.
    pub(super) fn removed(&mut self) {
        self.retention.going.clear();
        self.retention.is_looking = false;
    }
}
