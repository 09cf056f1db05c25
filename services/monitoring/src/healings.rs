//! The copies of healings: listed, counted, and told to whoever watches, at every replica.

use std::sync::Arc;
use std::time::Duration;

use planaria_proto::types::v1::Healing;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::convert;
use crate::error::Error;
use crate::store::{Filter, MonitoringStore, Recent};

/// Healings that are told at once, about.
const TOLD_MAX: u32 = 500;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Healings {
    store: Arc<dyn MonitoringStore>,
    /// Told when this replica saved some.
    news: watch::Sender<()>,
    /// Another replica may have saved some after this.
    look: Duration,
}

/// A watch: what changes in the store after it began.
pub(crate) struct Watch {
    store: Arc<dyn MonitoringStore>,
    news: watch::Receiver<()>,
    look: Duration,
    /// The last change that was told.
    last: u64,
}

impl Healings {
    pub(crate) fn new(store: Arc<dyn MonitoringStore>, look: Duration) -> Self {
        Self { store, news: watch::Sender::new(()), look }
    }

    /// This replica saved healings.
    pub(crate) fn changed(&self) {
        self.news.send_replace(());
    }

    /// Nothing that happens from now on is missed.
    pub(crate) async fn watch(&self) -> Result<Watch, Error> {
        let last = self.store.last_change().await?;
        let news = self.news.subscribe();
        Ok(Watch { store: Arc::clone(&self.store), news, look: self.look, last })
    }

    /// A page and the token of the next one, empty behind the last.
    pub(crate) async fn list(
        &self,
        filter: &Filter,
        limit: u32,
    ) -> Result<(Vec<Healing>, String), Error> {
        let healings = self.store.list(filter, limit).await?;
        let token = match healings.last() {
            Some(last) if healings.len() >= limit as usize => write_token(last),
            _ => String::new(),
        };
        Ok((healings, token))
    }

    pub(crate) async fn recent(&self, since_ms: u64) -> Result<Recent, Error> {
        Ok(self.store.recent(since_ms).await?)
    }
}

impl Watch {
    /// The next healings that changed; waits for them.
    pub(crate) async fn next(&mut self) -> Vec<Healing> {
        loop {
            self.news.mark_unchanged();
            match self.store.changed_after(self.last, TOLD_MAX).await {
                Ok(changed) if changed.is_empty() => {
                    let _woken = timeout(self.look, self.news.changed()).await;
                }
                Ok(changed) => {
                    self.last = changed.last().map_or(self.last, |(change, _)| *change);
                    return changed.into_iter().map(|(_, healing)| healing).collect();
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cannot look");
                    sleep(self.look).await;
                }
            }
        }
    }
}

/// What healings are ordered by (Unix milliseconds).
pub(crate) fn detected_at_ms(healing: &Healing) -> u64 {
    convert::milliseconds(healing.detected_at.or(healing.signal_at)).unwrap_or(0)
}

fn write_token(last: &Healing) -> String {
    format!("{}-{}", detected_at_ms(last), last.id)
}

/// Reads a page token: where the last page ended.
pub(crate) fn read_token(token: &str) -> Result<Option<(u64, String)>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let (detected_at_ms, id) = token.split_once('-').ok_or(Error::PageTokenInvalid)?;
    let detected_at_ms = detected_at_ms.parse().map_err(|_| Error::PageTokenInvalid)?;
    Ok(Some((detected_at_ms, id.to_owned())))
}
