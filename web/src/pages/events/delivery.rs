//! One delivery: what was posted, and what came back.

use leptos::prelude::*;
use planaria_proto::notification::v1::{DeliveryState, WebhookDelivery};
use planaria_view::{events, words};

use crate::ui::{Badge, Id, Json, Tone, When};

/// Its state as a word with a tone.
pub(super) fn state(delivery: &WebhookDelivery) -> (Tone, &'static str) {
    match delivery.state() {
        DeliveryState::Unspecified => (Tone::Plain, "unknown"),
        DeliveryState::Pending => (Tone::Wait, "pending"),
        DeliveryState::Delivered => (Tone::Good, "delivered"),
        DeliveryState::Failed => (Tone::Bad, "failed"),
    }
}

/// What the last try came to, in words; nothing if there was none.
pub(super) fn outcome(delivery: &WebhookDelivery) -> String {
    let took = delivery.took.as_ref().map(|took| words::span(words::duration_ms(took)));
    let after = took.map(|took| format!(" after {took}")).unwrap_or_default();
    match (delivery.status, delivery.error.as_str()) {
        (0, "") => String::new(),
        (0, error) => format!("{error}{after}"),
        (status, "") => format!("answered {status}{after}"),
        (status, error) => format!("answered {status}{after}: {error}"),
    }
}

/// What came of one delivery, with its body and the receiver's answer.
#[component]
pub(super) fn Outcome(delivery: WebhookDelivery) -> impl IntoView {
    let (tone, word) = state(&delivery);
    let outcome = outcome(&delivery);
    let tries = words::plural(u64::from(delivery.attempts), "try", "tries");
    let next = delivery.next_at.filter(|_| delivery.state() == DeliveryState::Pending);
    let next = next.map(|at| view! { <span class="faint">"next try "<When at=at /></span> });
    let response = (!delivery.response.is_empty()).then(|| {
        view! {
            <h3>"The receiver answered"</h3>
            <Json data=delivery.response.clone().into_bytes() />
        }
    });
    let body = delivery.body.map(|body| {
        view! {
            <h3>"What was posted"</h3>
            <Json data=body.data.to_vec() />
        }
    });
    view! {
        <div class="outcome">
            <p class="row">
                <Badge tone=tone text=word />
                <span>{events::kind(&delivery.event_type)}</span>
                <span>{outcome}</span>
                <span class="faint">{tries}</span>
                {next}
                <span class="faint"><When at=delivery.attempted_at /></span>
            </p>
            <p class="row facts">
                <span class="faint">"delivery "<Id id=delivery.id /></span>
                <span class="faint">"event "<Id id=delivery.event_id whole=true /></span>
            </p>
            {response}
            {body}
        </div>
    }
}
