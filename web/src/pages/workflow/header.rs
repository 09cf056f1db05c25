//! What it is and how it is, at a glance.

use leptos::prelude::*;
use planaria_proto::workflow::v1::Workflow as Whole;
use planaria_view::letters;
use planaria_view::names;
use planaria_view::words;
use prost_types::Timestamp;

use super::flow::Flow;
use crate::clock::Clock;
use crate::mesh::Loaded;
use crate::ui::{Id, PhaseBadge, When};

#[component]
pub(super) fn Header(flow: Flow) -> impl IntoView {
    let whole = Memo::new(move |_| match flow.whole.get() {
        Loaded::Ready(whole) => Some(Whole { tasks: Vec::new(), ..whole }),
        _ => None,
    });
    let phase = Memo::new(move |_| flow.phase_now());
    let definition = move || {
        whole.get().and_then(|whole| whole.definition).map(|it| {
            let name = format!("{}/{}", it.namespace, it.name);
            let href = format!("/definitions/{name}?version={}", it.version);
            view! { <a href=href>{name}" "{it.version}</a> }
        })
    };
    let started = move || whole.get().and_then(|whole| whole.started_at);
    let ended = move || {
        let over = names::is_over(phase.get());
        whole.get().and_then(|whole| whole.ended_at).filter(|_| over)
    };
    let lasts = move || {
        let Some(from) = started().as_ref().map(words::millis) else { return "–".to_owned() };
        let until = ended().as_ref().map(words::millis);
        let over = names::is_over(phase.get());
        match until {
            Some(until) => words::span((until - from).max(0) as f64),
            None if over => "–".to_owned(),
            // Whole seconds: it is written anew once a second.
            None => words::span(((Clock::now() - from).max(0) / 1000 * 1000) as f64),
        }
    };
    let waiting = move || {
        let whole = whole.get()?;
        let waits = !names::is_over(phase.get()) && !whole.waiting_for.is_empty();
        waits.then(|| {
            view! {
                <p class="flow-waits" role="status">"Waits for "<b>{whole.waiting_for}</b></p>
            }
        })
    };
    let frozen = move || {
        whole.get().filter(|whole| !whole.frozen.is_empty()).map(|whole| {
            view! {
                <div class="oops" role="alert">
                    <p><strong>"Frozen: its history is damaged. "</strong>{whole.frozen}</p>
                    <p class="faint">
                        "Nothing of it runs. Cancel it, or restore its history from a backup."
                    </p>
                </div>
            }
        })
    };
    let error = Memo::new(move |_| flow.with(|story| story.error.clone()));
    let error =
        move || {
            error.get().map(|(error, task)| {
        let href = format!("?task={task}");
        let place = (!task.is_empty()).then(|| view! {
            <p>"Raised by "<a class="mono" href=href>{task}</a></p>
        });
        view! {
            <div class="oops" role="alert">
                <p><strong>{letters::error(Some(&error))}</strong></p>
                {place}
                <p class="faint">
                    "Mend the cause and retry, skip the task, or run it again with other input."
                </p>
            </div>
        }
    })
        };
    let moment = |at: Option<Timestamp>| view! { <When at=at /> };
    view! {
        <dl class="flow-facts">
            <div><dt>"Phase"</dt><dd>{move || view! { <PhaseBadge phase=phase.get() /> }}</dd></div>
            <div><dt>"Definition"</dt><dd>{definition}</dd></div>
            <div><dt>"Workflow"</dt><dd>{move || view! { <Id id=flow.id.get() /> }}</dd></div>
            <div><dt>"Started"</dt><dd>{move || moment(started())}</dd></div>
            <div><dt>"Ended"</dt><dd>{move || moment(ended())}</dd></div>
            <div><dt>"Lasts"</dt><dd class="figure">{lasts}</dd></div>
            <div>
                <dt>"History"</dt>
                <dd class="figure">{move || {
                    words::plural(flow.count.get() as u64, "event", "events")
                }}</dd>
            </div>
        </dl>
        {waiting}{frozen}{error}
    }
}
