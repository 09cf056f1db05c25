//! Records as messages of the contract.

use bytes::Bytes;
use planaria_proto::notification::v1 as contract;
use planaria_proto::types::v1::Payload;
use prost_types::{Duration, Timestamp};

use crate::records::{Delivery, Webhook};

pub(crate) fn timestamp(at_ms: u64) -> Timestamp {
    let Duration { seconds, nanos } = span(at_ms);
    Timestamp { seconds, nanos }
}

fn span(span_ms: u64) -> Duration {
    Duration {
        seconds: i64::try_from(span_ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(span_ms % 1_000 * 1_000_000).unwrap_or_default(),
    }
}

/// A span in milliseconds; negative ones are none.
pub(crate) fn milliseconds(span: Duration) -> u64 {
    let seconds = u64::try_from(span.seconds).unwrap_or(0);
    let nanos = u64::try_from(span.nanos).unwrap_or(0);
    seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000)
}

pub(crate) fn webhook(webhook: Webhook, deliveries_pending: u64) -> contract::Webhook {
    contract::Webhook {
        id: webhook.id,
        url: webhook.url,
        filter: Some(webhook.filter),
        description: webhook.description,
        enabled: webhook.enabled,
        disabled_because: webhook.disabled_because,
        created_at: Some(timestamp(webhook.created_at_ms)),
        deliveries_pending,
        former_secret_until: webhook.former.map(|(_, until_ms)| timestamp(until_ms)),
    }
}

/// With its body, if it has one.
pub(crate) fn delivery(delivery: Delivery) -> contract::WebhookDelivery {
    let last = delivery.last.unwrap_or_default();
    let attempted = last.at_ms > 0;
    let body = (!delivery.body.is_empty()).then(|| Payload {
        content_type: "application/cloudevents+json".into(),
        data: Bytes::from(delivery.body),
    });
    contract::WebhookDelivery {
        id: delivery.id,
        webhook_id: delivery.webhook,
        namespace: delivery.namespace,
        event_id: delivery.event_id,
        event_type: delivery.event_type,
        state: delivery.state.into(),
        attempts: delivery.attempts,
        created_at: Some(timestamp(delivery.created_at_ms)),
        next_at: delivery.next_at_ms.map(timestamp),
        attempted_at: attempted.then(|| timestamp(last.at_ms)),
        status: last.status.into(),
        error: last.error,
        took: attempted.then(|| span(last.took_ms)),
        response: last.response,
        body,
    }
}
