//! One worker.

use leptos::prelude::*;
use planaria_proto::failure_detector::v1::{DrainWorkerRequest, Liveness, RunningAttempt, Worker};
use planaria_view::words;
use planaria_view::workers::{PHI_DEAD, PHI_SUSPECT, attempt, gauge, liveness, load};

use crate::mesh::{self, Failure};
use crate::ui::{Badge, Confirm, Id, Tone, When};

/// Attempts that are listed before the rest is counted.
const LISTED_MAX: usize = 50;
/// Below this suspicion, a heart beats as it should.
const PHI_NOTED: f64 = 1.0;

#[component]
pub(super) fn WorkerCard(worker: Memo<Worker>) -> impl IntoView {
    // Parts are drawn anew only when what they show changed: beats come twice a second.
    let head = Memo::new(move |_| {
        worker.with(|it| (it.id.clone(), it.liveness(), it.draining, it.cause.clone()))
    });
    let attempts = Memo::new(move |_| worker.with(|it| it.attempts.clone()));
    let facts = Memo::new(move |_| {
        worker.with(|it| {
            (it.facts.clone().unwrap_or_default(), it.incarnation.clone(), it.session_id.clone())
        })
    });
    let connected = Memo::new(move |_| worker.with(|it| it.connected_at));
    let beat = Memo::new(move |_| worker.with(|it| it.last_beat_at));
    let gone = Memo::new(move |_| matches!(head.get().1, Liveness::Dead | Liveness::Left));
    // The stream is silent about a worker whose heart beats as it should, and tells at once when
    // it does not: the last beat that was told is old, and says nothing, while all is well.
    let beats_well = Memo::new(move |_| {
        worker.with(|it| it.liveness() == Liveness::Alive && it.phi < PHI_NOTED)
    });
    let beats = move || match beats_well.get() {
        true => view! { "Its heart beats" }.into_any(),
        false => view! { "Last beat "<When at=beat.get() /> }.into_any(),
    };
    let class = move || match head.get().1 {
        Liveness::Dead | Liveness::Left => "card worker gone",
        Liveness::Suspect => "card worker suspect",
        _ => "card worker",
    };
    let title = move || {
        let (id, state, draining, cause) = head.get();
        let tone = match state {
            Liveness::Alive => Tone::Good,
            Liveness::Suspect => Tone::Wait,
            Liveness::Dead => Tone::Bad,
            Liveness::Left | Liveness::Unspecified => Tone::Plain,
        };
        view! {
            <div class="head">
                <h2><Id id=id whole=true /></h2>
                <Badge tone=tone text=liveness(state) />
                {draining.then(|| view! { <Badge tone=Tone::Wait text="draining" /> })}
            </div>
            {(!cause.is_empty()).then(|| view! { <p class="detail">{cause}</p> })}
        }
    };
    let drain = move || {
        let (id, state, draining, _) = head.get();
        let here = matches!(state, Liveness::Alive | Liveness::Suspect) && !draining;
        here.then(|| view! { <Drain id=id /> })
    };
    view! {
        <li class=class>
            {title}
            <Load worker=worker />
            // Of who is gone, nothing is measured any more.
            {move || (!gone.get()).then(|| view! { <Phi worker=worker /> })}
            <p class="detail">
                {beats}", connected " {move || view! { <When at=connected.get() /> }}
            </p>
            {move || listed(attempts.get())}
            {move || told(facts.get())}
            {drain}
        </li>
    }
}

/// How much of its capacity is used.
#[component]
fn Load(worker: Memo<Worker>) -> impl IntoView {
    let used = Memo::new(move |_| {
        worker.with(|it| (it.attempts.len(), it.facts.as_ref().map_or(0, |facts| facts.capacity)))
    });
    let words = move || {
        let (running, capacity) = used.get();
        format!("{running} of {capacity} running")
    };
    let width = move || {
        let (running, capacity) = used.get();
        format!("{:.2}%", load(running, capacity) * 100.0)
    };
    view! {
        <div class="measure">
            <span>{words}</span>
            <svg class="meter" role="img" aria-label=words height="8">
                <rect class="ground" width="100%" height="8" rx="4" />
                <rect class="used" width=width height="8" rx="4" />
            </svg>
        </div>
    }
}

