//! The last events of one stream, newest first.

use std::sync::Arc;
use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::notification::v1::{EventFilter, SubscribeRequest};
use planaria_view::events::{self, Mood, Row, SHOWN_MAX, Tail};
use planaria_view::words;

use crate::mesh::{self, Link, Told, follow};
use crate::ui::{Badge, Empty, Id, Json, Oops, Tone, When};

/// What came is put on the screen this often: a mesh tells more in a second than a browser draws.
const FRAME: Duration = Duration::from_millis(100);

#[component]
pub(super) fn Stream(filter: EventFilter, oldest: bool) -> impl IntoView {
    let tail = StoredValue::new(Tail::from(if oldest { "start" } else { "" }));
    let shown = RwSignal::new(Vec::<Arc<Row>>::new());
    let waiting = RwSignal::new(0usize);
    let came = RwSignal::new(0u64);
    let gap = RwSignal::new(false);
    let paused = RwSignal::new(false);
    let scheduled = StoredValue::new(false);
    let show = move || {
        // The page may be gone by now.
        tail.try_update_value(|tail| {
            if !paused.get_untracked() {
                tail.show();
                shown.set(tail.shown());
            }
            waiting.set(tail.waiting());
            came.set(tail.came());
        });
    };
    let open = move || {
        let cursor = tail.with_value(|tail| tail.cursor().to_owned());
        let request = SubscribeRequest { cursor, filter: Some(filter.clone()) };
        async move { mesh::notification().subscribe(request).await }
    };
    follow(open, move |told| {
        let Told::Message(message) = told else { return };
        tail.update_value(|tail| tail.push(message.deliveries));
        if !scheduled.get_value() {
            scheduled.set_value(true);
            spawn_local(async move {
                TimeoutFuture::new(FRAME.as_millis() as u32).await;
                scheduled.try_update_value(|scheduled| *scheduled = false);
                show();
            });
        }
    });
    let link = expect_context::<RwSignal<Link>>();
    // The page was away for longer than events are kept.
    Effect::new(move || {
        if let Link::Lost(failure) = link.get()
            && failure.reason == "CURSOR_TOO_OLD"
        {
            tail.update_value(|tail| tail.go_on_from("start"));
            gap.set(true);
        }
    });
    let problem = move || match link.get() {
        Link::Lost(failure) if failure.reason != "CURSOR_TOO_OLD" => {
            Some(view! { <Oops failure=failure /> })
        }
        _ => None,
    };
    let pause = move |_| {
        paused.update(|paused| *paused = !*paused);
        show();
    };
    let label = move || if paused.get() { "Resume" } else { "Pause" };
    let told = move || {
        let came = words::plural(came.get(), "event", "events");
        let more = match (paused.get(), waiting.get()) {
            (true, 0) => ", paused".to_owned(),
            (true, waiting) => format!(", paused: {} more wait", words::count(waiting as u64)),
            (false, _) if shown.with(Vec::len) == SHOWN_MAX => {
                format!(", the last {} are shown", words::count(SHOWN_MAX as u64))
            }
            (false, _) => String::new(),
        };
        format!("{came}{more}")
    };
    let gap_told = move || {
        gap.get().then(|| view! {
            <p class="findings bad">
                "Some events in between are not kept any more: the list goes on with the oldest."
            </p>
        })
    };
    let empty = move || {
        let text = if oldest {
            "No event that is kept fits. Widen the filter, or wait for one to happen."
        } else {
            "Nothing has happened since you came. Events appear here as they happen; those that \
             were before are there from the oldest kept."
        };
        shown.with(Vec::is_empty).then(|| view! { <Empty text=text /> })
    };
    view! {
        <div class="row bar">
            <button type="button" on:click=pause aria-pressed=move || paused.get().to_string()>
                {label}
            </button>
            <span class="faint">{told}</span>
        </div>
        {problem}
        {gap_told}
        {empty}
        <ol class="events" aria-label="Events, newest first">
            <For each=move || shown.get() key=|row| row.number let:row>
                <Event row=row />
            </For>
        </ol>
    }
}

#[component]
fn Event(row: Arc<Row>) -> impl IntoView {
    let event = &row.event;
    let tone = match events::mood(&event.r#type) {
        Mood::Plain => Tone::Plain,
        Mood::Good => Tone::Good,
        Mood::Busy => Tone::Busy,
        Mood::Bad => Tone::Bad,
    };
    let workflow = events::workflow(event).map(|id| {
        let href = format!("/workflows/{id}");
        view! { <Id id=id href=href /> }
    });
    let opened = RwSignal::new(false);
    let toggled = move |event: leptos::ev::Event| {
        let details: leptos::web_sys::HtmlDetailsElement = event_target(&event);
        opened.set(details.open());
    };
    let (kind, summary) = (events::kind(&event.r#type), events::summary(event));
    let (full, namespace) = (event.r#type.clone(), events::namespace(event).to_owned());
    let at = event.time;
    view! {
        <li>
            <details on:toggle=toggled>
                <summary>
                    <span class="kind" title=full><Badge tone=tone text=kind /></span>
                    <span class="what">{summary}</span>
                    <span class="faint">{namespace}</span>
                    <span class="faint at"><When at=at /></span>
                </summary>
                {move || opened.get().then(|| view! { <Json data=events::json(&row.event) /> })}
            </details>
            <span class="workflow">{workflow}</span>
        </li>
    }
}
