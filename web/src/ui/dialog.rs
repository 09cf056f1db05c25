//! A question before something is done that cannot be undone by a click.

use std::future::Future;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::mesh::Failure;
use crate::ui::Oops;

/// A button that asks before it acts, and stays open with the reason if that fails.
#[component]
pub(crate) fn Confirm<F, R>(
    /// On the button.
    #[prop(into)]
    label: String,
    /// What will happen, in words.
    #[prop(into)]
    question: Signal<String>,
    /// Does it.
    act: F,
    /// Class of the button, e.g. `danger`.
    #[prop(optional)]
    class: &'static str,
    /// More to fill in, between the question and the buttons.
    #[prop(optional)]
    children: Option<ChildrenFn>,
) -> impl IntoView
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
{
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let busy = RwSignal::new(false);
    let failure = RwSignal::new(None::<Failure>);
    let open = move |_| {
        failure.set(None);
        if let Some(dialog) = dialog.get_untracked() {
            // It fails only where the dialog is open already.
            let _ = dialog.show_modal();
        }
    };
    let close = move || {
        // What was done may have taken the button away before the answer came.
        if let Some(dialog) = dialog.try_get_untracked().flatten() {
            dialog.close();
        }
    };
    let go = move |_| {
        let done = act();
        busy.set(true);
        spawn_local(async move {
            let outcome = done.await;
            busy.try_set(false);
            match outcome {
                Ok(()) => close(),
                Err(problem) => {
                    failure.try_set(Some(problem));
                }
            }
        });
    };
    let title = label.clone();
    let name = label.clone();
    view! {
        <button type="button" class=class on:click=open>{label}</button>
        <dialog node_ref=dialog aria-label=name>
            <h2>{title.clone()}</h2>
            <p>{question}</p>
            {children.map(|children| children())}
            {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
            <div class="buttons">
                <button type="button" on:click=move |_| close()>"Leave it"</button>
                <button type="button" class="primary" on:click=go disabled=busy>{title}</button>
            </div>
        </dialog>
    }
}
