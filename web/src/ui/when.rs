//! A moment, told from now; on hover as it is on the clock.

use leptos::prelude::*;
use planaria_view::words;
use prost_types::Timestamp;
use wasm_bindgen::JsValue;

use crate::clock::Clock;

/// `12 s ago`; the date and time to the millisecond on hover. A dash where there is none.
#[component]
pub(crate) fn When(#[prop(into)] at: Option<Timestamp>) -> impl IntoView {
    let Some(at) = at else { return view! { <span class="faint">"–"</span> }.into_any() };
    let ms = words::millis(&at);
    let date = js_sys::Date::new(&JsValue::from_f64(ms as f64));
    let exact = date.to_iso_string().as_string().unwrap_or_default();
    let ago = move || words::ago(ms, Clock::now());
    view! { <time datetime=exact.clone() title=exact>{ago}</time> }.into_any()
}
