//! What is kept of webhooks and deliveries.

use planaria_log_tail::LogCursor;
use planaria_proto::notification::v1::{DeliveryState, EventFilter};

use crate::secret::Secret;

/// Where events are posted to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) filter: EventFilter,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    pub(crate) disabled_because: String,
    pub(crate) created_at_ms: u64,
    pub(crate) secret: Secret,
    /// The secret before, and until when it signs too (Unix milliseconds).
    pub(crate) former: Option<(Secret, u64)>,
    /// It gets what happens behind this place.
    pub(crate) behind: LogCursor,
}

impl Webhook {
    /// Those that sign at a time.
    pub(crate) fn secrets(&self, now_ms: u64) -> impl Iterator<Item = &Secret> {
        let former = self.former.as_ref().filter(|(_, until_ms)| now_ms < *until_ms);
        std::iter::once(&self.secret).chain(former.map(|(secret, _)| secret))
    }
}

/// An event for a webhook, not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewDelivery {
    /// Follows from the webhook and the event's place in the log.
    pub(crate) id: String,
    pub(crate) webhook: String,
    /// Of the webhook.
    pub(crate) namespace: String,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    /// The event in the JSON format of CloudEvents.
    pub(crate) body: Vec<u8>,
}

/// A delivery as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) webhook: String,
    pub(crate) namespace: String,
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: u32,
    pub(crate) created_at_ms: u64,
    /// While it is pending: when it is tried, or when whoever tries it now is given up.
    pub(crate) next_at_ms: Option<u64>,
    pub(crate) last: Option<Attempt>,
    pub(crate) body: Vec<u8>,
}

/// One try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) at_ms: u64,
    /// Of the answer; 0: none came.
    pub(crate) status: u16,
    /// What was wrong; empty: nothing.
    pub(crate) error: String,
    pub(crate) took_ms: u64,
    /// How the answer began.
    pub(crate) response: String,
}

/// What comes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    /// It is tried again then (Unix milliseconds).
    Again(u64),
    GivenUp,
}
