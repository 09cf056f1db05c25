//! Where events are posted to.

use leptos::prelude::*;
use planaria_proto::notification::v1::{ListWebhooksRequest, Webhook};

use super::webhook::Item;
use super::webhook_new::NewWebhook;
use crate::mesh::{self, Loaded};
use crate::ui::{Empty, Secret, Show};

/// The most that one page of the contract has; the mesh allows fewer webhooks than that.
pub(super) const PAGE: u32 = 500;

/// A secret that was just made: for which URL, and the secret.
pub(super) type Made = RwSignal<Option<(String, String)>>;

/// Asks for all webhooks.
pub(super) fn fetch(into: RwSignal<Loaded<Vec<Webhook>>>) {
    let request = ListWebhooksRequest { page_size: PAGE, ..Default::default() };
    let call = async move { mesh::notification().list_webhooks(request).await };
    Loaded::fetch(into, call, |answer| answer.webhooks);
}

#[component]
pub(super) fn Webhooks() -> impl IntoView {
    let webhooks = RwSignal::new(Loaded::<Vec<Webhook>>::Loading);
    let made: Made = RwSignal::new(None);
    fetch(webhooks);
    let changed = Callback::new(move |()| fetch(webhooks));
    let secret = move || {
        made.get().map(|(url, secret)| view! {
            <Secret text=format!("The secret that {url} verifies signatures with.") secret=secret
                done=Callback::new(move |()| made.set(None)) />
        })
    };
    let render = move |webhooks: Vec<Webhook>| {
        if webhooks.is_empty() {
            let text = "No webhook yet. Make one, and the mesh posts its events to your URL, \
                        signed, until each is taken.";
            return view! { <Empty text=text /> }.into_any();
        }
        let items = webhooks.into_iter().map(|webhook| {
            view! {
                <Item webhook=webhook made=made changed=changed />
            }
        });
        view! { <ul class="webhooks">{items.collect_view()}</ul> }.into_any()
    };
    view! {
        <div class="row bar"><NewWebhook made=made changed=changed /></div>
        {secret}
        <Show data=webhooks render=render />
    }
}
