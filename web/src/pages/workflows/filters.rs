//! Which workflows one wants to see.

use leptos::prelude::*;
use planaria_view::names;
use planaria_view::workflows::{PHASES, PRESETS, Started, WorkflowFilter};
use wasm_bindgen::JsValue;

use crate::clock::now_ms;

/// What the choice of the time is called that is none of the presets.
const BETWEEN: &str = "between";
const DAY_MS: i64 = 86_400_000;

/// Buttons for the phases; none = all.
#[component]
pub(super) fn Phases(filter: Memo<WorkflowFilter>, set: Callback<WorkflowFilter>) -> impl IntoView {
    let phases = PHASES.into_iter().map(|phase| {
        let pressed = move || filter.with(|filter| filter.phases.contains(&phase)).to_string();
        let toggle = move |_| {
            let mut changed = filter.get_untracked();
            let chosen = |it: &_| (*it == phase) != changed.phases.contains(it);
            changed.phases = PHASES.into_iter().filter(chosen).collect();
            set.run(changed);
        };
        view! {
            <button type="button" aria-pressed=pressed on:click=toggle>
                {names::phase(phase)}
            </button>
        }
    });
    view! {
        <div class="segments" role="group" aria-label="Phases">{phases.collect_view()}</div>
    }
}

#[component]
pub(super) fn Filters(
    filter: Memo<WorkflowFilter>,
    set: Callback<WorkflowFilter>,
) -> impl IntoView {
    let change = move |change: &dyn Fn(&mut WorkflowFilter)| {
        let mut changed = filter.get_untracked();
        change(&mut changed);
        set.run(changed);
    };
    let text = move || filter.with(|filter| filter.text.clone());
    let definition = move || filter.with(|filter| filter.definition.to_string());
    view! {
        <form class="filters which" role="search" aria-label="Which workflows"
            on:submit=|event| event.prevent_default()>
            <label class="field">
                "Definition"
                <input type="text" placeholder="namespace/name:version" autocomplete="off"
                    spellcheck="false" prop:value=definition
                    on:change=move |event| {
                        let text = event_target_value(&event);
                        change(&|filter| filter.definition = text.parse().unwrap_or_default());
                    } />
            </label>
            <StartedField filter=filter set=set />
            <label class="field">
                "Text in loaded rows"
                <input type="search" placeholder="id, definition, waiting for" autocomplete="off"
                    spellcheck="false" prop:value=text
                    on:input=move |event| {
                        let text = event_target_value(&event);
                        change(&|filter| filter.text.clone_from(&text));
                    } />
            </label>
            <fieldset class="row marks">
                <legend class="hidden">"Only workflows that are"</legend>
                <Mark label="retrying" about="A task waits for a retry"
                    set=move |on| change(&|filter| filter.retrying = on)
                    is=Memo::new(move |_| filter.get().retrying) />
                <Mark label="waiting for a worker" about="A task waits for a worker of its function"
                    set=move |on| change(&|filter| filter.waiting_for_worker = on)
                    is=Memo::new(move |_| filter.get().waiting_for_worker) />
                <Mark label="frozen" about="The history is damaged: nothing of it runs"
                    set=move |on| change(&|filter| filter.frozen = on)
                    is=Memo::new(move |_| filter.get().frozen) />
                {move || (filter.get() != WorkflowFilter::default()).then(|| view! {
                    <button type="button" on:click=move |_| set.run(WorkflowFilter::default())>
                        "Clear"
                    </button>
                })}
            </fieldset>
        </form>
    }
}

#[component]
fn Mark(
    label: &'static str,
    about: &'static str,
    is: Memo<bool>,
    set: impl Fn(bool) + 'static,
) -> impl IntoView {
    view! {
        <label class="check" title=about>
            <input type="checkbox" prop:checked=is
                on:change=move |event| set(event_target_checked(&event)) />
            {label}
        </label>
    }
}

/// A preset, or two moments.
#[component]
fn StartedField(filter: Memo<WorkflowFilter>, set: Callback<WorkflowFilter>) -> impl IntoView {
    let put = move |started| {
        set.run(WorkflowFilter { started, ..filter.get_untracked() });
    };
    let name = Memo::new(move |_| match filter.get().started {
        Started::Ever => "",
        Started::Between(..) => BETWEEN,
        Started::Last(seconds) => {
            PRESETS.iter().find(|preset| preset.2 == seconds).map_or("", |preset| preset.0)
        }
    });
    let choose = move |event| {
        let chosen: String = event_target_value(&event);
        let preset = PRESETS.iter().find(|preset| preset.0 == chosen);
        put(match preset {
            Some(preset) => Started::Last(preset.2),
            None if chosen == BETWEEN => {
                let minute = now_ms() / 60_000 * 60_000;
                Started::Between(Some(minute - DAY_MS), None)
            }
            None => Started::Ever,
        });
    };
    let presets = PRESETS.iter().map(|&(short, words, _)| {
        view! {
            <option value=short selected=move || name.get() == short>{words}</option>
        }
    });
    let bounds = Memo::new(move |_| match filter.get().started {
        Started::Between(after, before) => (after, before),
        _ => (None, None),
    });
    let moments = move || {
        (name.get() == BETWEEN).then(|| {
            view! {
                <label class="field">
                    "Not before"
                    <input type="datetime-local"
                        prop:value=move || bounds.get().0.map(local).unwrap_or_default()
                        on:change=move |event| {
                            let after = moment(&event_target_value(&event));
                            put(Started::Between(after, bounds.get_untracked().1));
                        } />
                </label>
                <label class="field">
                    "Before"
                    <input type="datetime-local"
                        prop:value=move || bounds.get().1.map(local).unwrap_or_default()
                        on:change=move |event| {
                            let before = moment(&event_target_value(&event));
                            put(Started::Between(bounds.get_untracked().0, before));
                        } />
                </label>
            }
        })
    };
    view! {
        <label class="field">
            "Started"
            <select on:change=choose>
                <option value="" selected=move || name.get().is_empty()>"ever"</option>
                {presets.collect_view()}
                <option value=BETWEEN selected=move || name.get() == BETWEEN>"between …"</option>
            </select>
        </label>
        {moments}
    }
}

/// A moment as the browser's field has it: on the clock of whoever looks.
fn local(ms: i64) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(ms as f64));
    let here = ms as f64 - date.get_timezone_offset() * 60_000.0;
    let text = js_sys::Date::new(&JsValue::from_f64(here)).to_iso_string();
    text.as_string().and_then(|text| text.get(..16).map(str::to_owned)).unwrap_or_default()
}

fn moment(text: &str) -> Option<i64> {
    let ms = js_sys::Date::new(&JsValue::from_str(text)).get_time();
    ms.is_finite().then_some(ms as i64)
}
