//! The API.
use leptos::prelude::*;
#[component]
pub(crate) fn Docs() -> impl IntoView {
    view! { <p></p> }
}
