//! What stands where something is loading, missing or wrong, and says what to do next.

use leptos::prelude::*;

use crate::mesh::{Failure, Loaded};

/// The heading of a page, which names the tab too.
#[component]
pub(crate) fn Title(
    #[prop(into)] text: Signal<String>,
    /// Beside the heading: what one can do here.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    Effect::new(move || document().set_title(&format!("{} · Planaria", text.get())));
    view! {
        <header class="title">
            <h1>{text}</h1>
            <div class="actions">{children.map(|children| children())}</div>
        </header>
    }
}

/// What was fetched; a shimmer until it is there, and what went wrong if it did.
#[component]
pub(crate) fn Show<T, V>(
    #[prop(into)] data: Signal<Loaded<T>>,
    render: impl Fn(T) -> V + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    move || match data.get() {
        Loaded::Loading => view! { <div class="loading" role="status">"Loading…"</div> }.into_any(),
        Loaded::Failed(failure) => view! { <Oops failure=failure /> }.into_any(),
        Loaded::Ready(value) => render(value).into_any(),
    }
}

/// A failure with what to do about it.
#[component]
pub(crate) fn Oops(failure: Failure) -> impl IntoView {
    let advice = failure.advice();
    let reason = (!failure.reason.is_empty()).then(|| format!(" ({})", failure.reason));
    let login = failure.wants_key().then(|| {
        view! { <p><a class="button primary" href="/settings">"Log in"</a></p> }
    });
    view! {
        <div class="oops" role="alert">
            <p><strong>{failure.message}</strong>{reason}</p>
            <p class="faint">{advice}</p>
            {login}
        </div>
    }
}

/// Nothing is there, and that is how it comes to be there.
#[component]
pub(crate) fn Empty(
    #[prop(into)] text: String,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            <p>{text}</p>
            {children.map(|children| children())}
        </div>
    }
}
