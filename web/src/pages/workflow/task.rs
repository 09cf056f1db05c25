//! What is known of one task: its runs, their attempts, and what went in and out.

use leptos::prelude::*;
use planaria_view::document::name_of;
use planaria_view::letters;
use planaria_view::story::{Attempt, Outcome, Run, heals};
use planaria_view::{names, words};
use prost_types::Timestamp;

use super::data::document_of;
use super::flow::Flow;
use super::node::tone;
use super::task_actions::TaskActions;
use crate::mesh::Loaded;
use crate::ui::{Empty, Id, Json, When};

/// The latest runs; a loop has thousands.
const RUNS_MAX: usize = 20;

#[component]
pub(super) fn TaskPanel(flow: Flow, task: String, select: Callback<String>) -> impl IntoView {
    let reference = StoredValue::new(task.clone());
    let runs = Memo::new(move |_| {
        reference.with_value(|task| {
            flow.with(|story| {
                let runs: Vec<Run> = story.runs_of(task).cloned().collect();
                let count = runs.len();
                (count, runs.into_iter().rev().take(RUNS_MAX).collect::<Vec<_>>())
            })
        })
    });
    let what = move || {
        flow.plan.with(|plan| match plan {
            Loaded::Ready(plan) => reference.with_value(|reference| {
                let task = plan.drawn.as_ref().ok()?.0.find(reference)?;
                let (from, to) = task.lines;
                let mut told = vec![task.kind.name().to_owned(), task.detail.clone()];
                told.push(match from == to {
                    true => format!("line {from}"),
                    false => format!("lines {from} to {to}"),
                });
                told.retain(|part| !part.is_empty());
                Some(told.join(" · "))
            }),
            _ => None,
        })
    };
    // What only the mesh knows: the queue that it waits in, and the worker's last word.
    let more = move || {
        flow.whole.with(|whole| match whole {
            Loaded::Ready(whole) => reference.with_value(|reference| {
                let run = whole.tasks.iter().rev().find(|run| run.reference == *reference)?;
                let mut told = Vec::new();
                if !run.queue.is_empty() {
                    told.push(format!("queue {}", run.queue));
                }
                if !run.progress.is_empty() {
                    told.push(format!("progress: {}", run.progress));
                }
                (!told.is_empty()).then(|| told.join(" · "))
            }),
            _ => None,
        })
    };
    let latest = Memo::new(move |_| runs.with(|(_, runs)| runs.first().cloned()));
    let list = move || {
        let (count, runs) = runs.get();
        if runs.is_empty() {
            return view! { <Empty text="It was not entered yet." /> }.into_any();
        }
        let shown = runs.len();
        let left = (count > shown).then(|| {
            view! {
                <p class="faint">
                    {format!("The last {shown} of {} runs.", words::count(count as u64))}
                </p>
            }
        });
        let views = runs.into_iter().enumerate().map(|(index, run)| {
            view! {
                <RunView run=run number=count - index open=index == 0 several=count != 1 />
            }
        });
        view! { {left}{views.collect_view()} }.into_any()
    };
    view! {
        <aside class="card task-panel" aria-label=format!("The task {}", name_of(&task))>
            <h2>
                {name_of(&task)}
                <button type="button" class="more" aria-label="Close the task"
                    on:click=move |_| select.run(String::new())>"✕"</button>
            </h2>
            <p class="faint">{what}</p>
            <p><Id id=task.clone() whole=true /></p>
            <p class="faint">{more}</p>
            <TaskActions flow=flow task=reference latest=latest />
            {list}
        </aside>
    }
}

#[component]
fn RunView(run: Run, number: usize, open: bool, several: bool) -> impl IntoView {
    let title = if several { format!("Run {number}") } else { "Its run".to_owned() };
    let lasts = run.ended_ms.map(|until| words::span((until - run.started_ms).max(0) as f64));
    let healed: Vec<_> = heals(&run).into_iter().map(|heal| heal.words).collect();
    let healed = (!healed.is_empty()).then(|| {
        view! {
            <ul class="findings good">
                {healed.into_iter().map(|words| view! { <li>"✚ "{words}</li> }).collect_view()}
            </ul>
        }
    });
    let error = run.error.as_ref().map(|error| {
        view! {
            <h3>"Error"</h3>
            <p>{letters::error(Some(error))}</p>
            <Json data=document_of(error) />
        }
    });
    let attempts = (!run.attempts.is_empty()).then(|| view! { <Attempts attempts=run.attempts /> });
    let part = |title: &'static str, data: Option<Vec<u8>>| {
        data.map(|data| {
            view! {
                <h3>{title}</h3><Json data=data />
            }
        })
    };
    let skipped = run.skipped_because.map(|why| view! { <p>"Skipped by hand: "{why}</p> });
    let behind = run.left_behind.then(|| {
        view! {
            <p class="faint">"A rerun went back to before it."</p>
        }
    });
    let state = format!("badge {}", tone(run.state));
    view! {
        <details open=open class="run">
            <summary>
                <b>{title}</b>" "
                <span class=state>{run.state.name()}</span>" "
                <span class="faint">
                    {lasts.map(|span| format!("{span}, "))}
                    <When at=moment(run.started_ms) />
                </span>
            </summary>
            {behind}{skipped}{healed}{attempts}
            {part("Arguments", run.arguments)}
            {part("Input", run.input)}
            {run.items.map(|count| view! { <p>{words::plural(count as u64, "item", "items")}</p> })}
            {part("Output", run.output)}
            {error}
        </details>
    }
}

fn moment(ms: i64) -> Option<Timestamp> {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).ok()?;
    Some(Timestamp { seconds: ms.div_euclid(1000), nanos })
}

#[component]
fn Attempts(attempts: Vec<Attempt>) -> impl IntoView {
    let rows = attempts.into_iter().map(|attempt| {
        let (class, how) = match &attempt.outcome {
            Outcome::Running => ("busy", "running".to_owned()),
            Outcome::Completed => ("good", "completed".to_owned()),
            Outcome::Failed { error, retryable } => {
                let hope = if *retryable { "" } else { "; not worth a retry" };
                ("bad", format!("failed: {error}{hope}"))
            }
            Outcome::Lost { signal, detail, .. } => {
                ("bad", format!("lost: {}, {detail}", names::signal(*signal)))
            }
            Outcome::Abandoned => ("plain", "abandoned".to_owned()),
        };
        let lasts =
            attempt.ended_ms.map(|until| words::span((until - attempt.started_ms).max(0) as f64));
        let symbol = match class {
            "good" => "✓ ",
            "bad" => "✗ ",
            "busy" => "▶ ",
            _ => "– ",
        };
        view! {
            <tr>
                <th scope="row">{attempt.number}</th>
                <td><a href="/workers">{attempt.worker}</a></td>
                <td class=format!("attempt-outcome {class}")>{symbol}{how}</td>
                <td class="number">{lasts.unwrap_or_else(|| "–".to_owned())}</td>
            </tr>
        }
    });
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Attempts">
            <table>
                <thead><tr>
                    <th scope="col">"Attempt"</th><th scope="col">"Worker"</th>
                    <th scope="col">"Outcome"</th><th scope="col" class="number">"Took"</th>
                </tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
