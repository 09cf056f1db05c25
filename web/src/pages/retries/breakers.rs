//! Circuit breakers, and how they changed.

use std::time::Duration;

use leptos::prelude::*;
use planaria_proto::retry::v1::{
    Breaker, BreakerKey, BreakerPhase, ListBreakersRequest, ResetBreakerRequest,
};
use planaria_view::{letters, words};

use super::changes::Changes;
use super::follow_events;
use crate::clock::{Clock, now_ms};
use crate::mesh::{self, Again, Failure, Loaded};
use crate::ui::{Ask, Asked, Badge, Confirm, Empty, Show, Tone, When};

/// Calls that ended: a breaker counts them.
const EVENTS: &[&str] = &["dev.planaria.attempt.", "io.serverlessworkflow.task.completed."];
/// A breaker that is open lets probes through when its time is over; no event tells that.
const PROBES_AFTER_MS: i64 = 300;

#[component]
pub(super) fn Breakers() -> impl IntoView {
    let namespace = Asked::of("namespace");
    let all = Asked::of("all");
    let again = follow_events(EVENTS, String::new());
    let data = RwSignal::new(Loaded::<Vec<Breaker>>::Loading);
    Effect::new(move || {
        again.track();
        let request = ListBreakersRequest {
            namespace: namespace.get(),
            all: !all.get().is_empty(),
            ..Default::default()
        };
        let call = async move { mesh::retries().list_breakers(request).await };
        Loaded::fetch(data, call, move |answer| {
            let untils = answer.breakers.iter().filter_map(|it| it.until.as_ref());
            let next = untils.map(words::millis).filter(|at| *at > now_ms()).min();
            if let Some(next) = next {
                let pause = (next - now_ms()).max(0) + PROBES_AFTER_MS;
                again.after(Duration::from_millis(pause as u64));
            }
            answer.breakers
        });
    });
    let render = move |breakers: Vec<Breaker>| {
        if breakers.is_empty() {
            let text = "No breaker holds anything back. One opens when the far side of a function \
                keeps failing.";
            return view! { <Empty text=text /> }.into_any();
        }
        let rows = breakers.into_iter().map(|it| row(it, again)).collect_view();
        view! {
            <div class="scroll" tabindex="0" role="region" aria-label="Breakers">
                <table>
                    <thead><tr>
                        <th scope="col">"Function"</th>
                        <th scope="col">"State"</th>
                        <th scope="col">"Since"</th>
                        <th scope="col">"What it does"</th>
                        <th scope="col"><span class="hidden">"What can be done"</span></th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! {
        <div class="filters">
            <Ask asked=namespace label="Namespace" />
            <label class="check">
                <input type="checkbox" prop:checked=move || !all.get().is_empty()
                    on:change=move |event| {
                        all.set(if event_target_checked(&event) { "yes" } else { "" });
                    } />
                "also those that hold nothing back"
            </label>
        </div>
        <section class="card"><h2>"Breakers"</h2><Show data=data render=render /></section>
        <Changes namespace=namespace again=again />
    }
}

/// What has a breaker, in words.
pub(super) fn key_words(key: &BreakerKey) -> String {
    let far = match key.destination.as_str() {
        "" => String::new(),
        far => format!(" at {far}"),
    };
    format!("{} / {}{far}", key.namespace, key.function)
}

pub(super) fn tone(phase: BreakerPhase) -> Tone {
    match phase {
        BreakerPhase::Open => Tone::Bad,
        BreakerPhase::HalfOpen => Tone::Wait,
        BreakerPhase::Closed => Tone::Good,
        BreakerPhase::Unspecified => Tone::Plain,
    }
}

fn row(breaker: Breaker, again: Again) -> impl IntoView {
    let phase = breaker.phase();
    let key = breaker.key.clone().unwrap_or_default();
    let name = key_words(&key);
    let until = breaker.until.as_ref().map(words::millis);
    let does = move || match phase {
        BreakerPhase::Open => {
            let when = until.map_or_else(String::new, |at| {
                format!("; probes {}", words::ago(at, Clock::now()))
            });
            format!(
                "nothing goes through{when}; opened {}",
                words::plural(u64::from(breaker.openings), "time", "times")
            )
        }
        BreakerPhase::HalfOpen => format!(
            "{} let through: {} passed, {} failed",
            words::plural(u64::from(breaker.probes), "probe", "probes"),
            breaker.probes_passed,
            breaker.probes_failed
        ),
        _ => format!(
            "everything goes through; {} of {} failed in the last 30 s, {} in a row",
            words::count(breaker.failures),
            words::plural(breaker.calls, "call", "calls"),
            breaker.failures_in_row
        ),
    };
    let reset = (phase != BreakerPhase::Closed).then(|| {
        let question = format!(
            "The breaker of {name} is closed: everything that waits for it goes through. It opens \
             again if the far side still fails."
        );
        let act = move || {
            let request = ResetBreakerRequest { key: Some(key.clone()) };
            async move {
                mesh::retries().reset_breaker(request).await?;
                again.now();
                Ok::<(), Failure>(())
            }
        };
        view! { <Confirm label="Close it" question=question act=act /> }
    });
    view! {
        <tr>
            <th scope="row">{name.clone()}</th>
            <td><Badge tone=tone(phase) text=letters::breaker(phase) /></td>
            <td><When at=breaker.since /></td>
            <td class="says">{does}</td>
            <td>{reset}</td>
        </tr>
    }
}
