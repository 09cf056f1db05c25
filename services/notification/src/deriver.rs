//! From the log to deliveries: each event that a webhook wants becomes one, exactly once, however
//! many replicas there are and whenever they die.

use std::sync::Arc;

use planaria_log_tail::{Ledger, LogCursor};
use planaria_proto::orchestrator::v1::{LogPosition, LogRecord};
use planaria_runtime::{Readiness, clock};
use tokio::sync::Notify;

use crate::events::{drafts, json};
use crate::filter::Filter;
use crate::gauges::Gauges;
use crate::records::{NewDelivery, Webhook};
use crate::store::{Step, WebhookStore};
use crate::tasks::Tasks;

pub(crate) struct Deriver {
    store: Arc<dyn WebhookStore>,
    /// This start of this replica.
    holder: String,
    lease_ms: u64,
    tasks: Tasks,
    /// Told when there are new deliveries.
    due: Arc<Notify>,
    gauges: Gauges,
    readiness: Readiness,
    webhooks: Vec<(Webhook, Filter)>,
    version: u64,
    /// The place that was saved last.
    saved: LogCursor,
    gathered: Vec<NewDelivery>,
}

impl Deriver {
    pub(crate) fn new(
        store: Arc<dyn WebhookStore>,
        lease_ms: u64,
        tasks: Tasks,
        due: Arc<Notify>,
        (gauges, readiness): (Gauges, Readiness),
    ) -> Self {
        Self {
            store,
            holder: uuid::Uuid::new_v4().to_string(),
            lease_ms,
            tasks,
            due,
            gauges,
            readiness,
            webhooks: Vec::new(),
            version: 0,
            saved: LogCursor::default(),
            gathered: Vec::new(),
        }
    }

    async fn derive(&mut self, record: &LogRecord) {
        let position = record.position.unwrap_or_default();
        self.tasks.note(record);
        let wants = |(webhook, filter): &&(Webhook, Filter)| {
            !webhook.behind.covers(position) && filter.wants_record(record)
        };
        let wanting: Vec<_> = self.webhooks.iter().filter(wants).collect();
        if wanting.is_empty() {
            return;
        }
        for draft in drafts(record) {
            let (kind, index) = (draft.kind().to_owned(), draft.index);
            let of_kind = || wanting.iter().filter(|(_, filter)| filter.wants_type(&kind));
            if of_kind().next().is_none() {
                continue;
            }
            let event = self.tasks.finish(draft, record).await;
            let body = json::write(&event);
            for (webhook, _) in of_kind().filter(|(_, filter)| filter.wants_text(&event)) {
                self.gathered.push(NewDelivery {
                    id: delivery_id(&webhook.id, position, index),
                    webhook: webhook.id.clone(),
                    namespace: webhook.filter.namespace.clone(),
                    event_id: event.id.clone(),
                    event_type: kind.clone(),
                    body: body.clone(),
                });
            }
        }
    }
}

/// The same at every replica and however often the record is read. Without dots: they part what is
/// signed.
fn delivery_id(webhook: &str, position: LogPosition, index: usize) -> String {
    format!("{webhook}_{}-{}-{index}", position.log, position.seq)
}

#[tonic::async_trait]
impl Ledger for Deriver {
    type Error = sqlx::Error;

    async fn take(&mut self) -> Result<Option<LogCursor>, sqlx::Error> {
        self.gathered.clear();
        let taken = self.store.take(&self.holder, self.lease_ms).await?;
        self.gauges.holder.set(i64::from(taken.is_some()));
        let Some(derivation) = taken else { return Ok(None) };
        let with_filter = |webhook: Webhook| {
            let filter = Filter::from(webhook.filter.clone());
            (webhook, filter)
        };
        self.webhooks = derivation.webhooks.into_iter().map(with_filter).collect();
        self.version = derivation.version;
        self.saved = derivation.cursor;
        Ok(Some(self.saved.clone()))
    }

    async fn absorb(&mut self, records: Vec<LogRecord>) -> bool {
        for record in &records {
            self.derive(record).await;
        }
        !self.gathered.is_empty()
    }

    async fn save(&mut self, cursor: &LogCursor) -> Result<bool, sqlx::Error> {
        if *cursor == self.saved && self.gathered.is_empty() && !self.store.is_shared() {
            return Ok(true);
        }
        let Self { holder, lease_ms, version, saved, .. } = self;
        let step = Step { holder, lease_ms: *lease_ms, version: *version, from: saved, to: cursor };
        if !self.store.save(step, &self.gathered, clock::now_ms()).await? {
            return Ok(false);
        }
        self.saved = cursor.clone();
        if !self.gathered.is_empty() {
            self.gauges.derived.inc_by(self.gathered.len() as u64);
            self.gathered.clear();
            self.due.notify_one();
        }
        Ok(true)
    }

    fn missed(&mut self, detail: &str) {
        tracing::warn!(detail, "events were missed by webhooks: the log was trimmed");
        self.gauges.log_gaps.inc();
    }

    fn works(&mut self, works: bool) {
        self.readiness.set(works);
    }

    async fn release(&mut self) {
        if let Err(error) = self.store.release(&self.holder).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot release");
        }
    }
}
