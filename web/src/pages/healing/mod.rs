//! What died, how that was known, what was done about it, and how long that took.

mod incident;
mod list;
mod spread;
mod timeline;

use std::time::Duration;

use leptos::prelude::*;
use planaria_proto::monitoring::v1::{Spread, WatchHealingsRequest};
use planaria_view::healing::{ACTIONS, Filter, SIGNALS, WINDOWS, Window, group};
use planaria_view::{names, words};

use crate::clock::Clock;
use crate::mesh::{self, Again, Told, follow};
use crate::ui::{Ask, Asked, Empty, Oops, Pick, Title};
use incident::IncidentCard;
use list::List;
use spread::SpreadChart;

/// How soon the spreads are asked for again after something was healed.
const PAUSE: Duration = Duration::from_secs(2);
/// Incidents that are shown at first, and with each "more".
const SHOWN: usize = 25;
const MINUTE_MS: i64 = 60_000;

#[component]
pub(crate) fn Healing() -> impl IntoView {
    let [signal, action, worker, workflow, incident, open, window] =
        ["signal", "action", "worker", "workflow", "incident", "open", "window"].map(Asked::of);
    let filter = Memo::new(move |_| Filter {
        signal: signal.get(),
        action: action.get(),
        worker: worker.get(),
        workflow: workflow.get(),
        incident: incident.get(),
        open: !open.get().is_empty(),
    });
    let window = WindowAsked(window);
    // What leaves the window leaves it within a minute.
    let since = Memo::new(move |_| {
        (Clock::now() / MINUTE_MS) * MINUTE_MS - window.get().1.saturating_mul(1000)
    });
    let question = Memo::new(move |_| filter.with(|it| (it.workflow.clone(), it.incident.clone())));
    let list = List::new(question);
    let again = Again::new(PAUSE);
    let watch = || async { mesh::monitoring().watch_healings(WatchHealingsRequest {}).await };
    follow(watch, move |told| match told {
        Told::Opened => {
            list.load();
            again.now();
        }
        Told::Message(message) => {
            if message.healings.iter().any(|it| it.healed_at.is_some()) {
                again.soon();
            }
            list.tell(message.healings);
        }
    });
    // Another question is another list.
    Effect::new(move |before: Option<()>| {
        question.get();
        if before.is_some() {
            list.load();
        }
    });
    let shown = RwSignal::new(SHOWN);
    let incidents = Memo::new(move |_| {
        let (filter, since) = (filter.get(), since.get());
        let mut incidents = list.with(group);
        incidents.retain(|it| filter.wants(it, since));
        incidents
    });
    Effect::new(move || {
        let few = incidents.with(Vec::len) < shown.get();
        if few && list.reaches_back_to().is_none_or(|oldest| oldest >= since.get()) {
            list.more();
        }
    });
    let opened = RwSignal::new(std::collections::HashSet::<String>::new());
    let signals = SIGNALS.iter().map(|it| names::signal(*it).to_owned()).collect();
    let actions = ACTIONS.iter().map(|it| names::action(*it).to_owned()).collect();
    let clear = move |_| {
        for asked in [signal, action, worker, workflow, incident, open] {
            asked.set("");
        }
    };
    let count = move || {
        let (all, open) =
            incidents.with(|all| (all.len(), all.iter().filter(|it| it.open() > 0).count()));
        let more = if list.has_more() { " or more" } else { "" };
        let all = words::plural(all as u64, "incident", "incidents");
        format!("{all}{more} in {}, {} under way", window.get().0, words::count(open as u64))
    };
    let body = move || {
        if let Some(failure) = list.failure() {
            return view! { <Oops failure=failure /> }.into_any();
        }
        if !list.is_ready() {
            return view! { <div class="loading" role="status">"Loading…"</div> }.into_any();
        }
        if incidents.with(Vec::is_empty) {
            return if filter.with(Filter::is_empty) {
                view! {
                    <Empty text="Nothing had to be healed in this time. Choose a longer one, or \
                        simulate a failure on the overview to see it happen.">
                        <a class="button" href="/">"To the overview"</a>
                    </Empty>
                }
                .into_any()
            } else {
                view! {
                    <Empty text="Nothing that was healed in this time is like that.">
                        <button type="button" on:click=clear>"Clear the filters"</button>
                    </Empty>
                }
                .into_any()
            };
        }
        let each =
            move || incidents.with(|all| all.iter().take(shown.get()).cloned().collect::<Vec<_>>());
        let more = move || {
            (incidents.with(Vec::len) > shown.get() || list.has_more()).then(|| {
                view! {
                    <button type="button" class="further"
                        on:click=move |_| {
                            shown.update(|shown| *shown += SHOWN);
                            if incidents.with_untracked(Vec::len) < shown.get_untracked() {
                                list.more();
                            }
                        }>
                        "Older ones"
                    </button>
                }
            })
        };
        view! {
            <ol class="incidents">
                <For each=each key=|it| (it.id.clone(), it.version()) let:incident>
                    <IncidentCard incident=incident opened=opened />
                </For>
            </ol>
            {more}
        }
        .into_any()
    };
    // Drawn anew only when it changes which of these is shown.
    let kind = Memo::new(move |_| {
        let (nothing, all) = (incidents.with(Vec::is_empty), filter.with(Filter::is_empty));
        (list.failure(), list.is_ready(), nothing, all)
    });
    let body = move || {
        // Read, not only tracked: a memo that nobody has read knows of no change.
        kind.get();
        untrack(body)
    };
    view! {
        <Title text="Healing">
            <WindowSwitch window=window />
        </Title>
        <div class="columns spreads">
            <SpreadChart title="Detected after" spread=Spread::DetectedAfter window=window
                again=again />
            <SpreadChart title="Healed after" spread=Spread::HealedAfter window=window
                again=again />
        </div>
        <div class="filters">
            <Pick asked=signal label="Signal" all="any" options=signals />
            <Pick asked=action label="Action" all="any" options=actions />
            <Ask asked=worker label="Worker" />
            <Ask asked=workflow label="Workflow" />
            <label class="check">
                <input type="checkbox" prop:checked=move || !open.get().is_empty()
                    on:change=move |event| {
                        open.set(if event_target_checked(&event) { "yes" } else { "" });
                    } />
                "only what is under way"
            </label>
            {move || (!filter.with(Filter::is_empty)).then(|| view! {
                <button type="button" on:click=clear>"Clear"</button>
            })}
        </div>
        <p class="detail legend-line" role="status">{count}</p>
        <p class="detail healing-legend" aria-hidden="true">
            <span class="lost">"ran until the first sign"</span>
            <span class="unknown">"nobody knew"</span>
            <span class="healing">"being healed"</span>
            <span class="again">"runs again"</span>
        </p>
        {body}
    }
}

/// The window that the address names; a day if it names none.
#[derive(Clone, Copy)]
struct WindowAsked(Asked);

impl WindowAsked {
    fn get(&self) -> Window {
        let asked = self.0.get();
        let named = |name: &str| WINDOWS.iter().find(|it| it.0 == name).copied();
        named(&asked).or_else(|| named("24h")).unwrap_or(WINDOWS[0])
    }
}

#[component]
fn WindowSwitch(window: WindowAsked) -> impl IntoView {
    let buttons = WINDOWS.iter().map(|&(name, _)| {
        view! {
            <button type="button" aria-pressed=move || (window.get().0 == name).to_string()
                on:click=move |_| window.0.set(name)>{name}</button>
        }
    });
    view! { <div class="segments" role="group" aria-label="Window">{buttons.collect_view()}</div> }
}
