//! Sets or changes a limit.

use leptos::prelude::*;
use planaria_proto::flow::v1::{Limit, PutLimitRequest};

use crate::mesh;
use crate::ui::Confirm;

/// Sets a limit, or changes the given one, whose name stays.
#[component]
pub(super) fn PutLimit(
    label: &'static str,
    changed: Callback<()>,
    #[prop(optional)] limit: Option<Limit>,
    #[prop(optional)] class: &'static str,
) -> impl IntoView {
    let known = limit.is_some();
    let limit = limit.unwrap_or_default();
    let number = |value: f64| if value == 0.0 { String::new() } else { value.to_string() };
    let namespace = RwSignal::new(limit.namespace);
    let function = RwSignal::new(limit.function);
    let per = RwSignal::new(limit.per);
    let concurrency = RwSignal::new(number(f64::from(limit.concurrency)));
    let rate = RwSignal::new(number(limit.rate));
    let burst = RwSignal::new(number(f64::from(limit.burst)));
    let act = move || {
        let text = |field: RwSignal<String>| field.get_untracked().trim().to_owned();
        let limit = Limit {
            namespace: text(namespace),
            function: text(function),
            per: text(per),
            // What is no number is none: the mesh says so if nothing is limited then.
            concurrency: text(concurrency).parse().unwrap_or(0),
            rate: text(rate).parse().unwrap_or(0.0),
            burst: text(burst).parse().unwrap_or(0),
            changed_at: None,
        };
        async move {
            mesh::flow().put_limit(PutLimitRequest { limit: Some(limit) }).await?;
            changed.run(());
            Ok(())
        }
    };
    let question = "It holds over the whole mesh. Attempts that run already go on; what waits \
                    obeys within a second.";
    view! {
        <Confirm label=label class=class act=act question=question>
            <div class="fields">
                <Field label="Namespace of the definitions" value=namespace fixed=known />
                <Field label="Function" value=function fixed=known />
                <Field label="For each value at (JSON pointer into the arguments)" value=per
                    fixed=known hint="all tasks together" />
                <Field label="At once" value=concurrency kind="number" hint="any number" />
                <Field label="Starts per second" value=rate kind="number" hint="any number" />
                <Field label="Starts at once after a pause" value=burst kind="number"
                    hint="those of a second" />
            </div>
        </Confirm>
    }
}

#[component]
fn Field(
    label: &'static str,
    value: RwSignal<String>,
    #[prop(optional)] fixed: bool,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional)] hint: &'static str,
) -> impl IntoView {
    let number = kind == "number";
    view! {
        <label class="field">
            {label}
            <input type=kind prop:value=value placeholder=hint autocomplete="off" disabled=fixed
                min=number.then_some("0") step=number.then_some("any")
                on:input=move |event| value.set(event_target_value(&event)) />
        </label>
    }
}
