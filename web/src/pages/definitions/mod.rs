//! All definitions, and the editor for new ones.

mod editor;
mod fetch;
mod list;

use leptos::prelude::*;

use crate::ui::{Title, query};
use editor::Editor;
pub(super) use fetch::{all, one};
use list::List;

/// What the address has for an empty editor.
const NEW: &str = "new";

#[component]
pub(crate) fn Definitions() -> impl IntoView {
    // What is edited: a new one, or a new version of `namespace/name:version`.
    let (edited, _) = query("edit");
    move || match edited.get().as_str() {
        "" => view! {
            <Title text="Definitions">
                <a class="button primary" href=format!("/definitions?edit={NEW}")>"New"</a>
            </Title>
            <List />
        }
        .into_any(),
        what => {
            let of = (what != NEW).then(|| what.to_owned());
            view! { <Editor of=of /> }.into_any()
        }
    }
}
