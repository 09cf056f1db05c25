//! What happens, as events: live, and as they are posted to webhooks.

mod deliveries;
mod delivery;
mod live;
mod stream;
mod webhook;
mod webhook_new;
mod webhooks;

use leptos::prelude::*;

use crate::ui::{Title, query};
use deliveries::Deliveries;
use live::Live;
use webhooks::Webhooks;

/// Name in the address, and on the screen.
const TABS: &[(&str, &str)] =
    &[("", "Live"), ("webhooks", "Webhooks"), ("deliveries", "Deliveries")];

#[component]
pub(crate) fn Events() -> impl IntoView {
    let (tab, _) = query("tab");
    let tabs = TABS.iter().map(|&(name, label)| {
        let href = match name {
            "" => "/events".to_owned(),
            name => format!("/events?tab={name}"),
        };
        let current = move || (tab.get() == name).then_some("page");
        view! { <a href=href aria-current=current>{label}</a> }
    });
    let shown = move || match tab.get().as_str() {
        "webhooks" => view! { <Webhooks /> }.into_any(),
        "deliveries" => view! { <Deliveries /> }.into_any(),
        _ => view! { <Live /> }.into_any(),
    };
    view! {
        <Title text="Events" />
        <nav class="tabs" aria-label="Events">{tabs.collect_view()}</nav>
        {shown}
    }
}
