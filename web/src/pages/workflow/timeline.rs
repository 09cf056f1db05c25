//! Who did what when.

use std::sync::Arc;

use leptos::prelude::*;
use planaria_view::gantt::{self, Bar, Look, Row};
use planaria_view::words;

use super::flow::Flow;
use super::node::tone;
use super::rows::Rows;
use crate::clock::Clock;
use crate::ui::Empty;

/// Of a row, in pixels; as in the style sheet.
const ROW: f64 = 50.0;
/// Looks of bars, for the legend.
const LOOKS: [Look; 6] =
    [Look::Completed, Look::Running, Look::Failed, Look::Lost, Look::Gap, Look::Abandoned];

#[component]
pub(super) fn Timeline(flow: Flow, task: Memo<String>, select: Callback<String>) -> impl IntoView {
    let rows = Memo::new(move |_| Arc::new(flow.with(gantt::rows)));
    let window = Memo::new(move |_| {
        let now = flow.is_live().then(Clock::now);
        flow.with(|story| gantt::window(story, now))
    });
    let count = Memo::new(move |_| rows.with(|rows| rows.len()));
    let seen = Signal::derive(move || {
        let asked = task.get();
        rows.with_untracked(|rows| rows.iter().position(|row| row.task == asked))
    });
    let legend = LOOKS.map(|look| {
        let text = if look == Look::Gap { "until it ran again" } else { look.name() };
        view! { <span class=look.name()>{text}</span> }
    });
    let axis = move || {
        let (from, until) = window.get();
        let long = until - from;
        gantt::ticks(long)
            .into_iter()
            .map(|at| {
                view! {
                    <span style:left=percent(at, long)>{words::span(at as f64)}</span>
                }
            })
            .collect_view()
    };
    let nothing = move || {
        (count.get() == 0 && flow.read.get()).then(|| {
            view! {
                <Empty text="No task was entered yet: its tasks appear here as they are." />
            }
        })
    };
    let healed = Memo::new(move |_| {
        rows.with(|rows| {
            let healed = rows.iter().filter(|row| row.healed);
            let told =
                healed.flat_map(|row| row.words.iter().map(|it| format!("{}: {it}", row.name)));
            told.take(8).collect::<Vec<_>>()
        })
    });
    let healings =
        move || {
            let told = healed.get();
            (!told.is_empty()).then(|| view! {
            <ul class="findings good">
                {told.into_iter().map(|words| view! { <li>"✚ "{words}</li> }).collect_view()}
            </ul>
        })
        };
    let render = move |range: std::ops::Range<usize>| {
        let shown = rows.with(|rows| rows.get(range).unwrap_or_default().to_vec());
        shown
            .into_iter()
            .map(|row| {
                view! {
                    <RowView row=row window=window task=task select=select />
                }
            })
            .collect_view()
            .into_any()
    };
    view! {
        <section class="card gantt">
            {healings}
            <div class="gantt-head">
                <p class="gantt-legend">{legend.into_iter().collect_view()}</p>
                <div class="axis" aria-hidden="true">{axis}</div>
            </div>
            {nothing}
            <Rows label="The runs of the tasks over time" count=count height=ROW seen=seen
                render=render />
        </section>
    }
}

/// A stretch as a part of all, in per cent.
fn percent(part: i64, whole: i64) -> String {
    format!("{:.3}%", (part as f64 / whole.max(1) as f64 * 100.0).clamp(0.0, 100.0))
}

#[component]
fn RowView(
    row: Row,
    window: Memo<(i64, i64)>,
    task: Memo<String>,
    select: Callback<String>,
) -> impl IntoView {
    let reference = row.task.clone();
    let chosen = {
        let reference = reference.clone();
        move || task.with(|it| *it == reference)
    };
    let choose = move |_| {
        let same = task.with_untracked(|it| *it == reference);
        select.run(if same { String::new() } else { reference.clone() });
    };
    let words = row.words.join("; ");
    let title = words.clone();
    let pressed = {
        let chosen = chosen.clone();
        move || chosen().to_string()
    };
    let deep = format!("{}rem", 0.9 * row.depth.min(8) as f64);
    view! {
        <div class="gantt-row" class:chosen=chosen class:left=row.left_behind>
            <button type="button" on:click=choose aria-pressed=pressed title=row.task.clone()
                style:padding-left=deep>
                <span class="name">{row.name}</span>
                <span class=format!("state {}", tone(row.state))>
                    {row.state.symbol()}" "{row.state.name()}
                    {row.left_behind.then_some(", left behind by a rerun")}
                </span>
            </button>
            <div class="bars">
                {row.bars.into_iter().map(|bar| view! { <BarView bar=bar window=window /> })
                    .collect_view()}
                <p class="words" class:healed=row.healed title=title>{words}</p>
            </div>
        </div>
    }
}

#[component]
fn BarView(bar: Bar, window: Memo<(i64, i64)>) -> impl IntoView {
    let left = move || {
        let (from, until) = window.get();
        percent(bar.from_ms - from, until - from)
    };
    let width = move || {
        let (from, until) = window.get();
        let end = bar.until_ms.unwrap_or(until).min(until);
        percent((end - bar.from_ms).max(0), until - from)
    };
    view! {
        <span class=format!("bar {}", bar.look.name()) style:left=left style:width=width
            title=bar.words.clone()>
            <span class="hidden">{bar.words.clone()}</span>
            <span class="label" aria-hidden="true">{bar.label}</span>
        </span>
    }
}
