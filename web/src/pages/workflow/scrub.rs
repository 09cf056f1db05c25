//! Back through the history, event by event.

use leptos::prelude::*;
use planaria_view::document::name_of;
use planaria_view::words;

use super::flow::Flow;
use crate::ui::query;

#[component]
pub(super) fn Scrub(flow: Flow) -> impl IntoView {
    let (asked, set_asked) = query("at");
    // The address says it when the page is opened; from then on the slider does.
    Effect::new(move || {
        if !flow.read.get() {
            return;
        }
        let count = flow.count.get_untracked();
        let at = asked.get().parse::<usize>().ok().filter(|at| (1..count).contains(at));
        flow.look_at(at);
    });
    let count = move || flow.count.get().max(1);
    let shown = move || flow.at().unwrap_or_else(count);
    let at = move |event: leptos::ev::Event| {
        let count = flow.count.get_untracked();
        event_target_value(&event).parse::<usize>().ok().filter(|at| *at < count)
    };
    let told = move |at: Option<usize>| {
        set_asked(at.map(|at| at.to_string()).unwrap_or_default());
    };
    let step = move |by: isize| {
        let count = flow.count.get_untracked();
        let now = flow.at().unwrap_or(count);
        let at = now.saturating_add_signed(by).clamp(1, count.max(1));
        told((at < count).then_some(at));
    };
    let words = Memo::new(move |_| {
        let (shown, count) = (shown(), count());
        flow.lines(|lines| {
            let line = lines.get(shown.checked_sub(1)?)?;
            let first = lines.first().map_or(line.at_ms, |line| line.at_ms);
            let task = match line.task.is_empty() {
                true => String::new(),
                false => format!("{} ", name_of(&line.task)),
            };
            Some(format!(
                "event {} of {} · {} after the start · {task}{}",
                words::count(shown as u64),
                words::count(count as u64),
                words::span((line.at_ms - first) as f64),
                line.text
            ))
        })
        .unwrap_or_default()
    });
    let past = move || flow.at().is_some();
    view! {
        <section class="scrub" class:past=past aria-label="The history, event by event">
            <button type="button" on:click=move |_| step(-1) disabled=move || shown() <= 1
                aria-label="One event back">"‹"</button>
            <input type="range" min="1" max=move || count().to_string() step="1"
                aria-label="Show the workflow as it was after this event"
                aria-valuetext=move || words.get()
                prop:value=move || shown().to_string()
                on:input=move |event| flow.look_at(at(event))
                on:change=move |event| told(at(event)) />
            <button type="button" on:click=move |_| step(1) disabled=move || !past()
                aria-label="One event on">"›"</button>
            <button type="button" class="now" class:primary=past disabled=move || !past()
                on:click=move |_| told(None)>"Now"</button>
            <p class="faint">{move || words.get()}</p>
        </section>
    }
}
