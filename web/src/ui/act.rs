//! A button that does something at once, because it can be undone as easily.

use std::future::Future;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::mesh::Failure;
use crate::ui::Oops;

/// A button that acts, and tells why if that fails.
#[component]
pub(crate) fn Act<F, R>(
    /// On the button.
    #[prop(into)]
    label: String,
    /// Does it.
    act: F,
    /// Class of the button, e.g. `primary`.
    #[prop(optional)]
    class: &'static str,
) -> impl IntoView
where
    F: Fn() -> R + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
{
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let go = move |_| {
        let done = act();
        busy.set(true);
        spawn_local(async move {
            let outcome = done.await;
            busy.try_set(false);
            failure.try_set(outcome.err());
        });
    };
    view! {
        <button type="button" class=class on:click=go disabled=busy>{label}</button>
        {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
    }
}
