//! Writing a definition: the server says while one types what is wrong where.

mod code;
mod problems;

use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::{
    PutDefinitionRequest, ValidateDefinitionRequest, ValidateDefinitionResponse,
};
use planaria_view::workflows::Definition;

use super::fetch::one;
use crate::mesh::{self, Failure, Loaded};
use crate::ui::{Oops, Title};
use code::Code;
use problems::Problems;

/// So long after the last letter the server is asked.
const PAUSE: Duration = Duration::from_millis(300);
const EXAMPLE: &str = include_str!("example.yaml");

#[component]
pub(super) fn Editor(
    /// `namespace/name:version` of what is changed; none = a new definition.
    of: Option<String>,
) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let ready = RwSignal::new(of.is_none());
    let failure = RwSignal::new(None::<Failure>);
    let title = match &of {
        Some(of) => format!("New version of {of}"),
        None => "New definition".to_owned(),
    };
    match of {
        None => text.set(EXAMPLE.to_owned()),
        Some(of) => {
            let Definition { namespace, name, version } = of.parse().unwrap_or_default();
            spawn_local(async move {
                match one(DefinitionReference { namespace, name, version }).await {
                    Ok(found) => {
                        text.try_set(String::from_utf8_lossy(&found.source).into_owned());
                        ready.try_set(true);
                    }
                    Err(problem) => {
                        failure.try_set(Some(problem));
                    }
                }
            });
        }
    }
    let verdict = RwSignal::new(Loaded::<ValidateDefinitionResponse>::Loading);
    check(text, ready, verdict);
    let area = NodeRef::<leptos::html::Textarea>::new();
    let body = move || {
        ready.get().then(|| {
            view! {
                <div class="editor">
                    <Code text=text verdict=verdict area=area />
                    <Problems text=text verdict=verdict area=area />
                </div>
            }
        })
    };
    view! {
        <Title text=title>
            <a class="button" href="/definitions">"Leave it"</a>
            <Publish text=text verdict=verdict failure=failure />
        </Title>
        {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
        {body}
    }
}

/// Asks the server about the text whenever it has not changed for a moment.
fn check(
    text: RwSignal<String>,
    ready: RwSignal<bool>,
    verdict: RwSignal<Loaded<ValidateDefinitionResponse>>,
) {
    let turn = StoredValue::new(0u32);
    Effect::new(move |before: Option<bool>| {
        let source = text.get();
        if !ready.get() {
            return false;
        }
        turn.update_value(|turn| *turn = turn.wrapping_add(1));
        let this = turn.get_value();
        // The first text is there at once.
        let pause = if before == Some(true) { PAUSE } else { Duration::ZERO };
        spawn_local(async move {
            TimeoutFuture::new(pause.as_millis() as u32).await;
            if turn.try_get_value() != Some(this) {
                return;
            }
            let request = ValidateDefinitionRequest { source: source.into_bytes().into() };
            let answer = mesh::definitions().validate_definition(request).await;
            if turn.try_get_value() == Some(this) {
                verdict.try_set(match answer {
                    Ok(answer) => Loaded::Ready(answer.into_inner()),
                    Err(status) => Loaded::Failed(status.into()),
                });
            }
        });
        true
    });
}

#[component]
fn Publish(
    text: RwSignal<String>,
    verdict: RwSignal<Loaded<ValidateDefinitionResponse>>,
    failure: RwSignal<Option<Failure>>,
) -> impl IntoView {
    let busy = RwSignal::new(false);
    let navigate = use_navigate();
    let wrong = Memo::new(move |_| {
        verdict.with(|verdict| match verdict {
            Loaded::Ready(verdict) => !verdict.problems.is_empty(),
            _ => false,
        })
    });
    let publish = move |_| {
        let navigate = navigate.clone();
        let source = text.get_untracked().into_bytes().into();
        busy.set(true);
        failure.set(None);
        spawn_local(async move {
            let answer = mesh::definitions().put_definition(PutDefinitionRequest { source }).await;
            busy.try_set(false);
            match answer {
                Ok(answer) => {
                    let of = answer.into_inner().definition.unwrap_or_default();
                    let of = of.reference.unwrap_or_default();
                    let page = format!("/definitions/{}/{}", of.namespace, of.name);
                    let page = format!("{page}?version={}", of.version);
                    navigate(&page, NavigateOptions::default());
                }
                Err(status) => {
                    failure.try_set(Some(status.into()));
                }
            }
        });
    };
    view! {
        <button type="button" class="primary" on:click=publish
            disabled=move || busy.get() || wrong.get()>
            "Publish"
        </button>
    }
}
