//! Who works, how they are, what they run, and what waits for them.

mod card;
mod limits;
mod waiting;

use std::time::Duration;

use leptos::prelude::*;
use planaria_proto::failure_detector::v1::{Liveness, WatchWorkersRequest, Worker};
use planaria_view::words;
use planaria_view::workers::{liveness, merge};

use crate::mesh::{self, Again, Told, follow};
use crate::ui::{Asked, Empty, Switch, Title};
use card::WorkerCard;
use limits::Limits;
use waiting::Waits;

/// How soon what waits is asked for again after workers came, left, or took something.
const PAUSE: Duration = Duration::from_secs(1);

#[component]
pub(crate) fn Workers() -> impl IntoView {
    let shown = Asked::of("liveness");
    let workers = RwSignal::new(None::<Vec<Worker>>);
    let again = Again::new(PAUSE);
    let fresh = StoredValue::new(true);
    let watch = || async { mesh::detector().watch_workers(WatchWorkersRequest {}).await };
    follow(watch, move |told| match told {
        // The first message has all workers.
        Told::Opened => {
            fresh.set_value(true);
            again.now();
        }
        Told::Message(message) => {
            let all = fresh.try_update_value(std::mem::take).unwrap_or_default();
            workers.update(|known| {
                let known = known.get_or_insert_default();
                let before = work(known);
                merge(known, message.workers, all);
                if work(known) != before {
                    again.soon();
                }
            });
        }
    });
    let states = [Liveness::Alive, Liveness::Suspect, Liveness::Dead, Liveness::Left];
    let states = states.map(|it| (liveness(it).to_owned(), liveness(it).to_owned()));
    let options = std::iter::once((String::new(), "all".to_owned())).chain(states).collect();
    let seen = Memo::new(move |_| {
        let wanted = shown.get();
        workers.with(|workers| {
            let all = workers.iter().flatten();
            let seen = all.filter(|it| wanted.is_empty() || liveness(it.liveness()) == wanted);
            seen.map(|it| it.id.clone()).collect::<Vec<_>>()
        })
    });
    let summary = move || {
        workers.with(|workers| {
            let Some(workers) = workers else { return "Asking the failure detector…".to_owned() };
            let alive = workers.iter().filter(|it| it.liveness() == Liveness::Alive);
            let (mut count, mut running, mut capacity) = (0u64, 0u64, 0u64);
            for worker in alive {
                count += 1;
                running += worker.attempts.len() as u64;
                capacity += worker.facts.as_ref().map_or(0, |it| u64::from(it.capacity));
            }
            format!(
                "{} alive, {} running of {} at once",
                words::plural(count, "worker", "workers"),
                words::plural(running, "attempt", "attempts"),
                words::count(capacity)
            )
        })
    };
    let nobody = move || {
        let known = workers.with(|it| it.as_ref().map(Vec::len));
        match (known, seen.with(Vec::is_empty)) {
            (None, _) => {
                Some(view! { <div class="loading" role="status">"Loading…"</div> }.into_any())
            }
            (Some(0), _) => Some(view! {
                <Empty text="No worker is connected: tasks wait. Start one, and it appears here.">
                    <p><code>"planaria serve worker"</code></p>
                </Empty>
            }.into_any()),
            (Some(_), true) => Some(view! {
                <Empty text="No worker is like that.">
                    <button type="button" on:click=move |_| shown.set("")>"Show all"</button>
                </Empty>
            }.into_any()),
            _ => None,
        }
    };
    let cards = move |id: String| {
        let worker = Memo::new(move |_| {
            let find =
                |all: &Option<Vec<Worker>>| all.iter().flatten().find(|it| it.id == id).cloned();
            workers.with(find).unwrap_or_default()
        });
        view! { <WorkerCard worker=worker /> }
    };
    view! {
        <Title text="Workers">
            <Switch asked=shown label="Verdict" options=options />
        </Title>
        <p class="detail" role="status">{summary}</p>
        {nobody}
        <ul class="workers">
            <For each=move || seen.get() key=String::clone let:id>{cards(id)}</For>
        </ul>
        <div class="columns">
            <Waits again=again />
            <Limits again=again />
        </div>
    }
}

/// What of the workers bears on what waits: who is here, and how much each runs.
fn work(workers: &[Worker]) -> Vec<(String, i32, usize)> {
    workers.iter().map(|it| (it.incarnation.clone(), it.liveness, it.attempts.len())).collect()
}
