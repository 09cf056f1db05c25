//! Every event, with all that it carries.

use std::sync::Arc;

use leptos::prelude::*;
use planaria_proto::workflow::v1::HistoryEvent;
use planaria_view::document::name_of;
use planaria_view::story::{Class, Line, payload};
use planaria_view::words;

use super::flow::Flow;
use super::rows::Rows;
use crate::ui::{Ask, Asked, Empty, Json, Pick, When, query};

/// Of a row, in pixels; as in the style sheet.
const ROW: f64 = 34.0;

#[component]
pub(super) fn History(flow: Flow, task: Memo<String>) -> impl IntoView {
    let text = Asked::of("q");
    let kind = Asked::of("kind");
    let only = Asked::of("only");
    let (event, set_event) = query("event");
    // The positions of the lines that are wanted.
    let wanted = Memo::new(move |_| {
        let count = flow.count.get();
        let until = flow.at().unwrap_or(count);
        let (text, kind) = (text.get().to_lowercase(), kind.get());
        let task = if only.get() == "task" { task.get() } else { String::new() };
        flow.lines(|lines| {
            let wants = |line: &Line| {
                (kind.is_empty() || line.class.name() == kind)
                    && (task.is_empty() || line.task == task)
                    && line.has(&text)
            };
            let lines = lines.iter().take(until).enumerate();
            let wanted = lines.filter(|(_, line)| wants(line)).map(|(index, _)| index as u32);
            Arc::new(wanted.collect::<Vec<_>>())
        })
    });
    let count = Memo::new(move |_| wanted.with(|wanted| wanted.len()));
    let chosen = Memo::new(move |_| event.get().parse::<u64>().ok());
    let seen = Signal::derive(move || {
        let seq = chosen.get()?;
        let at = u32::try_from(seq.checked_sub(1)?).ok()?;
        wanted.with_untracked(|wanted| wanted.binary_search(&at).ok())
    });
    let choose = Callback::new(move |seq: u64| {
        let same = chosen.get_untracked() == Some(seq);
        set_event(if same { String::new() } else { seq.to_string() });
    });
    let render = move |range: std::ops::Range<usize>| {
        let wanted = wanted.get();
        let shown = wanted.get(range).unwrap_or_default();
        let lines = flow.lines(|lines| {
            let first = lines.first().map_or(0, |line| line.at_ms);
            let line = |index: &u32| Some((lines.get(*index as usize)?.clone(), first));
            shown.iter().filter_map(line).collect::<Vec<_>>()
        });
        lines
            .into_iter()
            .map(|(line, first)| {
                view! {
                    <LineView line=line first=first chosen=chosen choose=choose />
                }
            })
            .collect_view()
            .into_any()
    };
    let nothing = move || {
        (count.get() == 0 && flow.read.get()).then(|| {
            view! {
                <Empty text="No event is like that. Empty the filters to see all." />
            }
        })
    };
    let only_task = move || {
        (!task.get().is_empty()).then(|| {
            view! {
                <label class="check">
                    <input type="checkbox" prop:checked=move || only.get() == "task"
                        on:change=move |event| only.set(
                            if event_target_checked(&event) { "task" } else { "" }
                        ) />
                    "only of "{name_of(&task.get())}
                </label>
            }
        })
    };
    let kinds = Class::ALL.iter().map(|class| class.name().to_owned()).collect();
    view! {
        <section class="card">
            <div class="filters">
                <Ask asked=text label="Has the text" />
                <Pick asked=kind label="Is about" all="everything" options=kinds />
                {only_task}
                <p class="faint" role="status">
                    {move || words::plural(count.get() as u64, "event", "events")}
                </p>
            </div>
            {nothing}
            <div class="history" class:with-event=move || chosen.get().is_some()>
                <Rows label="The events" count=count height=ROW seen=seen render=render />
                {move || event_of(flow, chosen).map(|event| {
                    let body = payload(&event).to_string().into_bytes();
                    let (seq, at) = (event.seq, event.at);
                    let title = flow.lines(|lines| {
                        lines.get(seq as usize - 1).map(|line| line.text.clone())
                    });
                    view! {
                        <aside class="event" aria-label="The event">
                            <h2>
                                {format!("Event {seq}")}
                                <button type="button" class="more" aria-label="Close the event"
                                    on:click=move |_| choose.run(seq)>"✕"</button>
                            </h2>
                            <p>{title}</p>
                            <p class="faint"><When at=at /></p>
                            <Json data=body />
                            <p>
                                <a href=format!("?tab=graph&at={seq}")>
                                    "Show the graph as it was"
                                </a>
                            </p>
                        </aside>
                    }
                })}
            </div>
        </section>
    }
}

/// The event that is shown; nothing until the history was read.
fn event_of(flow: Flow, chosen: Memo<Option<u64>>) -> Option<HistoryEvent> {
    let seq = chosen.get().filter(|_| flow.read.get())?;
    flow.event(seq)
}

#[component]
fn LineView(
    line: Line,
    first: i64,
    chosen: Memo<Option<u64>>,
    choose: Callback<u64>,
) -> impl IntoView {
    let seq = line.seq;
    let pressed = move || (chosen.get() == Some(seq)).to_string();
    let bad = line.bad;
    view! {
        <button type="button" class="line" class:bad=bad aria-pressed=pressed
            title=line.task.clone() on:click=move |_| choose.run(seq)>
            <span class="seq">{seq}</span>
            <span class="at">{format!("+{}", words::span((line.at_ms - first) as f64))}</span>
            <span class="class">{line.class.name()}</span>
            <span class="what">
                {(!line.task.is_empty()).then(|| view! { <b>{name_of(&line.task)}</b>" " })}
                {line.text}
            </span>
        </button>
    }
}
