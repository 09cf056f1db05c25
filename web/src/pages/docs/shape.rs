//! What a message is made of, down to the last of its fields; or the values of an enum.

use leptos::prelude::*;
use planaria_view::api::{Field, Type, Value};

use super::API;

/// The fields of a message or the values of an enum, by its full name.
#[component]
pub(super) fn Shape(name: String) -> impl IntoView {
    let it = API.as_ref().ok().and_then(|api| api.types.get(&name));
    match it {
        Some(Type::Message(message)) if message.fields.is_empty() => {
            view! { <p class="faint">"It has no fields."</p> }.into_any()
        }
        Some(Type::Message(message)) => {
            let fields = message.fields.iter().map(|field| view! { <FieldEntry field=field /> });
            view! { <ul class="shape">{fields.collect_view()}</ul> }.into_any()
        }
        Some(Type::Enum(it)) => {
            let values = it.values.iter().map(|value| view! { <ValueEntry value=value /> });
            view! { <ul class="shape">{values.collect_view()}</ul> }.into_any()
        }
        None => view! { <p class="faint">"The contract does not tell more."</p> }.into_any(),
    }
}

#[component]
fn FieldEntry(field: &'static Field) -> impl IntoView {
    let head = move || {
        let choice = field.one_of.as_ref().map(|name| format!("one of {name}"));
        view! {
            <code class="name">{field.json_name.clone()}</code>
            <span class="type">{field.kind.clone()}</span>
            {choice.map(|choice| view! { <span class="faint">{choice}</span> })}
            <span class="faint about">{field.about.clone()}</span>
        }
    };
    let Some(link) = field.link.clone() else {
        return view! { <li class="row head">{head()}</li> }.into_any();
    };
    let opened = RwSignal::new(false);
    let toggled = move |event: leptos::ev::Event| {
        let details: leptos::web_sys::HtmlDetailsElement = event_target(&event);
        if details.open() {
            opened.set(true);
        }
    };
    // A message may lead to itself: its fields are there when somebody looks.
    let inside = move || {
        opened.get().then(|| {
            let name = link.clone();
            view! {
                <a class="detail" href=format!("#{link}")>{link.clone()}</a>
                <Shape name=name />
            }
            .into_any()
        })
    };
    view! {
        <li>
            <details on:toggle=toggled>
                <summary class="row head">{head()}</summary>
                <div class="inside">{inside}</div>
            </details>
        </li>
    }
    .into_any()
}

#[component]
fn ValueEntry(value: &'static Value) -> impl IntoView {
    view! {
        <li class="row head">
            <code class="name">{value.name.clone()}</code>
            <span class="faint">{value.number}</span>
            <span class="faint about">{value.about.clone()}</span>
        </li>
    }
}
