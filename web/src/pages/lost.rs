//! An address where nothing is.

use leptos::prelude::*;

use crate::ui::{Empty, Title};

#[component]
pub(crate) fn Lost() -> impl IntoView {
    view! {
        <Title text="Nothing here" />
        <Empty text="No page has this address.">
            <a class="button" href="/">"To the overview"</a>
        </Empty>
    }
}
