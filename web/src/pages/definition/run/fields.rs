//! The fields of a form that was made of a schema.

use std::collections::BTreeMap;

use leptos::prelude::*;
use planaria_view::definitions::{Field, Kind};
use serde_json::Value;

use super::ByField;

/// What the fields are filled in with at first.
pub(super) fn initial(fields: &[Field]) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for field in fields {
        match &field.kind {
            Kind::Object(inner) => texts.extend(initial(inner)),
            _ if field.initial.is_empty() => {}
            _ => {
                texts.insert(field.pointer.clone(), field.initial.clone());
            }
        }
    }
    texts
}

#[component]
pub(super) fn Fields(fields: Vec<Field>, texts: ByField, problems: ByField) -> impl IntoView {
    let required = fields.iter().any(|field| field.required);
    let note = required.then(|| view! { <p class="detail">"Fields with * are required."</p> });
    view! { {note}{fields.into_iter().map(|it| field(it, texts, problems)).collect_view()} }
}

fn field(field: Field, texts: ByField, problems: ByField) -> AnyView {
    let Field { pointer, name, description, required, kind, .. } = field;
    let about =
        (!description.is_empty()).then(|| view! { <span class="detail">{description}</span> });
    let mark = required.then(|| view! { <span class="needed" aria-hidden="true">" *"</span> });
    if let Kind::Object(inner) = kind {
        let inner = inner.into_iter().map(|it| self::field(it, texts, problems)).collect_view();
        return view! {
            <fieldset class="object">
                <legend>{name}{mark}</legend>
                {about}
                {inner}
            </fieldset>
        }
        .into_any();
    }
    let pointer = StoredValue::new(pointer);
    let text = move || {
        pointer.with_value(|pointer| {
            texts.with(|texts| texts.get(pointer).cloned().unwrap_or_default())
        })
    };
    let typed = move |event: leptos::ev::Event| {
        let pointer = pointer.get_value();
        problems.update(|problems| {
            problems.remove(&pointer);
        });
        texts.update(|texts| {
            texts.insert(pointer, event_target_value(&event));
        });
    };
    let problem = move || {
        pointer.with_value(|pointer| problems.with(|problems| problems.get(pointer).cloned()))
    };
    let wrong = move || problem().is_some().to_string();
    let control = control(kind, text, typed, wrong, required);
    view! {
        <label class="field">
            <span>{name}{mark}" "{about}</span>
            {control}
            {move || problem().map(|problem| view! {
                <span class="problem" role="alert">{problem}</span>
            })}
        </label>
    }
    .into_any()
}

/// What a value is filled in with.
fn control(
    kind: Kind,
    text: impl Fn() -> String + Copy + Send + Sync + 'static,
    typed: impl Fn(leptos::ev::Event) + 'static,
    wrong: impl Fn() -> String + Send + Sync + 'static,
    required: bool,
) -> AnyView {
    let needed = required.to_string();
    match kind {
        Kind::Bool => {
            let words = [("true", "yes"), ("false", "no")];
            let options = words.map(|(value, word)| (value.to_owned(), word.to_owned()));
            choice(options.to_vec(), text, typed, wrong, required)
        }
        Kind::Choice(values) => {
            let word = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let options = values.into_iter().enumerate();
            let options = options.map(|(index, value)| (index.to_string(), word(value)));
            choice(options.collect(), text, typed, wrong, required)
        }
        Kind::Json => view! {
            <textarea rows="3" spellcheck="false" placeholder="JSON" prop:value=text
                on:input=typed aria-required=needed aria-invalid=wrong></textarea>
        }
        .into_any(),
        kind => {
            let mode = match kind {
                Kind::Integer => "numeric",
                Kind::Number => "decimal",
                _ => "text",
            };
            view! {
                <input type="text" inputmode=mode autocomplete="off" prop:value=text
                    on:input=typed aria-required=needed aria-invalid=wrong />
            }
            .into_any()
        }
    }
}

/// One of several, by their values and words; none at first.
fn choice(
    options: Vec<(String, String)>,
    text: impl Fn() -> String + Copy + Send + Sync + 'static,
    typed: impl Fn(leptos::ev::Event) + 'static,
    wrong: impl Fn() -> String + Send + Sync + 'static,
    required: bool,
) -> AnyView {
    let options = options.into_iter().map(|(value, word)| {
        let chosen = {
            let value = value.clone();
            move || text() == value
        };
        view! { <option value=value selected=chosen>{word}</option> }
    });
    view! {
        <select on:change=typed aria-required=required.to_string() aria-invalid=wrong>
            <option value="" selected=move || text().is_empty()>"–"</option>
            {options.collect_view()}
        </select>
    }
    .into_any()
}
