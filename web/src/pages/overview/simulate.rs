//! Breaks something on purpose, and leads to where one sees it heal.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_navigate;
use planaria_proto::types::v1::Payload;
use planaria_proto::workflow::v1::{PutDefinitionRequest, StartWorkflowRequest, WorkflowStart};

use crate::mesh::{self, Failure};
use crate::ui::Oops;

/// What can be broken from here: how it is called, what happens, and the order that does it.
const FAILURES: &[(&str, &str, &str)] = &[
    (
        "Crash",
        "The process of a worker ends in the middle of a task.",
        include_str!("failures/crash.yaml"),
    ),
    (
        "Hang",
        "A task stops making progress while its worker's heart beats on.",
        include_str!("failures/hang.yaml"),
    ),
    (
        "Error, N times",
        "A function fails again and again before it succeeds.",
        include_str!("failures/error.yaml"),
    ),
];
/// The one that asks how often.
const ERROR: usize = 2;
const TIMES_MAX: u32 = 9;

#[component]
pub(super) fn Simulate() -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let chosen = RwSignal::new(0usize);
    let times = RwSignal::new(2u32);
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let navigate = use_navigate();
    let open = move |_| {
        failure.set(None);
        if let Some(dialog) = dialog.get_untracked() {
            // It fails only where the dialog is open already.
            let _ = dialog.show_modal();
        }
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let go = move |_| {
        let navigate = navigate.clone();
        let document = FAILURES[chosen.get_untracked()].2;
        let input = format!("{{\"times\":{}}}", times.get_untracked());
        busy.set(true);
        spawn_local(async move {
            let outcome = start(document, input).await;
            busy.try_set(false);
            match outcome {
                Ok(id) => navigate(&format!("/workflows/{id}"), Default::default()),
                Err(problem) => {
                    failure.try_set(Some(problem));
                }
            }
        });
    };
    let choices = FAILURES
        .iter()
        .enumerate()
        .map(|(index, &(name, what, _))| {
            view! {
                <label class="choice">
                    <input type="radio" name="failure" checked=index == 0
                        on:change=move |_| chosen.set(index) />
                    <span><b>{name}</b><br /><span class="faint">{what}</span></span>
                </label>
            }
        })
        .collect_view();
    let how_often = move || {
        (chosen.get() == ERROR).then(|| {
            view! {
                <label class="field">
                    "How often"
                    <input type="number" min="1" max=TIMES_MAX.to_string()
                        prop:value=move || times.get().to_string()
                        on:input=move |event| {
                            if let Ok(number) = event_target_value(&event).parse::<u32>() {
                                times.set(number.clamp(1, TIMES_MAX));
                            }
                        } />
                </label>
            }
        })
    };
    view! {
        <button type="button" class="primary" on:click=open>"Simulate failure"</button>
        <dialog node_ref=dialog aria-label="Simulate failure">
            <h2>"Simulate failure"</h2>
            <p>"Starts a small order on your workers, breaks it, and shows it heal."</p>
            <fieldset><legend class="hidden">"What breaks"</legend>{choices}</fieldset>
            {how_often}
            {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
            <div class="buttons">
                <button type="button" on:click=close>"Leave it"</button>
                <button type="button" class="primary" on:click=go disabled=busy>
                    "Break it"
                </button>
            </div>
        </dialog>
    }
}

/// Publishes the document, if it is not there yet, and starts it; the answer is the workflow's id.
async fn start(document: &'static str, input: String) -> Result<String, Failure> {
    let source = document.as_bytes().to_vec().into();
    let put = mesh::definitions().put_definition(PutDefinitionRequest { source }).await?;
    let reference = put.into_inner().definition.unwrap_or_default().reference;
    let start = WorkflowStart {
        definition: reference,
        input: Some(Payload { content_type: String::new(), data: input.into_bytes().into() }),
        idempotency_key: String::new(),
    };
    let request = StartWorkflowRequest { start: Some(start) };
    let started = mesh::workflows().start_workflow(request).await?;
    Ok(started.into_inner().workflow_id)
}
