//! One workflow of the list.

use std::sync::Arc;

use leptos::prelude::*;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::Workflow;
use planaria_view::{names, words};

use super::list::List;
use crate::clock::Clock;
use crate::ui::{Badge, Id, PhaseBadge, Tone, When};

#[component]
pub(super) fn Row(list: List, id: Arc<str>) -> impl IntoView {
    let workflow = {
        let id = id.clone();
        Memo::new(move |_| list.rows.with(|rows| rows.get(&id).cloned()).unwrap_or_default())
    };
    let selected = {
        let id = id.clone();
        Memo::new(move |_| list.selected.with(|selected| selected.contains(&id)))
    };
    let select = {
        let id = id.clone();
        move |event: leptos::ev::Event| {
            let chosen = event_target_checked(&event);
            list.selected.update(|selected| {
                if chosen {
                    selected.insert(id.clone());
                } else {
                    selected.remove(&id);
                }
            });
        }
    };
    // Neither changes while it is listed.
    let first = workflow.get_untracked();
    let of = first.definition.clone().unwrap_or_default();
    let href = format!("/definitions/{}/{}?version={}", of.namespace, of.name, of.version);
    let whole = format!("{}/{}:{}", of.namespace, of.name, of.version);
    let started = first.started_at;
    let phase = move || {
        let workflow = workflow.get();
        let phase = Phase::try_from(workflow.phase).unwrap_or(Phase::Unspecified);
        let frozen = (!workflow.frozen.is_empty())
            .then(|| view! { " " <Badge tone=Tone::Bad text="frozen" /> });
        view! { <PhaseBadge phase=phase />{frozen} }
    };
    let took = Memo::new(move |_| took(&workflow.get()));
    let waits = Memo::new(move |_| waits(&workflow.get()));
    view! {
        <tr class:selected=selected>
            <td class="pick">
                <input type="checkbox" aria-label=format!("Select {id}")
                    prop:checked=selected on:change=select />
            </td>
            <th scope="row" class="name">
                <Id id=id.to_string() href=format!("/workflows/{id}") />
            </th>
            <td class="phase">{phase}</td>
            <td class="definition" title=whole>
                <a href=href>{of.name}</a>
                <span class="faint">" "{of.namespace}" "{of.version}</span>
            </td>
            <td class="started"><When at=started /></td>
            <td class="took">{took}</td>
            <td class="waits" title=waits>{waits}</td>
        </tr>
    }
}

/// From its start to its end, or until now.
fn took(workflow: &Workflow) -> String {
    let Some(started) = workflow.started_at.as_ref().map(words::millis) else {
        return "–".into();
    };
    match workflow.ended_at.as_ref().map(words::millis) {
        Some(ended) => words::span((ended - started) as f64),
        None if names::is_over(Phase::try_from(workflow.phase).unwrap_or_default()) => "–".into(),
        // Whole seconds: the clock ticks no faster.
        None => words::span(((Clock::now() - started) / 1000 * 1000).max(0) as f64),
    }
}

/// What it waits for; why it does not go on, if it does not.
fn waits(workflow: &Workflow) -> String {
    if !workflow.frozen.is_empty() {
        return workflow.frozen.clone();
    }
    match &workflow.error {
        Some(error) if error.detail.is_empty() => error.title.clone(),
        Some(error) => format!("{}: {}", error.title, error.detail),
        None => workflow.waiting_for.clone(),
    }
}
