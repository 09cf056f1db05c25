//! Redrives what a filter names: counts it first, then starts it at a rate.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::retry::v1::{Redrive, StartRedriveRequest};
use planaria_proto::types::v1::Payload;
use planaria_view::letters::LetterQuery;
use planaria_view::words;

use crate::clock::now_ms;
use crate::mesh::{self, Again, Failure, Loaded};
use crate::ui::{Asked, Oops};

/// What the retry engine takes where nothing is said.
const RATE: f64 = 10.0;

#[component]
pub(super) fn RedriveDialog(
    label: &'static str,
    query: Memo<LetterQuery>,
    /// Of the group; empty = of all groups.
    fingerprint: Signal<String>,
    /// The redrive whose progress is shown.
    redrive: Asked,
    again: Again,
) -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let counted = RwSignal::new(Loaded::<u64>::Loading);
    let rate = RwSignal::new(RATE);
    let input = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    // The same filter is counted and redriven.
    let filter = StoredValue::new(Default::default());
    let request = move |dry_run: bool| StartRedriveRequest {
        redrive_id: String::new(),
        filter: Some(filter.get_value()),
        rate: rate.get_untracked(),
        input: (!input.get_untracked().trim().is_empty()).then(|| Payload {
            content_type: String::new(),
            data: input.get_untracked().into_bytes().into(),
        }),
        dry_run,
    };
    let open = move |_| {
        failure.set(None);
        counted.set(Loaded::Loading);
        let which = fingerprint.get_untracked();
        filter.set_value(query.with_untracked(|it| it.redrive_filter(&which, now_ms())));
        let request = StartRedriveRequest { input: None, ..request(true) };
        let call = async move { mesh::retries().start_redrive(request).await };
        Loaded::fetch(counted, call, |answer| answer.redrive.unwrap_or_default().matched);
        if let Some(dialog) = dialog.get_untracked() {
            // It fails only where the dialog is open already.
            let _ = dialog.show_modal();
        }
    };
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let go = move |_| {
        let request = request(false);
        busy.set(true);
        spawn_local(async move {
            let outcome = mesh::retries().start_redrive(request).await;
            busy.try_set(false);
            match outcome {
                Ok(answer) => {
                    close();
                    let Redrive { id, .. } = answer.into_inner().redrive.unwrap_or_default();
                    redrive.set(&id);
                    again.now();
                }
                Err(status) => {
                    failure.try_set(Some(status.into()));
                }
            }
        });
    };
    let wrong = Memo::new(move |_| {
        input.with(|text| {
            let text = text.trim();
            let read = serde_json::from_str::<serde_json::Value>(text);
            read.err().filter(|_| !text.is_empty()).map(|problem| format!("No JSON: {problem}"))
        })
    });
    let count = Memo::new(move |_| match counted.get() {
        Loaded::Ready(count) => Some(count),
        _ => None,
    });
    let told = move || match counted.get() {
        Loaded::Loading => view! { <p role="status">"Counting…"</p> }.into_any(),
        Loaded::Failed(failure) => view! { <Oops failure=failure /> }.into_any(),
        Loaded::Ready(count) => {
            let takes = words::span(count as f64 / rate.get() * 1e3);
            let which = if fingerprint.with(String::is_empty) {
                query.get().words()
            } else {
                "this group".to_owned()
            };
            view! {
                <p role="status">
                    <b>{words::plural(count, "dead letter", "dead letters")}</b>
                    {format!(" ({which}): the workflow of each goes on from its fault. At this \
                        rate it takes about {takes}.")}
                </p>
            }
            .into_any()
        }
    };
    let button = move || match count.get() {
        Some(count) => format!("Redrive {}", words::count(count)),
        None => "Redrive".to_owned(),
    };
    let stuck = move || busy.get() || count.get().unwrap_or(0) == 0 || wrong.get().is_some();
    view! {
        <button type="button" on:click=open>{label}</button>
        <dialog node_ref=dialog aria-label=label>
            <h2>{label}</h2>
            {told}
            <label class="field">
                "At most so many in a second"
                <input type="number" min="0.1" step="any" prop:value=move || rate.get().to_string()
                    on:change=move |event| {
                        let number = event_target_value(&event).parse::<f64>();
                        rate.set(number.ok().filter(|it| *it > 0.0).unwrap_or(RATE));
                    } />
            </label>
            <label class="field">
                "Another raw input for each task, as JSON; empty = the one it had"
                <textarea rows="3" spellcheck="false" prop:value=move || input.get()
                    on:input=move |event| input.set(event_target_value(&event))></textarea>
            </label>
            <p class="wrong" role="status">{wrong}</p>
            {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
            <div class="buttons">
                <button type="button" on:click=move |_| close()>"Leave it"</button>
                <button type="button" class="primary" on:click=go disabled=stuck>{button}</button>
            </div>
        </dialog>
    }
}
