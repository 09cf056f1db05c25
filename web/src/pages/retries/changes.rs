//! How breakers changed last.

use leptos::prelude::*;
use planaria_proto::retry::v1::{BreakerChange, ListBreakerChangesRequest};
use planaria_view::letters;

use super::breakers::{key_words, tone};
use crate::mesh::{self, Again, Loaded};
use crate::ui::{Asked, Badge, Empty, Show, When};

const SHOWN: u32 = 30;

#[component]
pub(super) fn Changes(namespace: Asked, again: Again) -> impl IntoView {
    let data = RwSignal::new(Loaded::<Vec<BreakerChange>>::Loading);
    Effect::new(move || {
        again.track();
        let request = ListBreakerChangesRequest { namespace: namespace.get(), page_size: SHOWN };
        let call = async move { mesh::retries().list_breaker_changes(request).await };
        Loaded::fetch(data, call, |answer| answer.changes);
    });
    let render = |changes: Vec<BreakerChange>| {
        if changes.is_empty() {
            return view! { <Empty text="No breaker has changed yet." /> }.into_any();
        }
        let rows = changes
            .into_iter()
            .map(|change| {
                let (from, to) = (change.from(), change.to());
                view! {
                    <tr>
                        <td><When at=change.at /></td>
                        <th scope="row">{key_words(&change.key.unwrap_or_default())}</th>
                        <td>
                            <span class="row">
                                {letters::breaker(from)}" → "
                                <Badge tone=tone(to) text=letters::breaker(to) />
                            </span>
                        </td>
                        <td class="says">{change.reason}</td>
                    </tr>
                }
            })
            .collect_view();
        view! {
            <div class="scroll" tabindex="0" role="region" aria-label="Last changes">
                <table>
                    <thead><tr>
                        <th scope="col">"When"</th>
                        <th scope="col">"Function"</th>
                        <th scope="col">"Change"</th>
                        <th scope="col">"Why"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="card"><h2>"Last changes"</h2><Show data=data render=render /></section>
    }
}
