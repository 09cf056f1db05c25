//! One webhook, and what one can do with it.

use leptos::prelude::*;
use planaria_proto::notification::v1::{
    DeleteWebhookRequest, DisableWebhookRequest, EnableWebhookRequest, RotateWebhookSecretRequest,
    TestWebhookRequest, Webhook, WebhookDelivery,
};
use planaria_view::{events, words};

use super::delivery::Outcome;
use super::webhooks::Made;
use crate::mesh;
use crate::ui::{Act, Badge, Confirm, Id, Tone, When};

/// Said where events are received, if a webhook rests because of a button.
const REASON: &str = "disabled in the dashboard";

#[component]
pub(super) fn Item(webhook: Webhook, made: Made, changed: Callback<()>) -> impl IntoView {
    let tested = RwSignal::new(None::<WebhookDelivery>);
    let (id, url) = (StoredValue::new(webhook.id.clone()), webhook.url.clone());
    let test = move || async move {
        let request = TestWebhookRequest { id: id.get_value() };
        let answer = mesh::notification().test_webhook(request).await?;
        tested.try_set(answer.into_inner().delivery);
        Ok(())
    };
    let enabled = webhook.enabled;
    let turn = move || async move {
        let id = id.get_value();
        if enabled {
            let request = DisableWebhookRequest { id, reason: REASON.to_owned() };
            mesh::notification().disable_webhook(request).await?;
        } else {
            mesh::notification().enable_webhook(EnableWebhookRequest { id }).await?;
        }
        changed.run(());
        Ok(())
    };
    let to = StoredValue::new(url.clone());
    let rotate = move || async move {
        let request = RotateWebhookSecretRequest { id: id.get_value(), ..Default::default() };
        let answer = mesh::notification().rotate_webhook_secret(request).await?.into_inner();
        made.set(Some((to.get_value(), answer.secret)));
        changed.run(());
        Ok(())
    };
    let delete = move || async move {
        let request = DeleteWebhookRequest { id: id.get_value() };
        mesh::notification().delete_webhook(request).await?;
        changed.run(());
        Ok(())
    };
    let (tone, word) = if enabled { (Tone::Good, "enabled") } else { (Tone::Wait, "disabled") };
    let why = (!enabled && !webhook.disabled_because.is_empty())
        .then(|| format!("because: {}", webhook.disabled_because));
    let former = webhook.former_secret_until.map(|until| {
        view! {
            <span class="faint">"the former secret signs too; it ends "<When at=until /></span>
        }
    });
    let pending = words::plural(webhook.deliveries_pending, "delivery waits", "deliveries wait");
    let deliveries = format!("/events?tab=deliveries&webhook={}", webhook.id);
    let description = (!webhook.description.is_empty()).then_some(webhook.description);
    let filter = events::filter_words(&webhook.filter.unwrap_or_default());
    let turn_label = if enabled { "Disable" } else { "Enable" };
    let outcome = move || tested.get().map(|delivery| view! { <Outcome delivery=delivery /> });
    view! {
        <li class="card webhook">
            <div class="row">
                <h2 class="url">{url.clone()}</h2>
                <Badge tone=tone text=word />
                <span class="more"><Id id=webhook.id.clone() /></span>
            </div>
            {description.map(|text| view! { <p>{text}</p> })}
            <p class="row facts">
                <span>{filter}</span>
                <a href=deliveries>{pending}</a>
                <span class="faint">"made "<When at=webhook.created_at /></span>
                {former}
            </p>
            {why.map(|why| view! { <p class="faint">{why}</p> })}
            <div class="row">
                <Act label="Test" act=test />
                <Act label=turn_label act=turn />
                <Confirm label="Rotate secret" act=rotate question="Makes a new secret. For the \
                    next 24 hours the former one signs too: no event is refused meanwhile." />
                <Confirm label="Delete" class="danger" act=delete
                    question=format!("Nothing more is posted to {url}, and what was posted is \
                        forgotten, deliveries that wait included.") />
            </div>
            <div aria-live="polite">{outcome}</div>
        </li>
    }
}
