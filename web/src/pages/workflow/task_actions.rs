//! What can be done with one task.

use leptos::prelude::*;
use planaria_proto::types::v1::{Payload, Phase};
use planaria_proto::workflow::v1::{RerunWorkflowRequest, SkipTaskRequest};
use planaria_view::document::name_of;
use planaria_view::names;
use planaria_view::story::{Run, State};

use super::actions::{JsonField, checked, then};
use super::flow::Flow;
use crate::mesh;
use crate::ui::Confirm;

#[component]
pub(super) fn TaskActions(
    flow: Flow,
    task: StoredValue<String>,
    latest: Memo<Option<Run>>,
) -> impl IntoView {
    let phase = Memo::new(move |_| match flow.phase_now() {
        Phase::Pending | Phase::Waiting => Phase::Running,
        phase => phase,
    });
    // A branch has no input of its own to go on from; what was left behind was not entered.
    let rerun = Memo::new(move |_| {
        let entered =
            latest.with(|run| run.as_ref().is_some_and(|run| !run.left_behind && run.frame != 0));
        let branch = task.with_value(|task| is_branch(task));
        flow.at().is_none() && entered && !branch && phase.get() != Phase::Unspecified
    });
    let skip = Memo::new(move |_| {
        let possible = !matches!(phase.get(), Phase::Cancelled | Phase::Completed);
        flow.at().is_none()
            && possible
            && latest.with(|run| {
                run.as_ref().is_some_and(|run| {
                    !run.left_behind && (!run.state.is_over() || run.state == State::Faulted)
                })
            })
    });
    view! {
        <div class="row">
            {move || skip.get().then(|| view! { <Skip flow=flow task=task /> })}
            {move || rerun.get().then(|| view! {
                <Rerun flow=flow task=task latest=latest phase=phase />
            })}
        </div>
    }
}

/// Whether a reference is that of a fork's branch.
fn is_branch(reference: &str) -> bool {
    let mut parts = reference.rsplit('/').skip(2);
    parts.next() == Some("branches") && parts.next() == Some("fork")
}

#[component]
fn Rerun(
    flow: Flow,
    task: StoredValue<String>,
    latest: Memo<Option<Run>>,
    phase: Memo<Phase>,
) -> impl IntoView {
    let changed = RwSignal::new(false);
    let input = RwSignal::new(latest.with_untracked(|run| {
        let known = run.as_ref().and_then(|run| run.input.clone());
        let value = known.and_then(|input| serde_json::from_slice(&input).ok());
        let value = value.unwrap_or_else(|| serde_json::json!({}));
        serde_json::to_string_pretty(&value).unwrap_or_default()
    }));
    let act = move || {
        let (workflow_id, task) = (flow.id.get_untracked(), task.get_value());
        let text = changed.get_untracked().then(|| input.get_untracked());
        async move {
            let input = match text {
                Some(text) => {
                    Some(Payload { content_type: String::new(), data: checked(&text)?.into() })
                }
                None => None,
            };
            let request = RerunWorkflowRequest { workflow_id, task, input };
            then(flow, async move { mesh::workflows().rerun_workflow(request).await }).await
        }
    };
    let question = Signal::derive(move || {
        let name = task.with_value(|task| name_of(task));
        let open = if names::is_over(phase.get()) { "" } else { " What is open is given up." };
        format!(
            "The workflow goes back to the latest run of {name} and on from there. What came \
             after it happens again.{open}"
        )
    });
    view! {
        <Confirm label="Rerun from here" act=act question=question>
            <label class="check">
                <input type="checkbox" prop:checked=changed
                    on:change=move |event| changed.set(event_target_checked(&event)) />
                "with another input"
            </label>
            {move || changed.get().then(|| view! {
                <JsonField label="Raw input of the task (JSON)" text=input />
            })}
        </Confirm>
    }
}

#[component]
fn Skip(flow: Flow, task: StoredValue<String>) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let given = RwSignal::new(false);
    let output = RwSignal::new("{}".to_owned());
    let act = move || {
        let (workflow_id, task) = (flow.id.get_untracked(), task.get_value());
        let reason = reason.get_untracked();
        let text = given.get_untracked().then(|| output.get_untracked());
        async move {
            let output = match text {
                Some(text) => {
                    Some(Payload { content_type: String::new(), data: checked(&text)?.into() })
                }
                None => None,
            };
            let request = SkipTaskRequest { workflow_id, task, output, reason };
            then(flow, async move { mesh::workflows().skip_task(request).await }).await
        }
    };
    view! {
        <Confirm label="Skip" act=act
            question="The task completes without being done; its input is its output unless one \
                      is given.">
            <label class="field">
                "Reason, kept in the history"
                <input type="text" prop:value=reason
                    on:input=move |event| reason.set(event_target_value(&event)) />
            </label>
            <label class="check">
                <input type="checkbox" prop:checked=given
                    on:change=move |event| given.set(event_target_checked(&event)) />
                "with an output"
            </label>
            {move || given.get().then(|| view! {
                <JsonField label="Raw output of the task (JSON)" text=output />
            })}
        </Confirm>
    }
}
