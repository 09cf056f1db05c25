//! One method: what it does, what it takes and gives, and how it is called.

use leptos::prelude::*;
use planaria_view::api::{self, Method};

use super::Fold;
use super::shape::Shape;
use super::try_it::TryIt;
use crate::mesh::Key;
use crate::ui::Id;

#[component]
pub(super) fn Entry(method: &'static Method, hidden: Signal<bool>) -> impl IntoView {
    let kind = match (method.client_streaming, method.server_streaming) {
        (true, _) => Some("streams both ways"),
        (false, true) => Some("streams answers"),
        (false, false) => None,
    };
    // The first sentence is enough for the list.
    let first = method.about.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let inside = Callback::new(move |()| view! { <Inside method=method /> }.into_any());
    view! {
        <Fold anchor=method.anchor.clone() hidden=hidden inside=inside>
            <b>{method.name.clone()}</b>
            <span class="faint first">{first}</span>
            {kind.map(|kind| view! { <span class="stream faint">{kind}</span> })}
        </Fold>
    }
}

#[component]
fn Inside(method: &'static Method) -> impl IntoView {
    let body = RwSignal::new(api::example(method));
    let origin = window().location().origin().unwrap_or_default();
    let line = move || {
        let line = api::grpcurl(method, &origin, &body.get(), Key::get().is_some());
        view! { <Id id=line whole=true /> }
    };
    let form = if method.client_streaming {
        view! {
            <p class="faint">"It cannot be tried here: a browser sends one request and then only \
                listens, and this method wants requests for as long as it lasts. Programs, and \
                grpcurl with one request after the other, can call it."</p>
        }
        .into_any()
    } else {
        view! { <TryIt method=method body=body /> }.into_any()
    };
    view! {
        <p class="about">{method.about.clone()}</p>
        <p class="row"><a href=format!("#{}", method.anchor)>"Link to this method"</a>
            <span class="faint"><Id id=method.path.clone() whole=true /></span></p>
        <h3>"Request: "<code>{method.input.clone()}</code></h3>
        <Shape name=method.input.clone() />
        <h3>"Answer: "<code>{method.output.clone()}</code></h3>
        <Shape name=method.output.clone() />
        <h3>"From a shell"</h3>
        <div class="line">{line}</div>
        <h3>"Try it"</h3>
        {form}
    }
}
