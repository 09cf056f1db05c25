//! Who one is, who else may come in, and how much may run at once.

mod key_new;
mod keys;
mod limit_put;
mod limits;
mod login;

use leptos::prelude::*;

use crate::mesh::{Loaded, knock};
use crate::ui::Title;
use keys::Keys;
use limits::Limits;
use login::Login;

/// Whether the mesh asks for keys at all; counts up when somebody logs in or out, so that what
/// depends on who one is is asked for anew.
#[derive(Debug, Clone, Copy)]
struct Who {
    asks: RwSignal<Loaded<bool>>,
    changed: RwSignal<u32>,
}

#[component]
pub(crate) fn Settings() -> impl IntoView {
    let who = Who { asks: RwSignal::new(Loaded::Loading), changed: RwSignal::new(0) };
    leptos::task::spawn_local(async move {
        let asks = match knock(None).await {
            Ok(()) => Loaded::Ready(false),
            Err(failure) if failure.wants_key() => Loaded::Ready(true),
            Err(failure) => Loaded::Failed(failure),
        };
        // The page may be gone by now.
        who.asks.try_set(asks);
    });
    view! {
        <Title text="Settings" />
        <Login who=who />
        <Keys who=who />
        <Limits who=who />
    }
}
