//! Limits that hold something back.

use leptos::prelude::*;
use planaria_proto::flow::v1::list_limits_response::LimitState;
use planaria_proto::flow::v1::{Limit, LimitUse, ListLimitsRequest};
use planaria_view::words;

use crate::mesh::{self, Again, Loaded};
use crate::ui::{Empty, Show};

#[component]
pub(super) fn Limits(again: Again) -> impl IntoView {
    let data = RwSignal::new(Loaded::<Vec<LimitState>>::Loading);
    Effect::new(move || {
        again.track();
        let call = async { mesh::flow().list_limits(ListLimitsRequest::default()).await };
        Loaded::fetch(data, call, |answer| answer.limits);
    });
    let render = |limits: Vec<LimitState>| {
        let set = limits.len() as u64;
        let waits = |it: &LimitState| it.total.as_ref().map_or(0, |total| total.waiting);
        let mut limits: Vec<_> = limits.into_iter().filter(|it| waits(it) > 0).collect();
        limits.sort_by_key(|it| u64::MAX - waits(it));
        if limits.is_empty() {
            let text = match set {
                0 => "No limits are set.".to_owned(),
                set => format!("{} hold nothing back.", words::plural(set, "limit", "limits")),
            };
            return view! { <Empty text=text /> }.into_any();
        }
        let rows = limits
            .into_iter()
            .flat_map(|state| {
                let limit = state.limit.unwrap_or_default();
                let total = state.total.unwrap_or_default();
                let by_value = !limit.per.is_empty();
                let uses = state.uses.into_iter().filter(move |it| by_value && it.waiting > 0);
                let uses = uses
                    .map(|it| row(format!("{} is {}", limit.per, value(&it)), String::new(), &it));
                let first = row(
                    format!("{} / {}", limit.namespace, limit.function),
                    allowed(&limit),
                    &total,
                );
                std::iter::once(first).chain(uses.collect::<Vec<_>>())
            })
            .collect_view();
        view! {
            <div class="scroll" tabindex="0" role="region" aria-label="Limits">
                <table>
                    <thead><tr>
                        <th scope="col">"Limit"</th>
                        <th scope="col">"Allows"</th>
                        <th scope="col" class="number">"Running"</th>
                        <th scope="col" class="number">"Waiting"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="card">
            <h2>"Limits that hold back"</h2>
            <Show data=data render=render />
        </section>
    }
}

fn row(name: String, allowed: String, it: &LimitUse) -> AnyView {
    view! {
        <tr>
            <th scope="row">{name}</th>
            <td>{allowed}</td>
            <td class="number">{words::count(it.running)}</td>
            <td class="number">{words::count(it.waiting)}</td>
        </tr>
    }
    .into_any()
}

fn value(it: &LimitUse) -> String {
    if it.value.is_empty() { "empty".to_owned() } else { it.value.clone() }
}

fn allowed(limit: &Limit) -> String {
    let mut parts = Vec::new();
    if limit.concurrency > 0 {
        parts.push(format!("{} at once", limit.concurrency));
    }
    if limit.rate > 0.0 {
        parts.push(format!("{}/s", words::digits(limit.rate)));
    }
    if !limit.per.is_empty() {
        parts.push(format!("for each {}", limit.per));
    }
    parts.join(", ")
}
