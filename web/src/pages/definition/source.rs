//! The text of a version, as it was published.

use leptos::prelude::*;
use planaria_proto::workflow::v1::Definition;

#[component]
pub(super) fn Source(of: Definition) -> impl IntoView {
    let text = String::from_utf8_lossy(&of.source).into_owned();
    let count = text.lines().count();
    let numbers = (1..=count).map(|line| view! { <span class="line">{line}</span> });
    let version = of.reference.unwrap_or_default().version;
    view! {
        <section class="card">
            <h2>"Version "{version}</h2>
            <div class="code" tabindex="0" role="region" aria-label="Document">
                <div class="lines" aria-hidden="true">{numbers.collect_view()}</div>
                <pre>{text}</pre>
            </div>
            <p class="detail digest">"SHA-256 "<span class="mono">{of.digest}</span></p>
        </section>
    }
}
