//! The stream that says which workflows changed.

use std::collections::BTreeSet;

use leptos::prelude::*;
use planaria_proto::notification::v1::{EventFilter, SubscribeRequest};
use planaria_view::events;

use super::list::{List, SINGLE_MAX};
use crate::mesh::{self, Told, follow};

/// What changes which workflows there are and their phases.
const OF_WORKFLOWS: [&str; 2] = ["io.serverlessworkflow.workflow.", "dev.planaria.workflow."];
/// What changes what a workflow waits for. It counts only for the rows that are drawn.
const OF_TASKS: [&str; 2] = ["io.serverlessworkflow.task.", "dev.planaria.attempt."];

/// Follows the events of a namespace and a definition (empty = any) for the list.
#[component]
pub(super) fn Follow(list: List, namespace: String, definition: String) -> impl IntoView {
    let types = OF_WORKFLOWS.iter().chain(&OF_TASKS).map(|kind| (*kind).to_owned()).collect();
    let filter = EventFilter { types, namespace, definition, ..EventFilter::default() };
    let open = move || {
        let request = SubscribeRequest { cursor: String::new(), filter: Some(filter.clone()) };
        async move { mesh::notification().subscribe(request).await }
    };
    // A task's retry makes the filter take or leave a workflow that is not drawn.
    let by_tasks = move || list.asked.with_untracked(|it| it.retrying || it.waiting_for_worker);
    follow(open, move |told| match told {
        Told::Opened => list.all_changed(),
        Told::Message(message) => {
            // What is seen is asked for anyway: under load most events need not be read.
            if list.asks_for_seen() {
                return;
            }
            let mut ids = BTreeSet::new();
            for event in message.deliveries.into_iter().filter_map(|told| told.event) {
                let Some(id) = events::workflow(&event) else { continue };
                let is = |kind: &&str| event.r#type.starts_with(kind);
                if OF_WORKFLOWS.iter().any(|kind| is(kind)) || by_tasks() || list.draws(&id) {
                    ids.insert(id);
                }
                if ids.len() > SINGLE_MAX {
                    return list.all_changed();
                }
            }
            if !ids.is_empty() {
                list.changed(ids);
            }
        }
    });
}
