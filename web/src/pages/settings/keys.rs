//! API keys.

use leptos::prelude::*;
use planaria_proto::gateway::v1::{ApiKey, ListApiKeysRequest, RevokeApiKeyRequest};
use planaria_view::keys::{self, Standing};
use tonic::Code;

use super::Who;
use super::key_new::NewKey;
use crate::clock::now_ms;
use crate::mesh::{self, Failure, Key, Loaded};
use crate::ui::{Badge, Confirm, Empty, Id, Oops, Secret, Tone, When, query};

/// The most that one page of the contract has.
const PAGE: u32 = 500;

#[component]
pub(super) fn Keys(who: Who) -> impl IntoView {
    let (all, set_all) = query("keys");
    let list = RwSignal::new(Loaded::<Vec<ApiKey>>::Loading);
    let made = RwSignal::new(None::<String>);
    let again = RwSignal::new(0u32);
    Effect::new(move || {
        (who.changed.track(), again.track());
        let request =
            ListApiKeysRequest { all: all.get() == "all", page_size: PAGE, ..Default::default() };
        let call = async move { mesh::access().list_api_keys(request).await };
        Loaded::fetch(list, call, |answer| answer.keys);
    });
    let changed = Callback::new(move |()| again.update(|again| *again += 1));
    let secret = move || {
        made.get().map(|secret| {
            view! {
                <Secret text="The new key." secret=secret
                    done=Callback::new(move |()| made.set(None)) />
            }
        })
    };
    let body = move || match list.get() {
        Loaded::Loading => view! { <div class="loading" role="status">"Loading…"</div> }.into_any(),
        Loaded::Failed(failure) => view! { <Refused failure=failure /> }.into_any(),
        Loaded::Ready(list) => view! {
            <div class="row bar">
                <NewKey made=made changed=changed />
                <label class="check">
                    <input type="checkbox" prop:checked=move || all.get() == "all"
                        on:change=move |event| set_all(
                            if event_target_checked(&event) { "all".into() } else { String::new() },
                        ) />
                    "also revoked and expired ones"
                </label>
            </div>
            <List list=list changed=changed />
        }
        .into_any(),
    };
    let without =
        move || {
            matches!(who.asks.get(), Loaded::Ready(false)).then(|| view! {
            <p class="faint">"Keys that you make count as soon as the mesh asks for them."</p>
        })
        };
    view! {
        <section class="card">
            <h2>"API keys"</h2>
            {without}
            {secret}
            {body}
        </section>
    }
}

/// Somebody without the role for it: that is no mistake.
#[component]
fn Refused(failure: Failure) -> impl IntoView {
    match failure.code {
        Code::PermissionDenied => view! {
            <p>"Only administrators see and make keys: "{failure.message}"."</p>
        }
        .into_any(),
        Code::Unauthenticated => view! { <p class="faint">"Log in to see them."</p> }.into_any(),
        _ => view! { <Oops failure=failure /> }.into_any(),
    }
}

#[component]
fn List(list: Vec<ApiKey>, changed: Callback<()>) -> impl IntoView {
    if list.is_empty() {
        return view! { <Empty text="No key yet. The first one is made here." /> }.into_any();
    }
    let rows = list.into_iter().map(|key| view! { <Row key_shown=key changed=changed /> });
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="API keys">
            <table>
                <thead><tr>
                    <th scope="col">"Label"</th><th scope="col">"Id"</th>
                    <th scope="col">"Role"</th><th scope="col">"Namespace"</th>
                    <th scope="col">"State"</th><th scope="col">"Made"</th>
                    <th scope="col">"Ends"</th><th scope="col"><span class="hidden">"Do"</span></th>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

#[component]
fn Row(key_shown: ApiKey, changed: Callback<()>) -> impl IntoView {
    let key = key_shown;
    let id = StoredValue::new(key.id.clone());
    let revoke = move || async move {
        mesh::access().revoke_api_key(RevokeApiKeyRequest { id: id.get_value() }).await?;
        changed.run(());
        Ok(())
    };
    let standing = keys::standing(&key, now_ms());
    let (tone, word) = match standing {
        Standing::Good => (Tone::Good, "good"),
        Standing::Revoked => (Tone::Bad, "revoked"),
        Standing::Expired => (Tone::Plain, "expired"),
    };
    let mine = Key::get().is_some_and(|mine| keys::id_of(&mine) == Some(&key.id));
    let whose = if mine { " It is the one that you show: you will be logged out." } else { "" };
    let name = if key.label.is_empty() { key.id.clone() } else { key.label.clone() };
    let question =
        format!("{name} opens nothing any more within 5 s, and its streams are cut.{whose}");
    let button = (standing == Standing::Good).then(|| {
        view! {
            <Confirm label="Revoke" class="danger" question=question act=revoke />
        }
    });
    let role = key.role();
    let namespace = match key.namespace.as_str() {
        "*" => "all".to_owned(),
        name => name.to_owned(),
    };
    view! {
        <tr>
            <th scope="row">{name}{mine.then_some(" (you)")}</th>
            <td><Id id=key.id whole=true /></td>
            <td title=keys::role_may(role)>{keys::role(role)}</td>
            <td>{namespace}</td>
            <td><Badge tone=tone text=word /></td>
            <td><When at=key.created_at /></td>
            <td><When at=key.expires_at /></td>
            <td class="number">{button}</td>
        </tr>
    }
}
