//! How much of a function runs at once, and how much of it starts in a second.

use leptos::prelude::*;
use planaria_proto::flow::v1::list_limits_response::LimitState;
use planaria_proto::flow::v1::{DeleteLimitRequest, LimitUse, ListLimitsRequest};
use planaria_view::limits;

use super::Who;
use super::limit_put::PutLimit;
use crate::mesh::{self, Loaded};
use crate::ui::{Confirm, Empty, Show, When};

#[component]
pub(super) fn Limits(who: Who) -> impl IntoView {
    let list = RwSignal::new(Loaded::<Vec<LimitState>>::Loading);
    let again = RwSignal::new(0u32);
    Effect::new(move || {
        (who.changed.track(), again.track());
        let call = async { mesh::flow().list_limits(ListLimitsRequest::default()).await };
        Loaded::fetch(list, call, |answer| answer.limits);
    });
    let changed = Callback::new(move |()| again.update(|again| *again += 1));
    let render = move |list: Vec<LimitState>| {
        if list.is_empty() {
            let text = "No limit: every function runs as often as there are workers for it. A \
                        limit keeps a function from doing more at once, or per second, than what \
                        it calls can take.";
            return view! { <Empty text=text /> }.into_any();
        }
        let rows = list.into_iter().map(|state| view! { <Row state=state changed=changed /> });
        view! {
            <div class="scroll" tabindex="0" role="region" aria-label="Limits">
                <table>
                    <thead><tr>
                        <th scope="col">"Function"</th><th scope="col">"For each"</th>
                        <th scope="col">"At most"</th><th scope="col">"Used"</th>
                        <th scope="col">"Set"</th>
                        <th scope="col"><span class="hidden">"Do"</span></th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <section class="card">
            <h2>"Limits"</h2>
            <div class="row bar">
                <PutLimit label="Set a limit" class="primary" changed=changed />
                <button type="button" on:click=move |_| changed.run(())>"Look again"</button>
            </div>
            <Show data=list render=render />
        </section>
    }
}

#[component]
fn Row(state: LimitState, changed: Callback<()>) -> impl IntoView {
    let limit = state.limit.unwrap_or_default();
    let total = state.total.unwrap_or_default();
    let named = StoredValue::new(limit.clone());
    let delete = move || async move {
        let limit = named.get_value();
        let (namespace, function, per) = (limit.namespace, limit.function, limit.per);
        mesh::flow().delete_limit(DeleteLimitRequest { namespace, function, per }).await?;
        changed.run(());
        Ok(())
    };
    let per = match limit.per.as_str() {
        "" => view! { <span class="faint">"all tasks together"</span> }.into_any(),
        per => view! { <code>{per.to_owned()}</code> }.into_any(),
    };
    let name = format!("{} / {}", limit.namespace, limit.function);
    let question = format!("What waits for the limit of {name} goes on within a second.");
    let each = (!limit.per.is_empty()).then_some(state.uses).unwrap_or_default();
    let each = each.into_iter().map(|it| view! { <Used it=it concurrency=limit.concurrency /> });
    let whole = if limit.per.is_empty() { limit.concurrency } else { 0 };
    view! {
        <tr>
            <th scope="row">{name}</th>
            <td>{per}</td>
            <td>{limits::words(&limit)}</td>
            <td><ul class="used"><Used it=total concurrency=whole />{each.collect_view()}</ul></td>
            <td><When at=limit.changed_at /></td>
            <td class="number">
                <span class="row">
                    <PutLimit label="Change" limit=limit changed=changed />
                    <Confirm label="Remove" class="danger" question=question act=delete />
                </span>
            </td>
        </tr>
    }
}

/// What is used, in words and, where there is a bound, as a bar.
#[component]
fn Used(it: LimitUse, concurrency: u32) -> impl IntoView {
    let words = limits::usage(&it);
    let bar = limits::part(&it, concurrency).map(|part| {
        view! {
            <meter min="0" max="1" value=part.to_string() aria-label=words.clone() />
        }
    });
    let value = (!it.value.is_empty()).then(|| view! { <code>{it.value}</code>" " });
    view! { <li>{value}{words}" "{bar}</li> }
}
