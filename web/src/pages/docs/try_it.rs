//! Calls a method with a body, and shows what comes back.

use futures_util::future::{AbortHandle, abortable};
use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_view::api::{self, Method};
use planaria_view::words;
use tonic::Status;

use crate::mesh::{self, Failure};
use crate::ui::{Confirm, Json, Oops};

/// A stream that has told so much is closed: what it is like can be seen by then.
const ANSWERS_MAX: usize = 20;

/// The one call of the page that is under way: another one ends it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Running(RwSignal<Option<AbortHandle>>);

impl Running {
    fn begin(self, handle: AbortHandle) {
        self.end();
        self.0.set(Some(handle));
    }

    fn end(self) {
        if let Some(handle) = self.0.try_update(Option::take).flatten() {
            handle.abort();
        }
    }
}

/// How a call stands.
#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Unsent,
    Waiting,
    /// It ended by itself, or was stopped.
    Over(&'static str),
    Failed(Failure),
    /// The body does not fit.
    Unfit(String),
}

#[component]
pub(super) fn TryIt(method: &'static Method, body: RwSignal<String>) -> impl IntoView {
    let state = RwSignal::new(State::default());
    let answers = RwSignal::new(Vec::<Vec<u8>>::new());
    let running = expect_context::<Running>();
    let stop = move || {
        running.end();
        state.update(|state| {
            if matches!(state, State::Waiting) {
                *state = State::Over("stopped");
            }
        });
    };
    on_cleanup(move || running.end());
    let send = move || {
        let request = match api::request(method, &body.get_untracked()) {
            Ok(request) => request,
            Err(problem) => return state.set(State::Unfit(problem)),
        };
        answers.set(Vec::new());
        state.set(State::Waiting);
        let (task, handle) = abortable(follow(method, request, answers));
        running.begin(handle);
        spawn_local(async move {
            let outcome = match task.await {
                Ok(Ok(word)) => State::Over(word),
                Ok(Err(failure)) => State::Failed(failure),
                // The page was left, or another call was sent.
                Err(_) => State::Over("stopped"),
            };
            state.try_set(outcome);
        });
    };
    let act = move || {
        send();
        async { Ok(()) }
    };
    let button = if method.changes {
        view! {
            <Confirm label="Send" class="primary" act=act question=format!(
                "{} may change something in this mesh. It is sent with the body that you see.",
                method.anchor,
            ) />
        }
        .into_any()
    } else {
        view! { <button type="button" class="primary" on:click=move |_| send()>"Send"</button> }
            .into_any()
    };
    let told = move || {
        let number = words::plural(answers.with(Vec::len) as u64, "answer", "answers");
        match state.get() {
            State::Unsent => None,
            State::Waiting if method.server_streaming => Some(format!("{number}, listening…")),
            State::Waiting => Some("waiting for the answer…".to_owned()),
            State::Over(word) if method.server_streaming => Some(format!("{number}, {word}")),
            State::Over(_) => Some(number),
            State::Failed(_) | State::Unfit(_) => None,
        }
    };
    let stopping = move || {
        let waits = matches!(state.get(), State::Waiting);
        waits.then(|| view! { <button type="button" on:click=move |_| stop()>"Stop"</button> })
    };
    let problem = move || {
        match state.get() {
        State::Failed(failure) => Some(view! { <Oops failure=failure /> }.into_any()),
        State::Unfit(problem) => Some(
            view! { <div class="oops" role="alert"><p>"The body does not fit: "{problem}</p></div> }
                .into_any(),
        ),
        _ => None,
    }
    };
    let shown = move || {
        let numbered = answers.get().into_iter().enumerate();
        numbered
            .map(|(index, answer)| {
                let name = format!("Answer {}", index + 1);
                view! { <li aria-label=name><Json data=answer /></li> }
            })
            .collect_view()
    };
    let rows = move || body.with(|body| body.lines().count().clamp(3, 20)).to_string();
    view! {
        <label class="field">
            "Body (JSON)"
            <textarea rows=rows spellcheck="false" prop:value=body
                on:input=move |event| body.set(event_target_value(&event)) />
        </label>
        <div class="row sending">
            {button}
            {stopping}
            <span class="faint" role="status">{told}</span>
        </div>
        {problem}
        <ol class="answers">{shown}</ol>
    }
}

/// Adds what comes back; the word at the end says why no more does.
async fn follow(
    method: &'static Method,
    request: Vec<u8>,
    answers: RwSignal<Vec<Vec<u8>>>,
) -> Result<&'static str, Failure> {
    let mut stream = mesh::call(&method.path, request).await?;
    let mut number = 0;
    while let Some(bytes) = stream.message().await? {
        let answer = api::answer(method, &bytes).map_err(Status::internal)?;
        answers.try_update(|answers| answers.push(answer));
        number += 1;
        if number == ANSWERS_MAX {
            return Ok("closed: that is enough to see what it is like");
        }
    }
    Ok("the stream ended")
}
