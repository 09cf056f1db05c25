//! Starting a workflow, with a form for what it takes.

mod fields;

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use planaria_proto::types::v1::Payload;
use planaria_proto::workflow::v1::{Definition, StartWorkflowRequest, WorkflowStart};
use planaria_view::definitions::{self, Field, parse};
use serde_json::Value;

use crate::mesh::{self, Failure};
use crate::ui::Oops;
use fields::{Fields, initial};

/// Texts or problems by the pointers of their fields.
pub(super) type ByField = RwSignal<BTreeMap<String, String>>;

/// The field of an input without a schema.
const WHOLE: &str = "";

#[component]
pub(super) fn Run(of: Definition) -> impl IntoView {
    let form = parse(&of.source).ok().and_then(|document| definitions::fields(&document));
    let texts: ByField = RwSignal::new(match &form {
        Some(form) => initial(form),
        None => BTreeMap::from([(WHOLE.to_owned(), "{}".to_owned())]),
    });
    let problems: ByField = RwSignal::default();
    let key = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let navigate = use_navigate();
    let reference = of.reference;
    let kept = StoredValue::new(form.clone());
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let input =
            texts.with_untracked(|texts| kept.with_value(|form| read(form.as_deref(), texts)));
        let input = match input {
            Ok(input) => input,
            Err(found) => return problems.set(found),
        };
        problems.set(BTreeMap::new());
        failure.set(None);
        busy.set(true);
        let navigate = navigate.clone();
        let start = WorkflowStart {
            definition: reference.clone(),
            input: Some(Payload {
                content_type: String::new(),
                data: input.to_string().into_bytes().into(),
            }),
            idempotency_key: key.get_untracked().trim().to_owned(),
        };
        spawn_local(async move {
            let request = StartWorkflowRequest { start: Some(start) };
            let answer = mesh::workflows().start_workflow(request).await;
            busy.try_set(false);
            match answer {
                Ok(answer) => {
                    let page = format!("/workflows/{}", answer.into_inner().workflow_id);
                    navigate(&page, NavigateOptions::default());
                }
                Err(status) => {
                    failure.try_set(Some(status.into()));
                }
            }
        });
    };
    let body = match form {
        Some(form) => view! { <Fields fields=form texts=texts problems=problems /> }.into_any(),
        None => view! { <Whole texts=texts problems=problems /> }.into_any(),
    };
    view! {
        <section class="card">
            <h2>"Run"</h2>
            <form class="run-form" novalidate on:submit=submit>
                {body}
                <label class="field">
                    "Idempotency key (optional: the same key starts it once)"
                    <input type="text" maxlength="128" autocomplete="off" spellcheck="false"
                        prop:value=key on:input=move |event| key.set(event_target_value(&event)) />
                </label>
                {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
                <button type="submit" class="primary" disabled=busy>"Start"</button>
            </form>
        </section>
    }
}

/// The input as JSON, where no schema says what it is.
#[component]
fn Whole(texts: ByField, problems: ByField) -> impl IntoView {
    let text = move || texts.with(|texts| texts.get(WHOLE).cloned().unwrap_or_default());
    let problem = move || problems.with(|problems| problems.get(WHOLE).cloned());
    let typed = move |event: leptos::ev::Event| {
        texts.update(|texts| {
            texts.insert(WHOLE.to_owned(), event_target_value(&event));
        });
        let found = texts.with_untracked(|texts| read(None, texts));
        problems.set(found.err().unwrap_or_default());
    };
    view! {
        <label class="field">
            "Input, JSON"
            <textarea rows="6" spellcheck="false" prop:value=text on:input=typed
                aria-invalid=move || problem().is_some().to_string()></textarea>
            {move || problem().map(|problem| view! {
                <span class="problem" role="alert">{problem}</span>
            })}
        </label>
    }
}

/// The input, or what is wrong with which field.
fn read(
    form: Option<&[Field]>,
    texts: &BTreeMap<String, String>,
) -> Result<Value, BTreeMap<String, String>> {
    match form {
        Some(form) => definitions::read(form, texts),
        None => {
            let text = texts.get(WHOLE).map_or("", |text| text.trim());
            let text = if text.is_empty() { "{}" } else { text };
            serde_json::from_str(text).map_err(|error| {
                BTreeMap::from([(WHOLE.to_owned(), format!("This is not JSON: {error}"))])
            })
        }
    }
}
