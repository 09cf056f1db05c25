//! A dead letter: what was given up, its whole story, and how it goes on.

mod losses;
mod redrive;
mod story;

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use planaria_proto::retry::v1::{DeadLetter as Letter, DeadLetterState, GetDeadLetterRequest};
use planaria_view::{letters, words};

use super::retries::follow_events;
use crate::mesh::{self, Loaded};
use crate::ui::{Badge, Id, Json, Show, Title, Tone, When};
use losses::Losses;
use redrive::RedriveOne;
use story::Story;

/// Whatever of its workflow can change it.
const EVENTS: &[&str] =
    &["dev.planaria.", "io.serverlessworkflow.workflow.", "io.serverlessworkflow.task."];

#[component]
pub(crate) fn DeadLetter() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|it| it.get("id")).unwrap_or_default());
    // Another address is another page, with its own stream.
    move || view! { <Page id=id.get() /> }
}

#[component]
fn Page(id: String) -> impl IntoView {
    let data = RwSignal::new(Loaded::<Letter>::Loading);
    // Its id begins with that of its workflow, of whose events it is told.
    let workflow_id = id.split('.').next().unwrap_or_default().to_owned();
    let again = follow_events(EVENTS, workflow_id);
    let title = format!("Dead letter {}", words::short_id(&id));
    Effect::new(move || {
        again.track();
        let request = GetDeadLetterRequest { id: id.clone() };
        let call = async move { mesh::retries().get_dead_letter(request).await };
        Loaded::fetch(data, call, |answer| answer.dead_letter.unwrap_or_default());
    });
    // Drawn anew only when it changed: somebody may be writing a new input.
    let seen = Memo::new(move |_| data.get());
    let open = Memo::new(move |_| match data.get() {
        Loaded::Ready(letter) if letter.state() == DeadLetterState::Open => {
            Some((letter.id, letter.workflow_id, letter.task))
        }
        _ => None,
    });
    let redrive = move || {
        open.get().map(|(id, workflow_id, task)| {
            view! {
                <RedriveOne id=id workflow_id=workflow_id task=task again=again />
            }
        })
    };
    view! {
        <Title text=title><a class="button" href="/retries?tab=dead-letters">"All"</a></Title>
        <div class="letter">
            <Show data=seen render=|letter| view! { <Facts letter=letter /> } />
            {redrive}
        </div>
    }
}

#[component]
fn Facts(letter: Letter) -> impl IntoView {
    let state = letter.state();
    let tone = match state {
        DeadLetterState::Open => Tone::Bad,
        DeadLetterState::Redriven => Tone::Busy,
        DeadLetterState::Resolved => Tone::Good,
        DeadLetterState::Unspecified => Tone::Plain,
    };
    let definition = letter.definition.clone().unwrap_or_default();
    let (namespace, name) = (definition.namespace, definition.name);
    let href = format!("/definitions/{namespace}/{name}");
    let full = format!("{namespace}/{name}:{}", definition.version);
    let workflow = format!("/workflows/{}", letter.workflow_id);
    let group = format!(
        "/retries?tab=dead-letters&state={}&group={}",
        letters::state(state),
        letter.fingerprint
    );
    let error = letter.error.clone().unwrap_or_default();
    let cause = letters::cause(letter.cause());
    let function = (!letter.function.is_empty()).then(|| {
        view! {
            <dt>"Function"</dt><dd>{letter.function.clone()}</dd>
        }
    });
    let redriven = letter.redriven_at.map(|at| {
        view! {
            <dt>"Redriven"</dt><dd><When at=at /></dd>
        }
    });
    let arguments = letter.arguments.clone().unwrap_or_default().data.to_vec();
    view! {
        <div class="oops">
            <p><strong>{letters::error(letter.error.as_ref())}</strong></p>
            <p class="faint">{cause}</p>
        </div>
        <div class="columns">
            <section class="card">
                <h2>"What it is"<Badge tone=tone text=letters::state(state) /></h2>
                <dl class="told">
                    <dt>"Dead letter"</dt><dd><Id id=letter.id.clone() whole=true /></dd>
                    <dt>"Workflow"</dt>
                    <dd><Id id=letter.workflow_id.clone() href=workflow whole=true /></dd>
                    <dt>"Definition"</dt><dd><a href=href>{full}</a></dd>
                    <dt>"Task"</dt><dd class="mono">{letter.task.clone()}</dd>
                    {function}
                    <dt>"Given up"</dt><dd><When at=letter.created_at /></dd>
                    {redriven}
                    <dt>"Like it"</dt><dd><a href=group>"the others of its group"</a></dd>
                    <dt>"Error type"</dt><dd class="mono">{error.r#type}</dd>
                    <dt>"Raised by"</dt><dd class="mono">{error.instance}</dd>
                </dl>
            </section>
            <section class="card"><h2>"Arguments"</h2><Json data=arguments /></section>
        </div>
        <Losses losses=letter.losses />
        <Story story=letter.story />
    }
}
