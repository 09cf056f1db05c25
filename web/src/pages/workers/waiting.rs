//! Workflows that wait for a worker, by what they wait for.

use leptos::prelude::*;
use planaria_proto::workflow::v1::{ListWorkflowsRequest, list_workflows_request::Filter};
use planaria_view::words;
use planaria_view::workers::{Waiting, waiting};
use prost_types::Timestamp;

use crate::mesh::{self, Again, Loaded};
use crate::ui::{Badge, Empty, Id, Show, Tone, When};

/// The most that one answer has; of more, these are the newest.
const PAGE: u32 = 500;

#[component]
pub(super) fn Waits(again: Again) -> impl IntoView {
    let data = RwSignal::new(Loaded::<(Vec<Waiting>, bool)>::Loading);
    Effect::new(move || {
        again.track();
        let filter = Filter { waiting_for_worker: true, ..Default::default() };
        let request = ListWorkflowsRequest {
            filter: Some(filter),
            page_size: PAGE,
            page_token: String::new(),
        };
        let call = async move { mesh::workflows().list_workflows(request).await };
        Loaded::fetch(data, call, |answer| {
            (waiting(&answer.workflows), !answer.next_page_token.is_empty())
        });
    });
    let render =
        |(groups, more): (Vec<Waiting>, bool)| {
            if groups.is_empty() {
                return view! { <Empty text="Nothing waits for a worker." /> }.into_any();
            }
            let rows = groups.into_iter().map(|group| {
            let (id, at) = group.oldest;
            let at = at.map(|ms| Timestamp {
                seconds: ms.div_euclid(1000),
                nanos: (ms.rem_euclid(1000) * 1_000_000) as i32,
            });
            let href = format!("/workflows/{id}");
            view! {
                <tr>
                    <th scope="row">
                        {group.what}" "
                        {group.nobody.then(|| view! {
                            <Badge tone=Tone::Bad text="nobody can" />
                        })}
                    </th>
                    <td class="number">{words::count(group.count)}</td>
                    <td><Id id=id href=href />" "<span class="faint"><When at=at /></span></td>
                </tr>
            }
        }).collect_view();
            let more = more.then(|| {
                view! {
                    <p class="detail">{format!("Counted among the newest {PAGE}; more wait.")}</p>
                }
            });
            view! {
                <div class="scroll" tabindex="0" role="region" aria-label="What is waited for">
                    <table>
                        <thead><tr>
                            <th scope="col">"They wait for"</th>
                            <th scope="col" class="number">"Workflows"</th>
                            <th scope="col">"The oldest"</th>
                        </tr></thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
                {more}
            }
            .into_any()
        };
    view! {
        <section class="card">
            <h2>
                "Waiting for a worker"
                <button type="button" class="more" on:click=move |_| again.now()>
                    "Ask again"
                </button>
            </h2>
            <Show data=data render=render />
        </section>
    }
}
