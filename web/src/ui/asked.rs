//! What somebody asks to see, kept in the address so that it can be shared and found again.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::query_signal_with_options;

/// One member of the address's query.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    value: Memo<String>,
    set: SignalSetter<Option<String>>,
}

impl Asked {
    /// The member with this name; empty where the address does not have it.
    pub(crate) fn of(name: &'static str) -> Self {
        // The page stays where it is, and the way back leads to the page before, not through each
        // letter of a filter.
        let stay = NavigateOptions { scroll: false, replace: true, ..NavigateOptions::default() };
        let (value, set) = query_signal_with_options::<String>(name, stay);
        Self { value: Memo::new(move |_| value.get().unwrap_or_default()), set }
    }

    pub(crate) fn get(&self) -> String {
        self.value.get()
    }

    pub(crate) fn set(&self, value: &str) {
        let value = value.trim();
        self.set.set((!value.is_empty()).then(|| value.to_owned()));
    }
}

/// A text to filter by; it counts when it is entered.
#[component]
pub(crate) fn Ask(asked: Asked, #[prop(into)] label: String) -> impl IntoView {
    view! {
        <label class="field">
            {label}
            <input type="text" autocomplete="off" spellcheck="false"
                prop:value=move || asked.get()
                on:change=move |event| asked.set(&event_target_value(&event)) />
        </label>
    }
}

/// One of several; none of them is "all".
#[component]
pub(crate) fn Pick(
    asked: Asked,
    #[prop(into)] label: String,
    #[prop(into)] all: String,
    options: Vec<String>,
) -> impl IntoView {
    let options = options.into_iter().map(|name| {
        let value = name.clone();
        let chosen = {
            let value = value.clone();
            move || asked.get() == value
        };
        view! { <option value=value selected=chosen>{name}</option> }
    });
    view! {
        <label class="field">
            {label}
            <select on:change=move |event| asked.set(&event_target_value(&event))>
                <option value="" selected=move || asked.get().is_empty()>{all}</option>
                {options.collect_view()}
            </select>
        </label>
    }
}

/// Buttons side by side; the first is meant where the address says nothing.
#[component]
pub(crate) fn Switch(
    asked: Asked,
    #[prop(into)] label: String,
    /// Name in the address and on the button.
    options: Vec<(String, String)>,
) -> impl IntoView {
    let first = options.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let buttons = options.into_iter().map(|(name, text)| {
        let (value, first) = (name.clone(), first.clone());
        let pressed = move || {
            let asked = asked.get();
            (asked == name || (asked.is_empty() && name == first)).to_string()
        };
        view! {
            <button type="button" aria-pressed=pressed on:click=move |_| asked.set(&value)>
                {text}
            </button>
        }
    });
    view! { <div class="segments" role="group" aria-label=label>{buttons.collect_view()}</div> }
}
