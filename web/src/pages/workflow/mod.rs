//! One workflow: where it is, how it came there, and what can be done about it.

mod actions;
mod camera;
mod data;
mod drawing;
mod flow;
mod header;
mod healings;
mod history;
mod node;
mod rows;
mod scrub;
mod source;
mod stage;
mod task;
mod task_actions;
mod timeline;

use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::WatchWorkflowRequest;
use planaria_view::words;

use crate::mesh::{self, Again, Loaded, Next, Told, follow_to_end};
use crate::ui::{Oops, Title, query};
use actions::Actions;
use data::Data;
use drawing::Drawing;
use flow::Flow;
use header::Header;
use healings::Healings;
use history::History;
use scrub::Scrub;
use source::Source;
use task::TaskPanel;
use timeline::Timeline;

/// Changes that come so close together are asked for once.
const PAUSE: Duration = Duration::from_millis(400);

/// Name in the address, and on the tab.
const TABS: [(&str, &str); 5] = [
    ("graph", "Graph"),
    ("timeline", "Timeline"),
    ("history", "History"),
    ("data", "Data"),
    ("source", "Source"),
];

#[component]
pub(crate) fn Workflow() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id").unwrap_or_default()));
    let again = Again::new(PAUSE);
    let flow = Flow::new(id, again);
    Effect::new(move |before: Option<String>| {
        let id = id.get();
        if before.is_some_and(|before| before != id) {
            flow.forget();
        }
        again.track();
        flow.fetch();
        id
    });
    // One stream at a time: the effect's next turn ends the one before.
    Effect::new(move || {
        id.track();
        flow.round.track();
        watch(flow);
    });
    let definition = Memo::new(move |_| {
        flow.whole.with(|whole| match whole {
            Loaded::Ready(whole) => whole.definition.clone(),
            _ => None,
        })
    });
    Effect::new(move || {
        if let Some(reference) = definition.get() {
            flow.fetch_plan(reference);
        }
    });
    let missing = Memo::new(move |_| {
        flow.failure().is_some_and(|failure| failure.code == tonic::Code::NotFound)
    });
    let title = Signal::derive(move || match definition.get() {
        Some(reference) => reference.name,
        None => format!("Workflow {}", words::short_id(&id.get())),
    });
    view! {
        <Title text=title><Actions flow=flow /></Title>
        {move || flow.failure().map(|failure| view! { <Oops failure=failure /> })}
        {move || match missing.get() {
            true => view! { <p><a class="button" href="/workflows">"To the workflows"</a></p> }
                .into_any(),
            false => view! {
                <Header flow=flow />
                <Scrub flow=flow />
                <Tabs flow=flow />
                <Healings flow=flow />
            }
            .into_any(),
        }}
    }
}

fn watch(flow: Flow) {
    let open = move || async move {
        let after_seq = match flow.catch_up().await {
            Ok(seq) => seq,
            // It does not come by itself; what is shown instead says what to do.
            Err(status) if status.code() == tonic::Code::NotFound => std::future::pending().await,
            Err(status) => return Err(status),
        };
        let workflow_id = flow.id.get_untracked();
        mesh::workflows().watch_workflow(WatchWorkflowRequest { workflow_id, after_seq }).await
    };
    follow_to_end(open, move |told| {
        let (changed, over) = match told {
            Told::Opened => (false, false),
            Told::Message(message) => {
                let over = message.ended() != Phase::Unspecified;
                let changed = !message.events.is_empty() || !message.attempts.is_empty();
                flow.take(message.events, &message.attempts);
                (changed, over)
            }
        };
        if changed || flow.is_ahead() {
            flow.again.soon();
        }
        if over { Next::Over } else { Next::On }
    });
}

#[component]
fn Tabs(flow: Flow) -> impl IntoView {
    let (tab, set_tab) = query("tab");
    let (task, set_task) = query("task");
    let chosen = Memo::new(move |_| {
        let asked = tab.get();
        let known = TABS.iter().find(|(name, _)| *name == asked);
        known.map_or("graph", |(name, _)| *name)
    });
    let choose = move |name: &str| {
        set_tab(if name == "graph" { String::new() } else { name.to_owned() });
    };
    let select = Callback::new(set_task);
    let step = move |event: leptos::ev::KeyboardEvent| {
        let by = match &*event.key() {
            "ArrowRight" => 1,
            "ArrowLeft" => TABS.len() - 1,
            _ => return,
        };
        event.prevent_default();
        let now = TABS.iter().position(|(name, _)| *name == chosen.get_untracked()).unwrap_or(0);
        let (name, _) = TABS[(now + by) % TABS.len()];
        choose(name);
        if let Some(button) = document().get_element_by_id(&format!("tab-{name}")) {
            use wasm_bindgen::JsCast;
            let _ = button.unchecked_ref::<web_sys::HtmlElement>().focus();
        }
    };
    let buttons = TABS.map(|(name, text)| {
        view! {
            <button type="button" role="tab" id=format!("tab-{name}") aria-controls="tab-panel"
                aria-selected=move || (chosen.get() == name).to_string()
                tabindex=move || if chosen.get() == name { "0" } else { "-1" }
                on:click=move |_| choose(name)>
                {text}
            </button>
        }
    });
    let panel = move || match chosen.get() {
        "timeline" => view! { <Timeline flow=flow task=task select=select /> }.into_any(),
        "history" => view! { <History flow=flow task=task /> }.into_any(),
        "data" => view! { <Data flow=flow /> }.into_any(),
        "source" => view! { <Source flow=flow task=task select=select /> }.into_any(),
        _ => view! { <Drawing flow=flow task=task select=select /> }.into_any(),
    };
    let aside = Memo::new(move |_| {
        let shown = matches!(chosen.get(), "graph" | "timeline" | "source");
        shown.then(|| task.get()).filter(|task| !task.is_empty())
    });
    view! {
        <div class="segments flow-tabs" role="tablist" aria-label="Views of the workflow"
            on:keydown=step>
            {buttons.into_iter().collect_view()}
        </div>
        <div class="flow-view" class:with-aside=move || aside.get().is_some()>
            <div role="tabpanel" id="tab-panel" class="flow-main"
                aria-labelledby=move || format!("tab-{}", chosen.get())>
                {panel}
            </div>
            {move || aside.get().map(|task| view! {
                <TaskPanel flow=flow task=task select=select />
            })}
        </div>
    }
}
