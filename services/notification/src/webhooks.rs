//! What clients do with webhooks.

use std::sync::Arc;

use planaria_proto::notification::v1::EventFilter;
use planaria_proto::types::v1::CloudEvent;
use planaria_runtime::clock;
use planaria_runtime::identity::Identity;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::config::WebhookConfig;
use crate::error::Error;
use crate::events::{json, kind};
use crate::post::{Poster, Unfit};
use crate::records::{Delivery, Fate, NewDelivery, Webhook};
use crate::secret::Secret;
use crate::shared_tail::SharedTail;
use crate::store::{DeliveryFilter, Resend, WebhookStore};

/// Deliveries that one statement removes with their webhook.
const DELETED_MAX: u32 = 1_000;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Webhooks {
    pub(crate) store: Arc<dyn WebhookStore>,
    pub(crate) shared: SharedTail,
    pub(crate) poster: Poster,
    pub(crate) config: Arc<WebhookConfig>,
    /// Told when webhooks change what is derived.
    pub(crate) changed: Arc<Notify>,
    /// Told when something may be due.
    pub(crate) due: Arc<Notify>,
}

/// A webhook as somebody wants it.
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) filter: EventFilter,
    pub(crate) description: String,
    pub(crate) secret: String,
}

impl Webhooks {
    pub(crate) async fn create(&self, wanted: Wanted) -> Result<Webhook, Error> {
        self.poster.check(&wanted.url).map_err(|unfit| match unfit {
            Unfit::Invalid(why) => Error::UrlInvalid(why),
            Unfit::Denied(why) => Error::UrlNotAllowed(why),
        })?;
        if wanted.description.chars().count() > self.config.description_chars_max {
            return Err(Error::DescriptionTooLong(self.config.description_chars_max));
        }
        let secret = secret(&wanted.secret)?;
        // From here on nothing is missed.
        let behind = self.shared.join().await?.position.clone();
        let webhook = Webhook {
            id: Uuid::now_v7().to_string(),
            url: wanted.url,
            filter: wanted.filter,
            description: wanted.description,
            enabled: true,
            disabled_because: String::new(),
            created_at_ms: clock::now_ms(),
            secret,
            former: None,
            behind,
        };
        let webhooks_max = self.config.webhooks_max;
        if !self.store.create(&webhook, webhooks_max).await? {
            return Err(Error::TooManyWebhooks(webhooks_max));
        }
        self.changed.notify_one();
        Ok(webhook)
    }

    /// A webhook that the caller sees.
    pub(crate) async fn get(&self, caller: &Identity, id: &str) -> Result<Webhook, Error> {
        let webhook = self.store.webhook(id).await?;
        let seen = webhook.filter(|webhook| caller.sees(&webhook.filter.namespace));
        seen.ok_or_else(|| Error::WebhookNotFound(id.chars().take(64).collect()))
    }

    pub(crate) async fn delete(&self, caller: &Identity, id: &str) -> Result<(), Error> {
        self.disable(caller, id, "it is being deleted").await?;
        while self.store.delete_deliveries(id, DELETED_MAX).await? > 0 {}
        self.store.delete(id).await?;
        Ok(())
    }

    pub(crate) async fn enable(&self, caller: &Identity, id: &str) -> Result<Webhook, Error> {
        self.get(caller, id).await?;
        let behind = self.shared.join().await?.position.clone();
        self.store.enable(id, &behind).await?;
        self.changed.notify_one();
        self.due.notify_one();
        self.get(caller, id).await
    }

    pub(crate) async fn disable(
        &self,
        caller: &Identity,
        id: &str,
        reason: &str,
    ) -> Result<Webhook, Error> {
        self.get(caller, id).await?;
        let because = if reason.is_empty() { "somebody disabled it" } else { reason };
        self.store.disable(id, because).await?;
        self.changed.notify_one();
        self.get(caller, id).await
    }

    pub(crate) async fn rotate(
        &self,
        caller: &Identity,
        id: &str,
        new: &str,
        overlap_ms: Option<u64>,
    ) -> Result<Webhook, Error> {
        self.get(caller, id).await?;
        let secret = secret(new)?;
        let overlap_ms = overlap_ms.unwrap_or(self.config.secret_overlap_ms);
        let until_ms = clock::now_ms().saturating_add(overlap_ms);
        self.store.rotate(id, &secret, until_ms).await?;
        self.get(caller, id).await
    }

    /// Posts an event at once, once.
    pub(crate) async fn test(&self, caller: &Identity, id: &str) -> Result<Delivery, Error> {
        let webhook = self.get(caller, id).await?;
        let now_ms = clock::now_ms();
        let event = test_event(&webhook, now_ms);
        let body = json::write(&event);
        let delivery = NewDelivery {
            id: format!("{id}_{}", event.id),
            webhook: id.to_owned(),
            namespace: webhook.filter.namespace.clone(),
            event_id: event.id,
            event_type: event.r#type,
            body: body.clone(),
        };
        let until_ms = now_ms.saturating_add(self.config.claim_ms());
        self.store.add(&delivery, now_ms, until_ms).await?;
        let outcome = self.poster.post(&webhook, &delivery.id, body).await;
        let fate = if outcome.delivered() { Fate::Delivered } else { Fate::GivenUp };
        self.store.settle(&delivery.id, 1, &outcome.attempt, fate).await?;
        self.delivery(caller, &delivery.id).await
    }

    pub(crate) async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: u32,
    ) -> Result<Vec<Delivery>, Error> {
        Ok(self.store.deliveries(filter, limit).await?)
    }

    /// A delivery that the caller sees.
    pub(crate) async fn delivery(&self, caller: &Identity, id: &str) -> Result<Delivery, Error> {
        let delivery = self.store.delivery(id).await?;
        let seen = delivery.filter(|delivery| caller.sees(&delivery.namespace));
        seen.ok_or_else(|| Error::DeliveryNotFound(id.chars().take(128).collect()))
    }

    pub(crate) async fn resend(&self, caller: &Identity, which: &Resend) -> Result<u64, Error> {
        match which {
            Resend::Ids(ids) if ids.len() > self.config.resend_max => {
                return Err(Error::TooManyIds { given: ids.len(), max: self.config.resend_max });
            }
            Resend::Ids(ids) => {
                for id in ids {
                    self.delivery(caller, id).await?;
                }
            }
            Resend::FailedOf(webhook) => drop(self.get(caller, webhook).await?),
        }
        let resent = self.store.resend(which, clock::now_ms()).await?;
        self.due.notify_one();
        Ok(resent)
    }
}

/// The one that was given, or a new one.
fn secret(given: &str) -> Result<Secret, Error> {
    if given.is_empty() {
        return Ok(Secret::generate());
    }
    Secret::parse(given).map_err(|error| Error::SecretInvalid(error.to_string()))
}

fn test_event(webhook: &Webhook, now_ms: u64) -> CloudEvent {
    let data = serde_json::json!({ "webhook": webhook.id, "description": webhook.description });
    CloudEvent {
        id: format!("test-{}", Uuid::now_v7()),
        source: format!("/namespaces/{}", webhook.filter.namespace),
        spec_version: "1.0".into(),
        r#type: kind::WEBHOOK_TEST.into(),
        time: Some(crate::convert::timestamp(now_ms)),
        subject: webhook.id.clone(),
        data_content_type: "application/json".into(),
        data: data.to_string().into(),
        ..CloudEvent::default()
    }
}
