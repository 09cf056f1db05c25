//! What is done to the workflows that are selected, or to all that the filter finds.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_view::words;
use planaria_view::workflows::Bulk;

use super::list::List;
use super::run::{Outcome, allows, count, perform};
use crate::mesh::Failure;
use crate::ui::Oops;

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Counting(usize),
    /// These would be touched.
    Asked(Vec<String>),
    Doing(usize, Outcome),
    Over(usize, Outcome),
    Failed(Failure),
}

#[component]
pub(super) fn BulkBar(list: List) -> impl IntoView {
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let bulk = RwSignal::new(Bulk::Suspend);
    let step = RwSignal::new(Step::Counting(0));
    // Counts runs: a run that was closed stops.
    let run = StoredValue::new(0u32);
    let chosen = Memo::new(move |_| list.selected.with(std::collections::BTreeSet::len));
    let open = move |wanted: Bulk| {
        bulk.set(wanted);
        run.update_value(|run| *run += 1);
        let this = run.get_value();
        if let Some(dialog) = dialog.get_untracked() {
            // It fails only where the dialog is open already.
            let _ = dialog.show_modal();
        }
        if chosen.get_untracked() > 0 {
            step.set(Step::Asked(selected(list, wanted)));
            return;
        }
        step.set(Step::Counting(0));
        let filter = list.filter.get_untracked();
        let goes_on = move || run.try_get_value() == Some(this);
        spawn_local(async move {
            let told = move |found| {
                if goes_on() {
                    step.try_set(Step::Counting(found));
                }
                goes_on()
            };
            let found = count(wanted, filter, told).await;
            if goes_on() {
                step.try_set(found.map_or_else(Step::Failed, Step::Asked));
            }
        });
    };
    let buttons = Bulk::ALL.map(|bulk| {
        let class = if bulk == Bulk::Cancel { "danger" } else { "" };
        view! {
            <button type="button" class=class on:click=move |_| open(bulk)>
                {bulk.word()}" …"
            </button>
        }
    });
    let target = move || match chosen.get() {
        0 => "All that fit:".to_owned(),
        1 => "The selected one:".to_owned(),
        count => format!("The {} selected:", words::count(count as u64)),
    };
    let unselect = move || {
        (chosen.get() > 0).then(|| {
            view! {
                <button type="button" on:click=move |_| list.selected.update(|it| it.clear())>
                    "Select none"
                </button>
            }
        })
    };
    view! {
        <div class="row bulk" role="group" aria-label="Do to many">
            <span class="faint">{target}</span>
            {buttons}
            {unselect}
        </div>
        <dialog node_ref=dialog aria-label=move || format!("{} many workflows", bulk.get().word())
            on:close=move |_| run.update_value(|run| *run += 1)>
            <Steps list=list bulk=bulk step=step run=run dialog=dialog />
        </dialog>
    }
}

#[component]
fn Steps(
    list: List,
    bulk: RwSignal<Bulk>,
    step: RwSignal<Step>,
    run: StoredValue<u32>,
    dialog: NodeRef<leptos::html::Dialog>,
) -> impl IntoView {
    let reason = RwSignal::new(String::new());
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    let go = move |ids: Vec<String>| {
        let this = run.get_value();
        let (doing, total) = (bulk.get_untracked(), ids.len());
        let goes_on = move || run.try_get_value() == Some(this);
        step.set(Step::Doing(total, Outcome::default()));
        spawn_local(async move {
            let told = move |outcome: &Outcome| {
                let ended = outcome.done + outcome.failed == total;
                let step_now = if ended { Step::Over } else { Step::Doing };
                if goes_on() {
                    step.try_set(step_now(total, outcome.clone()));
                }
                goes_on()
            };
            perform(doing, ids, reason.get_untracked(), told).await;
        });
    };
    let heading = move || format!("{} workflows", bulk.get().word());
    let body = move || {
        let doing = bulk.get();
        match step.get() {
            Step::Counting(found) => {
                let told = format!("Counting … {} so far", words::count(found as u64));
                said(view! { <p role="status">{told}</p> }, "Leave it", close)
            }
            Step::Failed(failure) => said(view! { <Oops failure=failure /> }, "Close", close),
            Step::Asked(ids) if ids.is_empty() => {
                let verb = doing.verb();
                let told = format!("There is none to {verb}: no phase among them allows it.");
                said(view! { <p role="status">{told}</p> }, "Close", close)
            }
            Step::Asked(ids) => asked(doing, ids, reason, close, go),
            Step::Doing(total, outcome) => {
                let progress = view! { <Progress doing=doing total=total outcome=outcome /> };
                said(progress, "Stop here", close)
            }
            Step::Over(total, outcome) => {
                list.selected.update(std::collections::BTreeSet::clear);
                let progress = view! { <Progress doing=doing total=total outcome=outcome /> };
                said(progress, "Close", close)
            }
        }
    };
    view! { <h2>{heading}</h2>{body} }
}

/// Something to read, and the way out.
fn said(
    what: impl IntoView + 'static,
    out: &'static str,
    close: impl Fn(leptos::ev::MouseEvent) + 'static,
) -> AnyView {
    view! {
        {what}
        <div class="buttons"><button type="button" on:click=close>{out}</button></div>
    }
    .into_any()
}

/// What would be done, and whether it shall be.
fn asked(
    doing: Bulk,
    ids: Vec<String>,
    reason: RwSignal<String>,
    close: impl Fn(leptos::ev::MouseEvent) + 'static,
    go: impl Fn(Vec<String>) + 'static,
) -> AnyView {
    let many = words::plural(ids.len() as u64, "workflow", "workflows");
    let button = format!("{} {many}", doing.word());
    let field = doing.takes_reason().then(|| {
        view! {
            <label class="field">
                "Why (it is kept in the history)"
                <input type="text" prop:value=reason
                    on:input=move |event| reason.set(event_target_value(&event)) />
            </label>
        }
    });
    let class = if doing == Bulk::Cancel { "primary stop" } else { "primary" };
    view! {
        <p role="status">{format!("This would {} {many}.", doing.verb())}</p>
        {field}
        <div class="buttons">
            <button type="button" on:click=close>"Leave it"</button>
            <button type="button" class=class on:click=move |_| go(ids.clone())>{button}</button>
        </div>
    }
    .into_any()
}

#[component]
fn Progress(doing: Bulk, total: usize, outcome: Outcome) -> impl IntoView {
    let told = format!(
        "{} of {} {}{}",
        words::count(outcome.done as u64),
        words::count(total as u64),
        doing.done(),
        match outcome.failed {
            0 => String::new(),
            failed => format!(", {} failed", words::count(failed as u64)),
        }
    );
    let failures = outcome.failures.into_iter().map(|(why, (count, id))| {
        let href = format!("/workflows/{id}");
        view! { <li>{words::count(count as u64)}" × "{why}", e.g. "<a href=href>{id}</a></li> }
    });
    view! {
        <p role="status">{told}</p>
        <progress max=total value=outcome.done + outcome.failed aria-label="Progress"></progress>
        <ul class="failures">{failures.collect_view()}</ul>
    }
}

/// Ids of those selected whose phase allows it.
fn selected(list: List, bulk: Bulk) -> Vec<String> {
    list.rows.with_untracked(|rows| {
        list.selected.with_untracked(|selected| {
            let fit = selected.iter().filter_map(|id| rows.get(id));
            let fit = fit.filter(|workflow| allows(bulk, workflow.phase));
            fit.map(|workflow| workflow.id.clone()).collect()
        })
    })
}
