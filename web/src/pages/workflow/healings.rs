//! What the system healed in this workflow.

use leptos::prelude::*;
use planaria_proto::monitoring::v1::ListHealingsRequest;
use planaria_proto::types::v1::Healing;
use planaria_view::words;

use super::flow::Flow;
use crate::mesh::{self, Again, Loaded};
use crate::ui::{Badge, Show, Tone, When};

const SHOWN: u32 = 100;
/// A healing is told a moment after the history has the loss.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

#[component]
pub(super) fn Healings(flow: Flow) -> impl IntoView {
    let healings = RwSignal::new(Loaded::<Vec<Healing>>::Loading);
    let again = Again::new(PAUSE);
    Effect::new(move |first: Option<()>| {
        flow.losses.track();
        if first.is_some() {
            again.soon();
        }
    });
    Effect::new(move || {
        again.track();
        let workflow_id = flow.id.get();
        let request = ListHealingsRequest { workflow_id, page_size: SHOWN, ..Default::default() };
        Loaded::fetch(
            healings,
            async { mesh::monitoring().list_healings(request).await },
            |answer| answer.healings,
        );
    });
    let render = |healings: Vec<Healing>| {
        if healings.is_empty() {
            return view! { <p class="faint">"Nothing had to be healed."</p> }.into_any();
        }
        let items = healings.into_iter().map(|healing| view! { <Item healing=healing /> });
        view! { <ol class="healings">{items.collect_view()}</ol> }.into_any()
    };
    view! {
        <section class="card flow-healings">
            <h2>"Healings of this workflow"<a class="more" href="/healing">"all"</a></h2>
            <Show data=healings render=render />
        </section>
    }
}

#[component]
fn Item(healing: Healing) -> impl IntoView {
    let healed = healing.healed_after.as_ref().map(words::duration_ms);
    let (tone, word) = match healed {
        Some(ms) => (Tone::Good, format!("healed after {}", words::span(ms))),
        None => (Tone::Busy, "healing".to_owned()),
    };
    let detected = healing
        .detected_after
        .as_ref()
        .map(|after| format!("detected after {}", words::span(words::duration_ms(after))));
    let task = (!healing.task.is_empty()).then(|| {
        let href = format!("?task={}", healing.task);
        view! { <a class="mono" href=href>{planaria_view::document::name_of(&healing.task)}</a> }
    });
    view! {
        <li>
            <span>{healing.summary}</span>
            <span class="row">
                <Badge tone=tone text=word />
                <span class="faint">{detected}</span>
                {task}
                <span class="faint"><When at=healing.detected_at /></span>
            </span>
        </li>
    }
}
