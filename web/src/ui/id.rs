//! An id: short to look at, whole to copy.

use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_view::words;
use wasm_bindgen_futures::JsFuture;

/// How long it says that it was copied.
const TOLD_FOR: Duration = Duration::from_millis(1200);

/// An id with a button that copies the whole of it; a link if it has a page.
#[component]
pub(crate) fn Id(
    #[prop(into)] id: String,
    /// The page of what it names.
    #[prop(optional, into)]
    href: Option<String>,
    /// Shown as it is, not shortened.
    #[prop(optional)]
    whole: bool,
) -> impl IntoView {
    if id.is_empty() {
        return view! { <span class="faint">"–"</span> }.into_any();
    }
    let shown = if whole { id.clone() } else { words::short_id(&id).to_owned() };
    let copied = RwSignal::new(false);
    let copy = {
        let id = id.clone();
        move |_| {
            let id = id.clone();
            spawn_local(async move {
                let written = window().navigator().clipboard().write_text(&id);
                if JsFuture::from(written).await.is_ok() {
                    copied.try_set(true);
                    TimeoutFuture::new(TOLD_FOR.as_millis() as u32).await;
                    copied.try_set(false);
                }
            });
        }
    };
    let title = id.clone();
    let text = match href {
        Some(href) => view! { <a class="mono" href=href title=title>{shown}</a> }.into_any(),
        None => view! { <span class="mono" title=title>{shown}</span> }.into_any(),
    };
    view! {
        <span class="id">
            {text}
            <button class="copy" type="button" on:click=copy aria-label=format!("Copy {id}")>
                {move || if copied.get() { "✓" } else { "⧉" }}
            </button>
        </span>
    }
    .into_any()
}
