//! How far a redrive is.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::retry::v1::{GetRedriveRequest, Redrive, RedriveState, StopRedriveRequest};
use planaria_view::words;

use crate::mesh::{self, Again, Failure, Loaded};
use crate::ui::{Badge, Id, Oops, Tone, When};

/// The last event of a redrive comes before it is done: then it is asked for once more.
const DONE_AFTER: Duration = Duration::from_secs(1);

/// The redrive that the address names, as it is after each event.
#[component]
pub(super) fn Progress(redrive: crate::ui::Asked, again: Again) -> impl IntoView {
    let data = RwSignal::new(Loaded::<Redrive>::Loading);
    let failure = RwSignal::new(None::<Failure>);
    Effect::new(move || {
        again.track();
        let redrive_id = redrive.get();
        if redrive_id.is_empty() {
            return;
        }
        let request = GetRedriveRequest { redrive_id };
        let call = async move { mesh::retries().get_redrive(request).await };
        Loaded::fetch(data, call, move |answer| {
            let redrive = answer.redrive.unwrap_or_default();
            let tried = redrive.redriven + redrive.refused;
            if redrive.state() == RedriveState::Running && tried >= redrive.matched {
                again.after(DONE_AFTER);
            }
            redrive
        });
    });
    let stop = move |_| {
        let request = StopRedriveRequest { redrive_id: redrive.get() };
        spawn_local(async move {
            let outcome = mesh::retries().stop_redrive(request).await;
            failure.try_set(outcome.err().map(Into::into));
            again.now();
        });
    };
    let shown = move || {
        if redrive.get().is_empty() {
            return ().into_any();
        }
        let inside = match data.get() {
            Loaded::Loading => view! { <p role="status">"Loading…"</p> }.into_any(),
            Loaded::Failed(failure) => view! { <Oops failure=failure /> }.into_any(),
            Loaded::Ready(it) => progress(it).into_any(),
        };
        let running = matches!(
            data.get(), Loaded::Ready(it) if it.state() == RedriveState::Running
        );
        view! {
            <section class="card redrive-progress" aria-label="Redrive">
                {inside}
                {move || failure.get().map(|failure| view! { <Oops failure=failure /> })}
                <div class="row">
                    {running.then(|| view! {
                        <button type="button" class="danger" on:click=stop>"Stop it"</button>
                    })}
                    <button type="button" on:click=move |_| redrive.set("")>"Hide"</button>
                </div>
            </section>
        }
        .into_any()
    };
    view! { {shown} }
}

fn progress(it: Redrive) -> impl IntoView {
    let (tone, state) = match it.state() {
        RedriveState::Running => (Tone::Busy, "running"),
        RedriveState::Done => (Tone::Good, "done"),
        RedriveState::Stopped => (Tone::Wait, "stopped"),
        RedriveState::Unspecified => (Tone::Plain, "unknown"),
    };
    let tried = it.redriven + it.refused;
    let part = tried as f64 / it.matched.max(1) as f64;
    let refused = (it.refused > 0).then(|| {
        let why = if it.detail.is_empty() { String::new() } else { format!(": {}", it.detail) };
        view! { <p class="detail">{format!("{} refused{why}", words::count(it.refused))}</p> }
    });
    let said = format!(
        "{} of {} redriven, at most {} a second",
        words::count(it.redriven),
        words::count(it.matched),
        words::digits(it.rate)
    );
    view! {
        <div class="row">
            <b>"Redrive"</b> <Id id=it.id /> <Badge tone=tone text=state />
            <span role="status">{said.clone()}</span>
            <span class="faint">"started "<When at=it.started_at /></span>
        </div>
        <svg class="meter" role="img" aria-label=said height="8">
            <rect class="ground" width="100%" height="8" rx="4" />
            <rect class="used" width=format!("{:.2}%", part.clamp(0.0, 1.0) * 100.0) height="8"
                rx="4" />
        </svg>
        {refused}
    }
}
