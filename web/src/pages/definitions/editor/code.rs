//! A text with numbers beside its lines.

use std::collections::BTreeMap;

use leptos::prelude::*;
use planaria_proto::workflow::v1::ValidateDefinitionResponse;
use wasm_bindgen::JsCast;

use crate::mesh::Loaded;

/// What the Tab key writes.
const INDENT: &str = "  ";

#[component]
pub(super) fn Code(
    text: RwSignal<String>,
    verdict: RwSignal<Loaded<ValidateDefinitionResponse>>,
    area: NodeRef<leptos::html::Textarea>,
) -> impl IntoView {
    let count = Memo::new(move |_| text.with(|text| text.split('\n').count()));
    // Lines that somebody should look at, and how much.
    let marked = Memo::new(move |_| {
        verdict.with(|verdict| {
            let Loaded::Ready(verdict) = verdict else { return BTreeMap::new() };
            let warnings = verdict.warnings.iter().map(|it| (it.line, "line at-warning"));
            let problems = verdict.problems.iter().map(|it| (it.line, "line at-fault"));
            warnings.chain(problems).collect::<BTreeMap<_, _>>()
        })
    });
    let numbers = move || {
        let count = u32::try_from(count.get()).unwrap_or(u32::MAX);
        (1..=count)
            .map(move |line| {
                let class = move || marked.with(|marked| *marked.get(&line).unwrap_or(&"line"));
                view! { <span class=class>{line}</span> }
            })
            .collect_view()
    };
    // After Escape the Tab key leaves the field, as it does everywhere else.
    let leaves = StoredValue::new(false);
    let pressed = move |event: leptos::ev::KeyboardEvent| {
        let key = event.key();
        if key == "Tab" && !event.shift_key() && !leaves.get_value() {
            event.prevent_default();
            write(INDENT);
        }
        leaves.set_value(key == "Escape");
    };
    view! {
        <div class="code">
            <div class="lines" aria-hidden="true">{numbers}</div>
            <textarea node_ref=area wrap="off" spellcheck="false" autocapitalize="off"
                autocomplete="off" aria-label="Document, YAML or JSON" aria-describedby="tab-key"
                rows=move || count.get().to_string() prop:value=text
                on:input=move |event| text.set(event_target_value(&event))
                on:keydown=pressed></textarea>
        </div>
    }
}

/// Writes where the cursor is, so that it can be undone as what is typed.
fn write(what: &str) {
    if let Some(document) = document().dyn_ref::<web_sys::HtmlDocument>() {
        // A browser that cannot do it leaves the text as it is.
        let _ = document.exec_command_with_show_ui_and_value("insertText", false, what);
    }
}
