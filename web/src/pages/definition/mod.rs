//! One definition: its text, its versions and what differs between them, and starting it.

mod compare;
mod functions;
mod run;
mod source;
mod versions;

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_params_map;
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::Definition as Shown;

use crate::mesh::Loaded;
use crate::pages::definitions::{all, one};
use crate::ui::{Show, Title, query};
use compare::Compare;
use functions::Functions;
use run::Run;
use source::Source;
use versions::Versions;

#[component]
pub(crate) fn Definition() -> impl IntoView {
    let params = use_params_map();
    let named = Memo::new(move |_| {
        params.with(|params| {
            (params.get("namespace").unwrap_or_default(), params.get("name").unwrap_or_default())
        })
    });
    let (version, _) = query("version");
    let (against, _) = query("against");
    let shown = RwSignal::new(Loaded::<Shown>::Loading);
    let versions = RwSignal::new(Loaded::<Vec<Shown>>::Loading);
    let turn = StoredValue::new(0u32);
    Effect::new(move || {
        let (namespace, name) = named.get();
        let version = version.get();
        // An answer about the version before comes too late.
        turn.update_value(|turn| *turn += 1);
        let this = turn.get_value();
        spawn_local(async move {
            let found = one(DefinitionReference { namespace, name, version }).await;
            if turn.try_get_value() == Some(this) {
                shown.try_set(found.map_or_else(Loaded::Failed, Loaded::Ready));
            }
        });
    });
    Effect::new(move || {
        let (namespace, name) = named.get();
        spawn_local(async move {
            let found = all(namespace, name).await;
            versions.try_set(found.map_or_else(Loaded::Failed, Loaded::Ready));
        });
    });
    let title = Signal::derive(move || {
        let (namespace, name) = named.get();
        format!("{namespace}/{name}")
    });
    let workflows = move || format!("/workflows?definition={}", title.get());
    let edit = move || {
        shown.with(|shown| {
            let Loaded::Ready(shown) = shown else { return None };
            let of = shown.reference.clone().unwrap_or_default();
            let href = format!("/definitions?edit={}/{}:{}", of.namespace, of.name, of.version);
            Some(view! { <a class="button" href=href>"Edit as new version"</a> })
        })
    };
    let compared = move |shown: Shown| {
        move || match against.get() {
            earlier if earlier.is_empty() => view! { <Source of=shown.clone() /> }.into_any(),
            earlier => view! { <Compare of=shown.clone() earlier=earlier /> }.into_any(),
        }
    };
    let main = move |shown: Shown| {
        let of = shown.reference.clone().unwrap_or_default();
        let about = [shown.title.clone(), shown.summary.clone()];
        let about = about.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
        let current = of.version.clone();
        view! {
            <p class="faint">{about.join(": ")}</p>
            <div class="definition-page">
                <div>{compared(shown.clone())}</div>
                <div>
                    <Run of=shown.clone() />
                    <Show data=versions render=move |all| view! {
                        <Versions all=all current=current.clone() />
                    } />
                    <Functions of=shown />
                </div>
            </div>
        }
    };
    view! {
        <Title text=title>
            {edit}
            <a class="button" href=workflows>"Its workflows"</a>
        </Title>
        <Show data=shown render=main />
    }
}
