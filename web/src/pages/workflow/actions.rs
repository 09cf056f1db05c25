//! What can be done with the workflow as it is.

use std::future::Future;

use leptos::prelude::*;
use planaria_proto::types::v1::{CloudEvent, Phase};
use planaria_proto::workflow::v1::{
    CancelWorkflowRequest, ResumeWorkflowRequest, RetryWorkflowRequest, SignalWorkflowRequest,
    SuspendWorkflowRequest,
};
use planaria_view::names;

use super::flow::Flow;
use crate::mesh::{self, Failure, Loaded};
use crate::ui::Confirm;

#[component]
pub(super) fn Actions(flow: Flow) -> impl IntoView {
    let known = Memo::new(move |_| flow.whole.with(|whole| matches!(whole, Loaded::Ready(_))));
    // Running and waiting are the same here: the buttons must not be made anew between the two,
    // or a dialog would close while somebody writes into it.
    let phase = Memo::new(move |_| match flow.phase_now() {
        Phase::Pending | Phase::Waiting => Phase::Running,
        phase => phase,
    });
    move || {
        if !known.get() {
            return ().into_any();
        }
        match phase.get() {
            Phase::Running => view! {
                <Signal flow=flow /><Suspend flow=flow /><Cancel flow=flow />
            }
            .into_any(),
            Phase::Suspended => view! {
                <Resume flow=flow /><Signal flow=flow /><Cancel flow=flow />
            }
            .into_any(),
            Phase::Faulted => view! { <Retry flow=flow /><Cancel flow=flow /> }.into_any(),
            _ => ().into_any(),
        }
    }
}

/// Does something; when it is done, the page shows what came of it.
pub(super) async fn then<T>(
    flow: Flow,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<(), Failure> {
    call.await?;
    flow.done();
    Ok(())
}

#[component]
fn Reason(reason: RwSignal<String>) -> impl IntoView {
    view! {
        <label class="field">
            "Reason, kept in the history"
            <input type="text" prop:value=reason
                on:input=move |event| reason.set(event_target_value(&event)) />
        </label>
    }
}

#[component]
fn Suspend(flow: Flow) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let act = move || {
        let workflow_id = flow.id.get_untracked();
        let request = SuspendWorkflowRequest { workflow_id, reason: reason.get_untracked() };
        then(flow, async move { mesh::workflows().suspend_workflow(request).await })
    };
    view! {
        <Confirm label="Suspend" act=act
            question="Attempts that run may end; nothing new starts until it is resumed.">
            <Reason reason=reason />
        </Confirm>
    }
}

#[component]
fn Resume(flow: Flow) -> impl IntoView {
    let act = move || {
        let request = ResumeWorkflowRequest { workflow_id: flow.id.get_untracked() };
        then(flow, async move { mesh::workflows().resume_workflow(request).await })
    };
    view! {
        <Confirm label="Resume" class="primary" act=act question="It goes on where it was held." />
    }
}

#[component]
fn Cancel(flow: Flow) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let act = move || {
        let workflow_id = flow.id.get_untracked();
        let request = CancelWorkflowRequest { workflow_id, reason: reason.get_untracked() };
        then(flow, async move { mesh::workflows().cancel_workflow(request).await })
    };
    view! {
        <Confirm label="Cancel workflow" class="danger" act=act
            question="Ends the workflow for good and abandons what it has open.">
            <Reason reason=reason />
        </Confirm>
    }
}

#[component]
fn Retry(flow: Flow) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let act = move || {
        let workflow_id = flow.id.get_untracked();
        let request = RetryWorkflowRequest { workflow_id, reason: reason.get_untracked() };
        then(flow, async move { mesh::workflows().retry_workflow(request).await })
    };
    view! {
        <Confirm label="Retry" class="primary" act=act
            question="It goes on from its fault, with fresh retries. What is done stays done.">
            <Reason reason=reason />
        </Confirm>
    }
}

#[component]
fn Signal(flow: Flow) -> impl IntoView {
    let kind = RwSignal::new(String::new());
    let data = RwSignal::new("{}".to_owned());
    let act = move || {
        let (kind, data) = (kind.get_untracked().trim().to_owned(), data.get_untracked());
        let workflow_id = flow.id.get_untracked();
        async move {
            if kind.is_empty() {
                return Err(unfilled("The event needs a type, e.g. com.example.approval."));
            }
            let data = checked(&data)?;
            let event = CloudEvent {
                r#type: kind,
                spec_version: "1.0".to_owned(),
                data_content_type: "application/json".to_owned(),
                data: data.into(),
                ..CloudEvent::default()
            };
            let request = SignalWorkflowRequest { workflow_id, event: Some(event) };
            then(flow, async move { mesh::workflows().signal_workflow(request).await }).await
        }
    };
    let question = leptos::prelude::Signal::derive(move || {
        let waits = flow.whole.with(|whole| match whole {
            Loaded::Ready(whole) if !names::is_over(flow.phase_now()) => whole.waiting_for.clone(),
            _ => String::new(),
        });
        let sent = "Delivers an event to this workflow; it is kept until a task listens to it.";
        match waits.is_empty() {
            true => sent.to_owned(),
            false => format!("{sent} It waits for {waits}."),
        }
    });
    view! {
        <Confirm label="Signal" act=act question=question>
            <label class="field">
                "Type of the event"
                <input type="text" autocomplete="off" spellcheck="false" prop:value=kind
                    on:input=move |event| kind.set(event_target_value(&event)) />
            </label>
            <JsonField label="Data (JSON)" text=data />
        </Confirm>
    }
}

/// A document that somebody writes; what is wrong with it is told at once.
#[component]
pub(super) fn JsonField(#[prop(into)] label: String, text: RwSignal<String>) -> impl IntoView {
    let problem = move || text.with(|text| problem(text));
    view! {
        <label class="field">
            {label}
            <textarea rows="8" spellcheck="false" prop:value=text
                aria-invalid=move || problem().is_some().to_string()
                on:input=move |event| text.set(event_target_value(&event))></textarea>
        </label>
        <p class="json-problem" role="status">{problem}</p>
    }
}

fn problem(text: &str) -> Option<String> {
    let read = serde_json::from_str::<serde_json::Value>(text);
    read.err().map(|error| format!("This is no JSON: {error}."))
}

/// The bytes of a document that is JSON.
pub(super) fn checked(text: &str) -> Result<Vec<u8>, Failure> {
    match problem(text) {
        Some(problem) => Err(unfilled(&problem)),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// What somebody has to fill in first.
fn unfilled(message: &str) -> Failure {
    Failure {
        code: tonic::Code::InvalidArgument,
        reason: String::new(),
        message: message.to_owned(),
    }
}
