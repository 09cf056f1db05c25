//! A secret, which is shown once.

use leptos::prelude::*;

use crate::ui::Id;

/// A secret with a button that copies it and one that puts it away. Nothing shows it again.
#[component]
pub(crate) fn Secret(
    /// What it is and what to do with it.
    #[prop(into)]
    text: String,
    #[prop(into)] secret: String,
    /// It was kept.
    done: Callback<()>,
) -> impl IntoView {
    view! {
        <section class="card secret" role="status">
            <p><strong>{text}</strong>" Copy it now: it is never shown again."</p>
            <div class="row">
                <span class="value"><Id id=secret whole=true /></span>
                <button type="button" class="primary" on:click=move |_| done.run(())>
                    "I have kept it"
                </button>
            </div>
        </section>
    }
}
