//! Makes a webhook.

use leptos::prelude::*;
use planaria_proto::notification::v1::CreateWebhookRequest;
use planaria_view::events;

use super::webhooks::Made;
use crate::mesh;
use crate::ui::Confirm;

#[component]
pub(super) fn NewWebhook(made: Made, changed: Callback<()>) -> impl IntoView {
    let url = RwSignal::new(String::new());
    let description = RwSignal::new(String::new());
    let types = RwSignal::new(String::new());
    let namespace = RwSignal::new(String::new());
    let definition = RwSignal::new(String::new());
    let workflow = RwSignal::new(String::new());
    let text = RwSignal::new(String::new());
    let all = [url, description, types, namespace, definition, workflow, text];
    let act = move || {
        let filter = events::filter(
            &types.get_untracked(),
            &namespace.get_untracked(),
            &definition.get_untracked(),
            &workflow.get_untracked(),
            &text.get_untracked(),
        );
        let request = CreateWebhookRequest {
            url: url.get_untracked().trim().to_owned(),
            filter: Some(filter),
            description: description.get_untracked(),
            secret: String::new(),
        };
        async move {
            let to = request.url.clone();
            let answer = mesh::notification().create_webhook(request).await?.into_inner();
            made.set(Some((to, answer.secret)));
            for field in all {
                field.set(String::new());
            }
            changed.run(());
            Ok(())
        }
    };
    view! {
        <Confirm label="New webhook" class="primary" act=act
            question="Posts the events that happen from now on to a URL.">
            <div class="fields">
                <Field label="URL" value=url kind="url" hint="https://example.com/events" />
                <Field label="Description" value=description />
                <Field label="Types begin with" value=types hint="every type" />
                <Field label="Namespace" value=namespace hint="every namespace" />
                <Field label="Definition" value=definition hint="every definition" />
                <Field label="Workflow" value=workflow hint="every workflow" />
                <Field label="Text in it" value=text hint="any text" />
            </div>
        </Confirm>
    }
}

#[component]
fn Field(
    label: &'static str,
    value: RwSignal<String>,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    view! {
        <label class="field">
            {label}
            <input type=kind prop:value=value placeholder=hint autocomplete="off"
                on:input=move |event| value.set(event_target_value(&event)) />
        </label>
    }
}
