//! What became of each event that was posted.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::notification::v1::{
    DeliveryState, GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse,
    ResendDeliveriesRequest, Webhook, WebhookDelivery,
};
use planaria_view::{events, words};

use super::delivery::{Outcome, outcome, state};
use super::webhooks;
use crate::mesh::{self, Failure, Loaded};
use crate::ui::{Act, Badge, Confirm, Empty, Oops, Show, When, query};

const STATES: &[(&str, DeliveryState)] = &[
    ("pending", DeliveryState::Pending),
    ("delivered", DeliveryState::Delivered),
    ("failed", DeliveryState::Failed),
];

#[component]
pub(super) fn Deliveries() -> impl IntoView {
    let (webhook, set_webhook) = query("webhook");
    let (wanted, set_wanted) = query("state");
    let (chosen, choose) = query("delivery");
    let hooks = RwSignal::new(Loaded::<Vec<Webhook>>::Loading);
    webhooks::fetch(hooks);
    let list = RwSignal::new(Loaded::<ListDeliveriesResponse>::Loading);
    let again = RwSignal::new(0u32);
    let failure = RwSignal::new(None::<Failure>);
    let request = move |page_token: String| {
        let wanted = wanted.get_untracked();
        let state = STATES.iter().find(|(name, _)| *name == wanted);
        ListDeliveriesRequest {
            webhook_id: webhook.get_untracked(),
            state: state.map_or(0, |(_, state)| *state as i32),
            page_token,
            ..Default::default()
        }
    };
    Effect::new(move || {
        (webhook.track(), wanted.track(), again.track());
        let request = request(String::new());
        let call = async move { mesh::notification().list_deliveries(request).await };
        Loaded::fetch(list, call, |answer| answer);
    });
    let more = move |token: String| {
        spawn_local(async move {
            match mesh::notification().list_deliveries(request(token)).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    list.try_update(|list| {
                        if let Loaded::Ready(list) = list {
                            list.deliveries.extend(answer.deliveries);
                            list.next_page_token = answer.next_page_token;
                        }
                    });
                }
                Err(status) => {
                    failure.try_set(Some(status.into()));
                }
            }
        });
    };
    let resend_all = move || async move {
        let failed_of_webhook_id = webhook.get_untracked();
        let request = ResendDeliveriesRequest { failed_of_webhook_id, ..Default::default() };
        mesh::notification().resend_deliveries(request).await?;
        again.update(|again| *again += 1);
        Ok(())
    };
    let options = move || {
        let Loaded::Ready(hooks) = hooks.get() else { return Vec::new() };
        let options = hooks.into_iter().map(|hook| {
            let id = hook.id.clone();
            let selected = move || webhook.get() == id;
            view! { <option value=hook.id selected=selected>{hook.url}</option> }
        });
        options.collect()
    };
    let states = STATES.iter().map(|&(name, _)| {
        view! {
            <option value=name selected=move || wanted.get() == name>{name}</option>
        }
    });
    let all = move || {
        (!webhook.get().is_empty()).then(|| view! {
        <Confirm label="Resend all failed" act=resend_all
            question="Every delivery of this webhook that was given up is posted again, with the \
                id that it had." />
    })
    };
    let render =
        move |answer: ListDeliveriesResponse| {
            if answer.deliveries.is_empty() {
                let text = "No delivery fits. Deliveries are there as soon as a webhook is and \
                        something happens that it wants.";
                return view! { <Empty text=text /> }.into_any();
            }
            let hooks = hooks.get();
            let rows = answer.deliveries.into_iter();
            let rows = rows.map(|it| view! { <DeliveryRow delivery=it hooks=hooks.clone() /> });
            let token = answer.next_page_token;
            let next = (!token.is_empty()).then(|| view! {
            <button type="button" on:click=move |_| more(token.clone())>"Older ones"</button>
        });
            view! {
            <div class="scroll card" tabindex="0" role="region" aria-label="Deliveries">
                <table>
                    <thead><tr>
                        <th scope="col">"Event"</th><th scope="col">"State"</th>
                        <th scope="col">"Last try"</th><th scope="col" class="number">"Tries"</th>
                        <th scope="col">"Webhook"</th><th scope="col">"Made"</th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
            <div class="row bar">{next}</div>
        }
        .into_any()
        };
    let inspected =
        move || {
            let id = chosen.get();
            (!id.is_empty()).then(|| view! {
            <Inspect id=id close=Callback::new(move |()| choose(String::new())) again=again />
        })
        };
    view! {
        <form class="filters" role="search" aria-label="Which deliveries"
            on:submit=|event| event.prevent_default()>
            <label class="field wide">
                "Webhook"
                <select on:change=move |event| set_webhook(event_target_value(&event))>
                    <option value="" selected=move || webhook.get().is_empty()>"all"</option>
                    {options}
                </select>
            </label>
            <label class="field">
                "State"
                <select on:change=move |event| set_wanted(event_target_value(&event))>
                    <option value="" selected=move || wanted.get().is_empty()>"all"</option>
                    {states.collect_view()}
                </select>
            </label>
            <button type="button" on:click=move |_| again.update(|again| *again += 1)>
                "Look again"
            </button>
            {all}
        </form>
        {inspected}
        {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
        <Show data=list render=render />
    }
}

#[component]
fn DeliveryRow(delivery: WebhookDelivery, hooks: Loaded<Vec<Webhook>>) -> impl IntoView {
    let (tone, word) = state(&delivery);
    let url = match hooks {
        Loaded::Ready(hooks) => hooks.into_iter().find(|hook| hook.id == delivery.webhook_id),
        _ => None,
    };
    let url = url.map_or_else(|| delivery.webhook_id.clone(), |hook| hook.url);
    let (webhook, _) = query("webhook");
    let (wanted, _) = query("state");
    let id = delivery.id.clone();
    let href = move || {
        let (webhook, state) = (webhook.get(), wanted.get());
        format!("/events?tab=deliveries&webhook={webhook}&state={state}&delivery={id}")
    };
    view! {
        <tr class="link">
            <th scope="row"><a href=href>{events::kind(&delivery.event_type)}</a></th>
            <td><Badge tone=tone text=word /></td>
            <td>{outcome(&delivery)}</td>
            <td class="number">{words::count(u64::from(delivery.attempts))}</td>
            <td class="url">{url}</td>
            <td><When at=delivery.created_at /></td>
        </tr>
    }
}

/// One delivery whole, from where it can be posted again.
#[component]
fn Inspect(id: String, close: Callback<()>, again: RwSignal<u32>) -> impl IntoView {
    let delivery = RwSignal::new(Loaded::<WebhookDelivery>::Loading);
    let id = StoredValue::new(id);
    Effect::new(move || {
        again.track();
        let request = GetDeliveryRequest { id: id.get_value() };
        let call = async move { mesh::notification().get_delivery(request).await };
        Loaded::fetch(delivery, call, |answer| answer.delivery.unwrap_or_default());
    });
    let resend = move || async move {
        let request = ResendDeliveriesRequest { ids: vec![id.get_value()], ..Default::default() };
        mesh::notification().resend_deliveries(request).await?;
        again.update(|again| *again += 1);
        Ok(())
    };
    view! {
        <section class="card inspected" aria-label="Delivery">
            <div class="row">
                <h2>"Delivery"</h2>
                <span class="more row">
                    <Act label="Resend" act=resend />
                    <button type="button" on:click=move |_| close.run(())>"Close"</button>
                </span>
            </div>
            <Show data=delivery render=|it| view! { <Outcome delivery=it /> } />
        </section>
    }
}
