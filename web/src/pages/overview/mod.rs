//! How the mesh is: what is wrong, what it does, what it just healed.

mod charts;
mod healings;
mod services;
mod simulate;

use leptos::prelude::*;
use planaria_proto::monitoring::v1::{GetOverviewRequest, Overview as State, WatchOverviewRequest};
use planaria_proto::types::v1::Phase;
use planaria_view::words;
use prost_types::Duration;

use crate::mesh::{self, Loaded, Told, follow};
use crate::ui::{Oops, Title};
use charts::Charts;
use healings::Healings;
use services::Services;
use simulate::Simulate;

/// How soon a change is on the screen at the latest.
const INTERVAL: Duration = Duration { seconds: 0, nanos: 100_000_000 };

#[component]
pub(crate) fn Overview() -> impl IntoView {
    let state = RwSignal::new(Loaded::<State>::Loading);
    let watch = || async {
        let request = WatchOverviewRequest { interval: Some(INTERVAL) };
        mesh::monitoring().watch_overview(request).await
    };
    follow(watch, move |told| match told {
        Told::Opened => Loaded::fetch(
            state,
            async { mesh::monitoring().get_overview(GetOverviewRequest {}).await },
            |answer| answer.overview.unwrap_or_default(),
        ),
        Told::Message(message) => {
            if let Some(overview) = message.overview {
                state.set(Loaded::Ready(overview));
            }
        }
    });
    let ready = Memo::new(move |_| match state.get() {
        Loaded::Ready(overview) => Some(overview),
        _ => None,
    });
    let failure = move || match state.get() {
        Loaded::Failed(failure) => Some(view! { <Oops failure=failure /> }),
        _ => None,
    };
    let services = Memo::new(move |_| ready.get().map(|state| state.services).unwrap_or_default());
    // The list of healings is asked for anew when one of these changed.
    let healed =
        Memo::new(move |_| ready.get().map(|state| (state.healings_open, state.healings_recent)));
    view! {
        <Title text="Overview"><Simulate /></Title>
        {failure}
        <Findings state=ready />
        <Numbers state=ready />
        <Charts />
        <div class="columns">
            <Healings changed=healed />
            <Services services=services />
        </div>
    }
}

/// What is wrong, in words; that all is well, if it is.
#[component]
fn Findings(state: Memo<Option<State>>) -> impl IntoView {
    let findings = Memo::new(move |_| state.get().map(|state| state.findings));
    move || match findings.get() {
        None => view! { <div class="findings loading" role="status">"Asking the mesh…"</div> }
            .into_any(),
        Some(findings) if findings.is_empty() => {
            view! { <div class="findings good" role="status">"All is well."</div> }.into_any()
        }
        Some(findings) => {
            let items = findings.into_iter().map(|finding| view! { <li>{finding}</li> });
            let items = view! { <ul>{items.collect_view()}</ul> };
            view! { <div class="findings bad" role="status">{items}</div> }.into_any()
        }
    }
}

/// The figures that a tired person looks at first.
#[component]
fn Numbers(state: Memo<Option<State>>) -> impl IntoView {
    let of = move |read: fn(&State) -> String| {
        Signal::derive(move || {
            state.with(|state| state.as_ref().map_or_else(|| "–".to_owned(), read))
        })
    };
    let rate = of(|state| format!("{}/s", words::digits(state.workflows_per_second)));
    let success = of(|state| match &state.objective {
        Some(objective) if objective.completed + objective.faulted > 0 => {
            words::percent(objective.success_ratio)
        }
        _ => "–".into(),
    });
    let objective = of(|state| match &state.objective {
        Some(objective) => format!(
            "aim {}, {} of the error budget left",
            words::percent(objective.objective),
            words::percent(objective.budget_left)
        ),
        None => String::new(),
    });
    let active = of(|state| words::count(state.phases.iter().map(|phase| phase.count).sum()));
    let phases = of(|state| {
        let told = state.phases.iter().filter(|phase| phase.count > 0).map(|phase| {
            let name = planaria_view::names::phase(
                Phase::try_from(phase.phase).unwrap_or(Phase::Unspecified),
            );
            format!("{} {name}", words::count(phase.count))
        });
        told.collect::<Vec<_>>().join(", ")
    });
    let queued = of(|state| words::count(state.tasks_queued));
    let tasks = of(|state| {
        format!(
            "{} running, {} waiting for a retry",
            words::count(state.tasks_running),
            words::count(state.tasks_retrying)
        )
    });
    let workers = of(|state| words::count(u64::from(state.workers_alive)));
    let capacity = of(|state| {
        format!("{} at once", words::plural(u64::from(state.capacity), "task", "tasks"))
    });
    let healed = of(|state| match &state.healed_after_p50 {
        Some(span) if state.healings_recent > 0 => words::span(words::duration_ms(span)),
        _ => "–".into(),
    });
    let healings = of(|state| {
        let worst = state.healed_after_p99.as_ref().filter(|_| state.healings_recent > 0);
        let worst = worst.map(|span| format!(", p99 {}", words::span(words::duration_ms(span))));
        format!(
            "{} in the last hour, {} under way{}",
            words::count(state.healings_recent),
            words::count(state.healings_open),
            worst.unwrap_or_default()
        )
    });
    let letters = of(|state| words::count(state.dead_letters_open));
    view! {
        <dl class="numbers">
            <Number name="Throughput" value=rate detail="workflows ended, over the last minute" />
            <Number name="Success" value=success detail=objective />
            <Number name="Active workflows" value=active detail=phases href="/workflows" />
            <Number name="Queued tasks" value=queued detail=tasks href="/workers" />
            <Number name="Workers alive" value=workers detail=capacity href="/workers" />
            <Number name="Healed after (p50)" value=healed detail=healings href="/healing" />
            <Number name="Dead letters" value=letters detail="wait for you" href="/retries" />
        </dl>
    }
}

#[component]
fn Number(
    name: &'static str,
    value: Signal<String>,
    #[prop(into)] detail: Signal<String>,
    #[prop(optional)] href: &'static str,
) -> impl IntoView {
    let name = match href {
        "" => name.into_any(),
        href => view! { <a href=href>{name}</a> }.into_any(),
    };
    view! {
        <div class="number">
            <dt>{name}</dt>
            <dd class="value">{value}</dd>
            <dd class="detail">{detail}</dd>
        </div>
    }
}
