//! Tasks that wait for their next attempt, the next due first.

use std::time::Duration;

use leptos::prelude::*;
use planaria_proto::retry::v1::{ListRetriesRequest, Retry, RetryNowRequest};
use planaria_view::{letters, words};

use super::follow_events;
use crate::clock::{Clock, now_ms};
use crate::mesh::{self, Again, Failure, Loaded};
use crate::ui::{Ask, Asked, Empty, Id, Oops, Show};

/// A retry is over when its workflow is, and when its next attempt ended.
const EVENTS: &[&str] = &[
    "dev.planaria.attempt.",
    "dev.planaria.workflow.",
    "io.serverlessworkflow.workflow.suspended.",
    "io.serverlessworkflow.workflow.resumed.",
    "io.serverlessworkflow.workflow.cancelled.",
    "io.serverlessworkflow.workflow.faulted.",
];
const PAGE: u32 = 200;
/// No event tells that a retry started: its time does. So long after it, it is gone from the list.
const STARTED_AFTER_MS: i64 = 400;

#[component]
pub(super) fn Due() -> impl IntoView {
    let namespace = Asked::of("namespace");
    let again = follow_events(EVENTS, String::new());
    let data = RwSignal::new(Loaded::<Vec<Retry>>::Loading);
    Effect::new(move || {
        again.track();
        let request = ListRetriesRequest {
            namespace: namespace.get(),
            page_size: PAGE,
            ..Default::default()
        };
        let call = async move { mesh::retries().list_retries(request).await };
        Loaded::fetch(data, call, move |answer| {
            let due = answer.retries.iter().filter_map(|it| it.due_at.as_ref());
            let next = due.map(words::millis).find(|at| *at > now_ms());
            if let Some(next) = next {
                let pause = (next - now_ms()).max(0) + STARTED_AFTER_MS;
                again.after(Duration::from_millis(pause as u64));
            }
            answer.retries
        });
    });
    let failure = RwSignal::new(None::<Failure>);
    let render = move |retries: Vec<Retry>| {
        if retries.is_empty() {
            let text = "Nothing waits for a retry. What fails and is worth another attempt \
                appears here until it starts.";
            return view! { <Empty text=text /> }.into_any();
        }
        let more = (retries.len() as u32 >= PAGE).then(|| {
            view! {
                <p class="detail">{format!("The next {PAGE}; there may be more.")}</p>
            }
        });
        let rows = retries.into_iter().map(|it| row(it, again, failure)).collect_view();
        view! {
            <div class="scroll" tabindex="0" role="region" aria-label="Retries">
                <table>
                    <thead><tr>
                        <th scope="col">"Starts"</th>
                        <th scope="col">"Function"</th>
                        <th scope="col">"Task"</th>
                        <th scope="col" class="number">"Failure"</th>
                        <th scope="col">"Last error"</th>
                        <th scope="col">"Workflow"</th>
                        <th scope="col"><span class="hidden">"What can be done"</span></th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {more}
        }
        .into_any()
    };
    view! {
        <div class="filters"><Ask asked=namespace label="Namespace" /></div>
        {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
        <section class="card"><Show data=data render=render /></section>
    }
}

fn row(retry: Retry, again: Again, failure: RwSignal<Option<Failure>>) -> impl IntoView {
    let due = retry.due_at.as_ref().map(words::millis);
    let countdown = move || match due {
        Some(at) if at > Clock::now() => words::ago(at, Clock::now()),
        Some(_) => "starting".to_owned(),
        None => "–".to_owned(),
    };
    let of = match retry.attempts_max {
        0 => retry.failure.to_string(),
        max => format!("{} of {max}", retry.failure),
    };
    let deferred = (retry.deferrals > 0).then(|| {
        view! {
            <p class="detail">
                {format!("put off {}: the retry budget is empty",
                    words::plural(u64::from(retry.deferrals), "time", "times"))}
            </p>
        }
    });
    let far = (!retry.destination.is_empty()).then(|| {
        view! {
            <p class="detail">{retry.destination.clone()}</p>
        }
    });
    let class = letters::class(retry.error_class());
    let busy = RwSignal::new(false);
    let id = retry.id.clone();
    let hasten = move |_| {
        let request = RetryNowRequest { id: id.clone() };
        busy.set(true);
        leptos::task::spawn_local(async move {
            let outcome = mesh::retries().retry_now(request).await;
            failure.try_set(outcome.err().map(Into::into));
            busy.try_set(false);
            again.now();
        });
    };
    let href = format!("/workflows/{}", retry.workflow_id);
    view! {
        <tr>
            <td class="due">{countdown}</td>
            <th scope="row">{retry.function.clone()}{far}</th>
            <td class="mono">{retry.task}</td>
            <td class="number">{of}</td>
            <td class="says">
                {letters::error(retry.error.as_ref())}
                <p class="detail">{class}</p>{deferred}
            </td>
            <td><Id id=retry.workflow_id href=href /></td>
            <td>
                <button type="button" on:click=hasten disabled=busy
                    aria-label=format!("Retry {} now", retry.function)>"Retry now"</button>
            </td>
        </tr>
    }
}
