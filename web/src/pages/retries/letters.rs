//! Dead letters, by what they have in common.

use leptos::prelude::*;
use planaria_proto::retry::v1::{DeadLetterGroup, DeadLetterState, ListDeadLetterGroupsRequest};
use planaria_view::letters::{LetterQuery, STATES, state};
use planaria_view::words;

use super::follow_events;
use super::group::Group;
use super::progress::Progress;
use super::redrive::RedriveDialog;
use crate::mesh::{self, Loaded};
use crate::ui::{Ask, Asked, Empty, Show, Switch};

/// A dead letter is written after a fault, and resolved when its workflow goes on or is cancelled.
const EVENTS: &[&str] = &[
    "dev.planaria.workflow.",
    "io.serverlessworkflow.workflow.faulted.",
    "io.serverlessworkflow.workflow.cancelled.",
    "io.serverlessworkflow.workflow.completed.",
];
const PAGE: u32 = 100;

#[component]
pub(super) fn Letters() -> impl IntoView {
    let [asked_state, namespace, definition, function, group, redrive] =
        ["state", "namespace", "definition", "function", "group", "redrive"].map(Asked::of);
    let query = Memo::new(move |_| LetterQuery {
        state: asked_state.get(),
        namespace: namespace.get(),
        definition: definition.get(),
        function: function.get(),
    });
    let again = follow_events(EVENTS, String::new());
    let data = RwSignal::new(Loaded::<Vec<DeadLetterGroup>>::Loading);
    Effect::new(move || {
        again.track();
        let query = query.get();
        let request = ListDeadLetterGroupsRequest {
            state: query.letter_state() as i32,
            filter: Some(query.filter("")),
            page_size: PAGE,
        };
        let call = async move { mesh::retries().list_dead_letter_groups(request).await };
        Loaded::fetch(data, call, |answer| answer.groups);
    });
    let is_open = Memo::new(move |_| query.get().letter_state() == DeadLetterState::Open);
    // A group keeps its place on the page while its numbers change.
    let groups = Memo::new(move |_| match data.get() {
        Loaded::Ready(groups) => groups,
        _ => Vec::new(),
    });
    let kind = Memo::new(move |_| match data.get() {
        Loaded::Ready(groups) => Loaded::Ready(groups.is_empty()),
        Loaded::Loading => Loaded::Loading,
        Loaded::Failed(failure) => Loaded::Failed(failure),
    });
    let render = move |empty: bool| {
        if empty {
            let open = is_open.get_untracked();
            let any = query.with_untracked(|it| *it != LetterQuery::default());
            let text = match (open, any) {
                (true, false) => {
                    "Nothing was given up. What fails for good appears here, and \
                    waits for you."
                }
                _ => "No dead letter is like that.",
            };
            let clear = move |_| {
                for asked in [asked_state, namespace, definition, function] {
                    asked.set("");
                }
            };
            let clear = any.then(|| {
                view! {
                    <button type="button" on:click=clear>"Clear the filters"</button>
                }
            });
            return view! { <Empty text=text>{clear}</Empty> }.into_any();
        }
        let each = move || groups.get();
        view! {
            <ol class="groups">
                <For each=each key=|it| (it.fingerprint.clone(), it.count, it.newest_id.clone())
                    let:it>
                    <Group of=it query=query opened=group again=again redrive=redrive />
                </For>
            </ol>
        }
        .into_any()
    };
    let summary = move || {
        let groups = groups.get();
        let letters = groups.iter().map(|it| it.count).sum();
        format!(
            "{} in {}",
            words::plural(letters, "dead letter", "dead letters"),
            words::plural(groups.len() as u64, "group", "groups")
        )
    };
    let states = STATES.iter().map(|it| (state(*it).to_owned(), state(*it).to_owned())).collect();
    let all = Signal::derive(String::new);
    view! {
        <div class="filters">
            <Switch asked=asked_state label="State" options=states />
            <Ask asked=namespace label="Namespace" />
            <Ask asked=definition label="Definition" />
            <Ask asked=function label="Function" />
            {move || (is_open.get() && !groups.with(Vec::is_empty)).then(|| view! {
                <RedriveDialog label="Redrive all of these" query=query fingerprint=all
                    redrive=redrive again=again />
            })}
        </div>
        <Progress redrive=redrive again=again />
        <p class="detail" role="status">{summary}</p>
        <section class="card"><Show data=kind render=render /></section>
    }
}
