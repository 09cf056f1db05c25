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
    let sign = move || match copied.get() {
        true => view! { "✓" }.into_any(),
        false => sheets().into_any(),
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
                {sign}
            </button>
        </span>
    }
    .into_any()
}

/// Two sheets, one behind the other: the usual sign, which many fonts lack.
fn sheets() -> impl IntoView {
    view! {
        <svg
            viewBox="0 0 16 16"
            width="13"
            height="13"
            fill="none"
            stroke="currentColor"
            aria-hidden="true"
        >
            <rect x="5.5" y="5.5" width="9" height="9" rx="1.5" />
            <path d="M3 10.5h-.5L1 9V2.5L2.5 1H9l1.5 1.5V3" />
        </svg>
    }
}
