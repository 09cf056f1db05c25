//! The functions that the tasks of a version call.

use leptos::prelude::*;
use planaria_proto::workflow::v1::Definition;

#[component]
pub(super) fn Functions(of: Definition) -> impl IntoView {
    let none = of.functions.is_empty();
    let rows = of.functions.into_iter().map(|used| {
        let version = match used.version.as_str() {
            "" => "any version".to_owned(),
            version => format!("version {version}"),
        };
        view! {
            <li>
                <b>{used.function}</b>" "<span class="faint">{version}", queue "{used.queue}</span>
                <div class="detail mono">{used.task}</div>
            </li>
        }
    });
    let none = none.then(|| view! { <p class="faint">"No task calls a function."</p> });
    view! {
        <section class="card">
            <h2>"Functions"<a class="more" href="/workers">"workers"</a></h2>
            {none}
            <ul class="functions">{rows.collect_view()}</ul>
        </section>
    }
}