/// How suspicious its silence is; it is dead where the gauge ends.
#[component]
fn Phi(worker: Memo<Worker>) -> impl IntoView {
    let phi = Memo::new(move |_| worker.with(|it| it.phi));
    let words = move || format!("phi {} of {PHI_DEAD}", words::digits(phi.get()));
    let width = move || format!("{:.2}%", gauge(phi.get()) * 100.0);
    let class = move || match phi.get() {
        phi if phi >= PHI_DEAD => "phi dead",
        phi if phi >= PHI_SUSPECT => "phi suspect",
        _ => "phi",
    };
    let suspect = format!("{:.2}%", gauge(PHI_SUSPECT) * 100.0);
    let title = format!(
        "How suspicious the silence is: suspect from {PHI_SUSPECT} on, dead from {PHI_DEAD} on"
    );
    view! {
        <div class="measure" title=title>
            <span>{words}</span>
            <svg class="meter" role="img" aria-label=words height="8">
                <rect class="ground" width="100%" height="8" rx="4" />
                <rect class=class width=width height="8" rx="4" />
                <line class="limit" x1=suspect.clone() x2=suspect y1="0" y2="8" />
            </svg>
        </div>
    }
}

/// What it runs.
fn listed(attempts: Vec<RunningAttempt>) -> impl IntoView {
    let more = attempts.len().saturating_sub(LISTED_MAX);
    let rows = attempts.into_iter().take(LISTED_MAX).map(|running| {
        let progress = match (running.progress.as_str(), running.progress_count) {
            ("", 0) => String::new(),
            ("", steps) => words::plural(steps, "step", "steps"),
            (said, _) => said.to_owned(),
        };
        let name = match attempt(&running.attempt_id) {
            Some(it) => {
                let href = format!("/workflows/{}", it.workflow);
                view! {
                    <Id id=it.workflow href=href />
                    <span class="faint">{format!("attempt {}", it.attempt)}</span>
                }
                .into_any()
            }
            None => view! { <span class="mono">{running.attempt_id}</span> }.into_any(),
        };
        view! { <li>{name}<span class="progress">{progress}</span></li> }
    });
    let idle = (rows.len() == 0).then(|| view! { <li class="faint">"runs nothing"</li> });
    let rows = rows.collect_view();
    let more = (more > 0).then(|| view! { <li class="faint">{format!("and {more} more")}</li> });
    view! {
        <ul class="attempts" tabindex="0" aria-label="Running attempts">{idle}{rows}{more}</ul>
    }
}

fn told(
    (facts, incarnation, session): (
        planaria_proto::failure_detector::v1::WorkerFacts,
        String,
        String,
    ),
) -> impl IntoView {
    let labels = facts.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let mut labels: Vec<_> = labels.collect();
    labels.sort_unstable();
    let chips = |names: Vec<String>| {
        if names.is_empty() {
            return view! { <span class="faint">"none"</span> }.into_any();
        }
        names
            .into_iter()
            .map(|name| view! { <span class="chip">{name}</span> })
            .collect_view()
            .into_any()
    };
    let place = format!("{}, process {}", facts.host, facts.pid);
    view! {
        <details>
            <summary>{place}</summary>
            <dl class="told">
                <dt>"Version"</dt><dd>{facts.version}</dd>
                <dt>"Functions"</dt><dd>{chips(facts.functions)}</dd>
                <dt>"Queues"</dt><dd>{chips(facts.queues)}</dd>
                <dt>"Labels"</dt><dd>{chips(labels)}</dd>
                <dt>"Incarnation"</dt><dd><Id id=incarnation /></dd>
                <dt>"Session"</dt><dd><Id id=session /></dd>
            </dl>
        </details>
    }
}

#[component]
fn Drain(id: String) -> impl IntoView {
    let question = format!(
        "Worker {id} finishes or hands back what it runs, takes no more, and leaves. What it hands \
         back runs elsewhere."
    );
    let act = move || {
        let request = DrainWorkerRequest { worker_id: id.clone() };
        async move {
            mesh::detector().drain_worker(request).await?;
            Ok::<(), Failure>(())
        }
    };
    view! { <div class="foot"><Confirm label="Drain" question=question act=act /></div> }
}
