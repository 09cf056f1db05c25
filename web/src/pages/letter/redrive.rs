//! Lets the workflow go on from its fault, with another input if one is given.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::retry::v1::RedriveDeadLettersRequest;
use planaria_proto::types::v1::Payload;
use tonic::Code;

use crate::mesh::{self, Again, Failure};
use crate::ui::Oops;

#[component]
pub(super) fn RedriveOne(id: String, again: Again) -> impl IntoView {
    let input = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let wrong = Memo::new(move |_| input.with(|text| {
        let text = text.trim();
        let read = serde_json::from_str::<serde_json::Value>(text);
        read.err().filter(|_| !text.is_empty()).map(|problem| format!("No JSON: {problem}"))
    }));
    let go = move |_| {
        let text = input.get_untracked();
        let input = (!text.trim().is_empty()).then(|| Payload {
            content_type: String::new(),
            data: text.into_bytes().into(),
        });
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
    let label = move || match input.with(|text| text.trim().is_empty()) {
        true => "Redrive as it was",
        false => "Redrive with this input",
    };
    view! {
        <section class="card">
            <h2>"Let it go on"</h2>
            <p>"The workflow goes on from its fault, with fresh retries."</p>
            <label class="field">
                "Another raw input for the task, as JSON: what its expressions read. Empty = the one \
                 it had."
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
