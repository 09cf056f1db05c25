//! One incident: what died, how it went, and each healing.

use std::collections::HashSet;

use leptos::prelude::*;
use planaria_proto::types::v1::{Healing, HealingAction};
use planaria_view::healing::{Incident, Timeline, doing};
use planaria_view::{names, words};
use prost_types::Timestamp;

use super::timeline::Drawing;
use crate::clock::{Clock, now_ms};
use crate::ui::{Badge, Id, Tone, When};

/// Healings that are drawn; the table has all.
const DRAWN_MAX: usize = 6;

#[component]
pub(super) fn IncidentCard(
    incident: Incident,
    /// The incidents whose healings are unfolded.
    opened: RwSignal<HashSet<String>>,
) -> impl IntoView {
    let id = incident.id.clone();
    let is_open = opened.with_untracked(|opened| opened.contains(&id));
    let toggled = {
        let id = id.clone();
        move |event: leptos::ev::Event| {
            let details: leptos::web_sys::HtmlDetailsElement = event_target(&event);
            opened.update_untracked(|opened| {
                if details.open() {
                    opened.insert(id.clone());
                } else {
                    opened.remove(&id);
                }
            });
        }
    };
    let detected_at = incident.healings.first().and_then(|it| it.detected_at);
    let under_way = incident.open() > 0;
    let drawing = {
        let incident = incident.clone();
        move || {
            // What is over does not move any more.
            let now = if under_way { Clock::now() } else { now_ms() };
            view! { <Drawing timeline=Timeline::new(&incident, now, DRAWN_MAX) /> }
        }
    };
    let rows = incident.healings.iter().cloned().map(row).collect_view();
    let count = words::plural(incident.healings.len() as u64, "healing", "healings");
    let class = if under_way { "card incident open" } else { "card incident" };
    view! {
        <li class=class>
            <div class="head">
                <Verdict incident=incident.clone() />
                <h2>{incident.headline()}</h2>
                <span class="faint"><When at=detected_at /></span>
            </div>
            <p class="detail facts">{facts(&incident)}</p>
            {drawing}
            <details open=is_open on:toggle=toggled>
                <summary>{count}</summary>
                <p class="detail row">
                    "Incident"
                    <Id id=id.clone() href=format!("/healing?incident={id}&window=30d") />
                </p>
                <div class="scroll" tabindex="0" role="region" aria-label="Healings">
                    <table>
                        <thead><tr>
                            <th scope="col">"Task"</th>
                            <th scope="col">"Lost"</th>
                            <th scope="col">"Signal"</th>
                            <th scope="col" class="number">"Detected after"</th>
                            <th scope="col">"Action"</th>
                            <th scope="col">"Runs again"</th>
                            <th scope="col" class="number">"Healed after"</th>
                            <th scope="col">"Workflow"</th>
                        </tr></thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </details>
        </li>
    }
}

/// How it is: healed after so long, or what is being done about it, and for how long already.
#[component]
fn Verdict(incident: Incident) -> impl IntoView {
    if let Some(ms) = incident.healed_after_ms() {
        let text = format!("healed after {}", words::span(ms));
        return view! { <Badge tone=Tone::Good text=text /> }.into_any();
    }
    let signal = incident.signal_at();
    let open = incident.healings.iter().find(|it| it.healed_at.is_none());
    let action = open.map_or(HealingAction::Unspecified, Healing::action);
    let tone = match action {
        HealingAction::Frozen | HealingAction::Quarantined => Tone::Bad,
        _ => Tone::Busy,
    };
    let since = move || {
        let ms = signal.map_or(0, |at| Clock::now() - at).max(0);
        words::span((ms / 1000 * 1000) as f64)
    };
    view! {
        <span class=format!("badge {}", tone.class())>"healing for "{since}</span>
        <span class="doing">{doing(action)}</span>
    }
    .into_any()
}

/// What is the same for all of it, in a line.
fn facts(incident: &Incident) -> String {
    let signals: Vec<_> = incident.signals().into_iter().map(names::signal).collect();
    let mut facts = vec![format!("signal: {}", signals.join(", "))];
    if let Some(ms) = incident.detected_after_ms() {
        facts.push(format!("detected after {}", words::span(ms)));
    }
    let mut actions: Vec<HealingAction> = incident.healings.iter().map(Healing::action).collect();
    actions.sort_unstable();
    actions.dedup();
    for action in actions {
        let count = incident.healings.iter().filter(|it| it.action() == action).count();
        let name = names::action(action);
        facts.push(if count == 1 { name.to_owned() } else { format!("{count} × {name}") });
    }
    facts.join(" · ")
}

fn row(healing: Healing) -> impl IntoView {
    let workflow = match healing.workflow_id.as_str() {
        "" => view! { <span class="faint">"–"</span> }.into_any(),
        id => view! { <Id id=id href=format!("/workflows/{id}") /> }.into_any(),
    };
    let span = |it: &Option<prost_types::Duration>| {
        it.as_ref().map_or_else(|| "–".to_owned(), |it| words::span(words::duration_ms(it)))
    };
    let healed = match (&healing.healed_after, &healing.signal_at) {
        (Some(_), _) => span(&healing.healed_after).into_any(),
        (None, signal) => view! { <Counting since=*signal /> }.into_any(),
    };
    let task = if healing.task.is_empty() { "–".to_owned() } else { healing.task.clone() };
    view! {
        <tr title=healing.summary.clone()>
            <th scope="row" class="mono">{task}</th>
            <td>{who(healing.lost_attempt, &healing.lost_worker)}</td>
            <td>{names::signal(healing.signal())}</td>
            <td class="number">{span(&healing.detected_after)}</td>
            <td>{names::action(healing.action())}</td>
            <td>{who(healing.new_attempt, &healing.new_worker)}</td>
            <td class="number">{healed}</td>
            <td>{workflow}</td>
        </tr>
    }
}

fn who(attempt: u32, worker: &str) -> String {
    match (attempt, worker) {
        (0, "") => "–".to_owned(),
        (0, worker) => worker.to_owned(),
        (attempt, "") => format!("attempt {attempt}"),
        (attempt, worker) => format!("attempt {attempt} on {worker}"),
    }
}

/// How long it takes already.
#[component]
fn Counting(since: Option<Timestamp>) -> impl IntoView {
    let since = since.as_ref().map(words::millis);
    move || {
        let ms = since.map_or(0, |at| Clock::now() - at).max(0);
        format!("{} so far", words::span((ms / 1000 * 1000) as f64))
    }
}
