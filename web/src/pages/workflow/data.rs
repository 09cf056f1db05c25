//! What went in, and what came out.

use leptos::prelude::*;
use planaria_proto::types::v1::{Phase, WorkflowError};
use serde_json::json;

use super::flow::Flow;
use crate::ui::{Empty, Json};

#[component]
pub(super) fn Data(flow: Flow) -> impl IntoView {
    let input = Memo::new(move |_| flow.with(|story| story.input.clone()));
    let output = Memo::new(move |_| flow.with(|story| story.output.clone()));
    let error = Memo::new(move |_| flow.with(|story| story.error.clone()));
    let phase = Memo::new(move |_| flow.with(|story| story.phase));
    let result = move || match (output.get(), error.get()) {
        (Some(output), _) => view! { <h2>"Output"</h2><Json data=output /> }.into_any(),
        (None, Some((error, _))) => view! {
            <h2>"Error"</h2><Json data=document_of(&error) />
        }
        .into_any(),
        (None, None) => view! {
            <h2>"Output"</h2>
            <Empty text=match phase.get() {
                Phase::Cancelled => "It was cancelled: it has none.",
                _ => "It is under way: its output is here when it completes.",
            } />
        }
        .into_any(),
    };
    view! {
        <div class="columns">
            <section class="card">
                <h2>"Input"</h2>
                {move || view! { <Json data=input.get() /> }}
            </section>
            <section class="card">{result}</section>
        </div>
    }
}

/// An error as a document.
pub(super) fn document_of(error: &WorkflowError) -> Vec<u8> {
    let document = json!({
        "type": error.r#type, "status": error.status, "title": error.title,
        "detail": error.detail, "instance": error.instance,
    });
    document.to_string().into_bytes()
}
