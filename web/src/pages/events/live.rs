//! Which events are followed.

use leptos::prelude::*;
use planaria_view::events;

use super::stream::Stream;
use crate::ui::query;

/// How types begin; offered while somebody types.
const PREFIXES: &[&str] = &[
    "io.serverlessworkflow.workflow.",
    "io.serverlessworkflow.task.",
    "dev.planaria.attempt.",
    "dev.planaria.healing.",
    "dev.planaria.worker.",
    "dev.planaria.workflow.",
];

#[component]
pub(super) fn Live() -> impl IntoView {
    let (types, set_types) = query("type");
    let (namespace, set_namespace) = query("namespace");
    let (definition, set_definition) = query("definition");
    let (workflow, set_workflow) = query("workflow");
    let (text, set_text) = query("text");
    let (from, set_from) = query("from");
    // A stream has one filter: another filter is another stream.
    let wanted = Memo::new(move |_| {
        let filter = events::filter(
            &types.get(),
            &namespace.get(),
            &definition.get(),
            &workflow.get(),
            &text.get(),
        );
        (filter, from.get() == "start")
    });
    let prefixes = PREFIXES.iter().map(|prefix| view! { <option value=*prefix /> });
    view! {
        <form class="filters" role="search" aria-label="Which events"
            on:submit=|event| event.prevent_default()>
            <Field label="Type begins with" value=types set=set_types list="event-types" />
            <Field label="Namespace" value=namespace set=set_namespace />
            <Field label="Definition" value=definition set=set_definition />
            <Field label="Workflow" value=workflow set=set_workflow />
            <Field label="Text" value=text set=set_text />
            <label class="field">
                "From"
                <select prop:value=from on:change=move |event| set_from(event_target_value(&event))>
                    <option value="" selected=move || from.get().is_empty()>"now on"</option>
                    <option value="start" selected=move || from.get() == "start">
                        "the oldest kept"
                    </option>
                </select>
            </label>
            <datalist id="event-types">{prefixes.collect_view()}</datalist>
        </form>
        {move || {
            let (filter, oldest) = wanted.get();
            view! { <Stream filter=filter oldest=oldest /> }
        }}
    }
}

/// A text of the filter; the stream changes when it is left or Enter is pressed.
#[component]
fn Field(
    label: &'static str,
    value: Memo<String>,
    set: impl Fn(String) + Copy + 'static,
    #[prop(optional)] list: &'static str,
) -> impl IntoView {
    let list = (!list.is_empty()).then_some(list);
    view! {
        <label class="field">
            {label}
            <input type="text" prop:value=value list=list autocomplete="off" spellcheck="false"
                on:change=move |event| set(event_target_value(&event)) />
        </label>
    }
}
