//! Lets the workflow go on from its fault, with another input if one is given.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::retry::v1::RedriveDeadLettersRequest;
use planaria_proto::types::v1::Payload;
use planaria_proto::workflow::v1::GetHistoryRequest;
use planaria_view::letters::raw_input;
use tonic::Code;

use crate::mesh::{self, Again, Failure};
use crate::ui::{Oops, payload_text};

/// The most that one answer has. What longer histories gave a task is not shown.
const EVENTS_MAX: u32 = 10_000;

#[component]
pub(super) fn RedriveOne(
    id: String,
    workflow_id: String,
    task: String,
    again: Again,
) -> impl IntoView {
    // What it had, if its history tells that.
    let had = RwSignal::new(String::new());
    let input = RwSignal::new(String::new());
    spawn_local(async move {
        let request = GetHistoryRequest { workflow_id, after_seq: 0, page_size: EVENTS_MAX };
        // Without it, somebody has to write all of the new input.
        let Ok(answer) = mesh::workflows().get_history(request).await else { return };
        let history = answer.into_inner();
        let raw = if history.more { None } else { raw_input(&history.events, &task) };
        let Some(raw) = raw else { return };
        let text = payload_text(&Payload { content_type: String::new(), data: raw.into() });
        had.try_set(text.clone());
        // Nothing that somebody has written meanwhile is lost.
        input.try_update(|input| {
            if input.is_empty() {
                *input = text
            }
        });
    });
    let changed = Memo::new(move |_| {
        let text = input.get();
        !text.trim().is_empty() && text.trim() != had.get().trim()
    });
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let wrong = Memo::new(move |_| {
        input.with(|text| {
            let text = text.trim();
            let read = serde_json::from_str::<serde_json::Value>(text);
            read.err().filter(|_| !text.is_empty()).map(|problem| format!("No JSON: {problem}"))
        })
    });
    let go = move |_| {
        let text = input.get_untracked();
        let input = changed
            .get_untracked()
            .then(|| Payload { content_type: String::new(), data: text.into_bytes().into() });
        let request = RedriveDeadLettersRequest { ids: vec![id.clone()], input };
        busy.set(true);
        spawn_local(async move {
            let outcome = mesh::retries().redrive_dead_letters(request).await;
            busy.try_set(false);
            let problem = match outcome {
                Ok(answer) => {
                    let refused = answer.into_inner().outcomes.into_iter().find(|it| !it.redriven);
                    refused.map(|it| Failure {
                        code: Code::FailedPrecondition,
                        reason: String::new(),
                        message: format!("It was not redriven: {}", it.detail),
                    })
                }
                Err(status) => Some(status.into()),
            };
            failure.try_set(problem);
            again.now();
        });
    };
    let label = move || match changed.get() {
        true => "Redrive with this input",
        false => "Redrive as it was",
    };
    view! {
        <section class="card">
            <h2>"Let it go on"</h2>
            <p>"The workflow goes on from its fault, with fresh retries."</p>
            <label class="field">
                "The raw input of the task, as JSON: what its expressions read. Change it, and it \
                 goes on with what you wrote."
                <textarea rows="8" spellcheck="false" prop:value=move || input.get()
                    on:input=move |event| input.set(event_target_value(&event))></textarea>
            </label>
            <p class="wrong" role="status">{wrong}</p>
            {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
            <button type="button" class="primary" on:click=go
                disabled=move || busy.get() || wrong.get().is_some()>{label}</button>
        </section>
    }
}
