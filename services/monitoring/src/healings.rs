//! The copies of healings: recorded, listed, counted, and told to whoever watches.

use std::sync::Arc;

use planaria_proto::orchestrator::v1::{LogPosition, LogRecord, log_record};
use planaria_proto::types::v1::Healing;
use tokio::sync::broadcast;

use crate::error::Error;
use crate::gauges::Gauges;
use crate::sqlite::detected_at_ms;
use crate::store::{Filter, HealingStore, Recent};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Healings {
    store: Arc<dyn HealingStore>,
    told: broadcast::Sender<Arc<[Healing]>>,
    gauges: Gauges,
}

impl Healings {
    pub(crate) fn new(store: Arc<dyn HealingStore>, gauges: Gauges, backlog_max: usize) -> Self {
        Self { store, told: broadcast::Sender::new(backlog_max.max(1)), gauges }
    }

    /// The healings among log records.
    pub(crate) fn of(records: Vec<LogRecord>) -> Vec<Healing> {
        let healing = |record: LogRecord| match record.body {
            Some(log_record::Body::Healing(healing)) => Some(healing),
            _ => None,
        };
        records.into_iter().filter_map(healing).collect()
    }

    pub(crate) async fn record(
        &self,
        healings: &[Healing],
        position: LogPosition,
    ) -> Result<(), Error> {
        let healed = self.store.record(healings, position).await?;
        healed.iter().for_each(|healing| self.gauges.healed(healing));
        if !healings.is_empty() {
            // Without a watcher nobody is told, which is fine.
            let _watchers = self.told.send(healings.into());
        }
        Ok(())
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<[Healing]>> {
        self.told.subscribe()
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

    pub(crate) async fn clear(&self, healings_max: u32, before_ms: u64) -> Result<(), Error> {
        Ok(self.store.clear(healings_max, before_ms).await?)
    }
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
