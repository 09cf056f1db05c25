//! Filters that somebody gave a name. This browser keeps them.

use leptos::prelude::*;
use planaria_view::workflows::WorkflowFilter;

const PLACE: &str = "planaria-workflow-filters";

/// Names and queries, in the order of their names.
type Kept = Vec<(String, String)>;

#[component]
pub(super) fn Saved(filter: Memo<WorkflowFilter>) -> impl IntoView {
    let kept = RwSignal::new(read());
    let name = RwSignal::new(String::new());
    let keep = move |change: &dyn Fn(&mut Kept)| {
        kept.update(|kept| {
            change(kept);
            kept.sort_unstable();
            write(kept);
        });
    };
    let save = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let called = name.get_untracked().trim().to_owned();
        if called.is_empty() {
            return;
        }
        let query = filter.get_untracked().to_query();
        keep(&|kept| {
            kept.retain(|(known, _)| *known != called);
            kept.push((called.clone(), query.clone()));
        });
        name.set(String::new());
    };
    let links = move || {
        kept.get().into_iter().map(|(called, query)| {
            let here = {
                let query = query.clone();
                move || (filter.get().to_query() == query).then_some("true")
            };
            let forgotten = called.clone();
            view! {
                <li>
                    <a href=format!("/workflows{query}") aria-current=here>{called.clone()}</a>
                    <button type="button" class="copy" aria-label=format!("Forget filter {called}")
                        on:click=move |_| keep(&|kept| kept.retain(|it| it.0 != forgotten))>
                        "✕"
                    </button>
                </li>
            }
        }).collect_view()
    };
    let none = move || kept.with(Vec::is_empty);
    let all = move || filter.get() == WorkflowFilter::default();
    let form = move || {
        (!all()).then(|| view! {
            <form class="row" on:submit=save>
                <label>
                    <span class="hidden">"Name for this filter"</span>
                    <input type="text" placeholder="name this filter" prop:value=name
                        on:input=move |event| name.set(event_target_value(&event)) />
                </label>
                <button type="submit" disabled=move || name.get().trim().is_empty()>"Save"</button>
            </form>
        })
    };
    view! {
        <div class="row saved" class:hidden-away=move || none() && all()>
            <ul class="row" aria-label="Saved filters">{links}</ul>
            {form}
        </div>
    }
}

fn read() -> Kept {
    let storage = window().local_storage().ok().flatten();
    let text = storage.and_then(|storage| storage.get_item(PLACE).ok().flatten());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn write(kept: &Kept) {
    let storage = window().local_storage().ok().flatten();
    if let (Some(storage), Ok(text)) = (storage, serde_json::to_string(kept)) {
        // A browser that keeps nothing has them until the page is left.
        let _ = storage.set_item(PLACE, &text);
    }
}
