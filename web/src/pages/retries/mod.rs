//! What is tried again, what is held back, and what was given up.

mod breakers;
mod changes;
mod due;
mod group;
mod letters;
mod progress;
mod redrive;

use leptos::prelude::*;
use planaria_proto::notification::v1::{EventFilter, SubscribeRequest};

use crate::mesh::{self, Again, Told, follow};
use crate::ui::{Asked, Title};
use breakers::Breakers;
use due::Due;
use letters::Letters;

/// How soon it is asked again after an event: by then the retry engine has read it, too.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(700);

/// Name in the address and on the tab; the first is meant where the address says nothing.
const TABS: &[(&str, &str)] =
    &[("retries", "Retries"), ("breakers", "Breakers"), ("dead-letters", "Dead letters")];

#[component]
pub(crate) fn Retries() -> impl IntoView {
    let tab = Asked::of("tab");
    let chosen = Memo::new(move |_| {
        let asked = tab.get();
        TABS.iter().position(|(name, _)| *name == asked).unwrap_or(0)
    });
    let tabs = TABS
        .iter()
        .enumerate()
        .map(|(index, &(name, text))| {
            view! {
                <button type="button" aria-pressed=move || (chosen.get() == index).to_string()
                    on:click=move |_| tab.set(name)>{text}</button>
            }
        })
        .collect_view();
    let page = move || match chosen.get() {
        1 => view! { <Breakers /> }.into_any(),
        2 => view! { <Letters /> }.into_any(),
        _ => view! { <Due /> }.into_any(),
    };
    view! {
        <Title text="Retries" />
        <div class="segments tabs" role="group" aria-label="What is shown">{tabs}</div>
        {page}
    }
}

/// Follows the events of these types; what depends on them is asked for again when they come.
pub(in crate::pages) fn follow_events(
    types: &'static [&'static str],
    workflow_id: String,
) -> Again {
    let again = Again::new(PAUSE);
    let subscribe = move || {
        let filter = EventFilter {
            types: types.iter().map(|it| (*it).to_owned()).collect(),
            workflow_id: workflow_id.clone(),
            ..Default::default()
        };
        let request = SubscribeRequest { filter: Some(filter), ..Default::default() };
        async move { mesh::notification().subscribe(request).await }
    };
    follow(subscribe, move |told| match told {
        Told::Opened => again.now(),
        Told::Message(_) => again.soon(),
    });
    again
}
