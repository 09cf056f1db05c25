//! What is being healed, and what was healed last.

use leptos::prelude::*;
use planaria_proto::monitoring::v1::ListHealingsRequest;
use planaria_proto::types::v1::Healing;
use planaria_view::words;

use crate::mesh::{self, Loaded};
use crate::ui::{Badge, Empty, Show, Tone, When};

const SHOWN: u32 = 8;

/// The last healings; asked for again whenever `changed` did.
#[component]
pub(super) fn Healings(changed: Memo<Option<(u64, u64)>>) -> impl IntoView {
    let healings = RwSignal::new(Loaded::<Vec<Healing>>::Loading);
    Effect::new(move || {
        if changed.get().is_some() {
            let request = ListHealingsRequest { page_size: SHOWN, ..Default::default() };
            Loaded::fetch(
                healings,
                async { mesh::monitoring().list_healings(request).await },
                |answer| answer.healings,
            );
        }
    });
    let render = |healings: Vec<Healing>| {
        if healings.is_empty() {
            return view! {
                <Empty text="Nothing had to be healed yet. Simulate a failure to see it happen." />
            }
            .into_any();
        }
        let items = healings.into_iter().map(|healing| view! { <Item healing=healing /> });
        view! { <ol class="healings">{items.collect_view()}</ol> }.into_any()
    };
    view! {
        <section class="card">
            <h2>"Healings"<a class="more" href="/healing">"all"</a></h2>
            <Show data=healings render=render />
        </section>
    }
}

#[component]
fn Item(healing: Healing) -> impl IntoView {
    let (tone, word) = match &healing.healed_after {
        Some(span) => {
            (Tone::Good, format!("healed after {}", words::span(words::duration_ms(span))))
        }
        None => (Tone::Busy, "healing".to_owned()),
    };
    let workflow =
        (!healing.workflow_id.is_empty()).then(|| format!("/workflows/{}", healing.workflow_id));
    let summary = match workflow {
        Some(href) => view! { <a href=href>{healing.summary}</a> }.into_any(),
        None => view! { <span>{healing.summary}</span> }.into_any(),
    };
    view! {
        <li>
            {summary}
            <span class="row">
                <Badge tone=tone text=word />
                <span class="faint"><When at=healing.detected_at /></span>
            </span>
        </li>
    }
}
