//! Logs in and out.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_view::keys;

use super::Who;
use crate::mesh::{Failure, Key, knock};
use crate::ui::{Id, Oops, Show};

#[component]
pub(super) fn Login(who: Who) -> impl IntoView {
    let render = move |asks: bool| {
        if !asks {
            return view! {
                <p>"This mesh runs without authentication: everybody who reaches its gateway is an \
                    administrator, and nobody has to log in."</p>
                <p class="faint">"To let in only those with an API key, set "
                    <code>"authentication = true"</code>" in the section "<code>"[gateway]"</code>
                    " of its settings."</p>
            }
            .into_any();
        }
        let shown = move || {
            who.changed.track();
            match Key::get() {
                Some(key) => view! { <LoggedIn key_shown=key who=who /> }.into_any(),
                None => view! { <Form who=who /> }.into_any(),
            }
        };
        shown.into_any()
    };
    view! {
        <section class="card">
            <h2>"You"</h2>
            <Show data=who.asks render=render />
        </section>
    }
}

/// The key in this browser, and whether the mesh still knows it.
#[component]
fn LoggedIn(key_shown: String, who: Who) -> impl IntoView {
    let failure = RwSignal::new(None::<Failure>);
    let named = match keys::id_of(&key_shown) {
        Some(id) => {
            let id = id.to_owned();
            view! { <p>"You show the key "<Id id=id whole=true />" with each call."</p> }.into_any()
        }
        None => {
            view! { <p>"You show the key of the mesh's settings with each call."</p> }.into_any()
        }
    };
    spawn_local(async move {
        failure.try_set(knock(Some(&key_shown)).await.err());
    });
    let out = move |_| {
        Key::forget();
        who.changed.update(|changed| *changed += 1);
    };
    view! {
        {named}
        <p class="faint">"It is kept in this browser until you log out."</p>
        {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
        <button type="button" on:click=out>"Log out"</button>
    }
}

/// Takes a key, tries it, and keeps it if the mesh knows it.
#[component]
fn Form(who: Who) -> impl IntoView {
    let key = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let tried = key.get_untracked().trim().to_owned();
        if tried.is_empty() {
            return;
        }
        busy.set(true);
        spawn_local(async move {
            let outcome = knock(Some(&tried)).await;
            busy.try_set(false);
            match outcome {
                Ok(()) => {
                    Key::set(&tried);
                    who.changed.try_update(|changed| *changed += 1);
                }
                Err(problem) => {
                    failure.try_set(Some(problem));
                }
            }
        });
    };
    view! {
        <p>"This mesh asks for an API key. An administrator makes you one: here, or with "
            <code>"planaria api-key create"</code>"."</p>
        {move || failure.get().map(|failure| view! {
            <p class="oops" role="alert">{failure.message}</p>
        })}
        <form class="filters login" on:submit=submit>
            <label class="field wide">
                "API key"
                <input type="password" autocomplete="current-password" prop:value=key
                    placeholder="planaria_…" required=true
                    on:input=move |event| key.set(event_target_value(&event)) />
            </label>
            <button type="submit" class="primary" disabled=busy>"Log in"</button>
        </form>
    }
}
