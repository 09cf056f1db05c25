//! Throughput, success, queues and latency over a window that one chooses.

use leptos::prelude::*;
use leptos_router::hooks::query_signal;
use planaria_proto::monitoring::v1::{GetSeriesRequest, Metric, Series};
use planaria_view::chart::Point;
use planaria_view::words;
use prost_types::Duration;

use crate::clock::{Clock, now_ms};
use crate::mesh::{self, Loaded};
use crate::ui::{Oops, TimeChart};

const MINUTE_MS: i64 = 60_000;

/// Name in the address, window and step in seconds.
const WINDOWS: &[(&str, i64, i64)] = &[
    ("15m", 900, 60),
    ("1h", 3600, 60),
    ("6h", 21_600, 300),
    ("24h", 86_400, 900),
    ("7d", 604_800, 3600),
];

const METRICS: &[Metric] = &[
    Metric::WorkflowsCompleted,
    Metric::WorkflowsFaulted,
    Metric::TasksQueued,
    Metric::TasksRunning,
    Metric::TasksRetrying,
    Metric::WorkflowLatencyP50,
    Metric::WorkflowLatencyP99,
    Metric::SuccessRatio,
];

#[component]
pub(super) fn Charts() -> impl IntoView {
    let (chosen, choose) = query_signal::<String>("window");
    let window = Memo::new(move |_| {
        let chosen = chosen.get().unwrap_or_default();
        *WINDOWS.iter().find(|(name, ..)| *name == chosen).unwrap_or(&WINDOWS[1])
    });
    let series = RwSignal::new(Loaded::<Vec<Series>>::Loading);
    let until = RwSignal::new(now_ms());
    // Nothing changes between two steps but the one under way, which the numbers above tell.
    let minute = Memo::new(move |_| Clock::now() / MINUTE_MS);
    Effect::new(move || {
        minute.track();
        let (_, seconds, step) = window.get();
        let request = GetSeriesRequest {
            metrics: METRICS.iter().map(|metric| *metric as i32).collect(),
            window: Some(Duration { seconds, nanos: 0 }),
            step: Some(Duration { seconds: step, nanos: 0 }),
            ..Default::default()
        };
        let call = async move { mesh::monitoring().get_series(request).await };
        Loaded::fetch(series, call, move |answer| {
            until.set(now_ms());
            answer.series
        });
    });
    let span = Signal::derive(move || {
        let until = until.get();
        (until - window.get().1 * 1000, until)
    });
    let points = move |metric: Metric, per: fn(f64, i64) -> f64| -> Vec<Point> {
        let step = window.get().2;
        series.with(|series| {
            let Loaded::Ready(series) = series else { return Vec::new() };
            let found = series.iter().find(|series| series.metric == metric as i32);
            let points = found.into_iter().flat_map(|series| &series.points);
            let points = points.filter_map(|point| {
                let at = words::millis(point.at.as_ref()?);
                Some((at, Some(per(point.value, step))))
            });
            gaps(points.collect(), step * 1000)
        })
    };
    let each_second = |value: f64, step: i64| value / step as f64;
    let as_it_is = |value: f64, _: i64| value;
    let throughput = Signal::derive(move || {
        vec![
            ("completed", points(Metric::WorkflowsCompleted, each_second)),
            ("faulted", points(Metric::WorkflowsFaulted, each_second)),
        ]
    });
    let tasks = Signal::derive(move || {
        vec![
            ("running", points(Metric::TasksRunning, as_it_is)),
            ("queued", points(Metric::TasksQueued, as_it_is)),
            ("waiting for a retry", points(Metric::TasksRetrying, as_it_is)),
        ]
    });
    let latency = Signal::derive(move || {
        vec![
            ("p50", points(Metric::WorkflowLatencyP50, as_it_is)),
            ("p99", points(Metric::WorkflowLatencyP99, as_it_is)),
        ]
    });
    let success =
        Signal::derive(move || vec![("completed", points(Metric::SuccessRatio, as_it_is))]);
    let buttons = WINDOWS
        .iter()
        .map(|&(name, ..)| {
            view! {
                <button type="button" aria-pressed=move || (window.get().0 == name).to_string()
                    on:click=move |_| choose.set(Some(name.to_owned()))>{name}</button>
            }
        })
        .collect_view();
    let failure = move || match series.get() {
        Loaded::Failed(failure) => Some(view! { <Oops failure=failure /> }),
        _ => None,
    };
    view! {
        <section class="charts" aria-label="Over time">
            <div class="segments" role="group" aria-label="Window">{buttons}</div>
            {failure}
            <div class="grid">
                <TimeChart title="Workflows ended" series=throughput window=span least=1.0
                    words=|value| format!("{}/s", words::digits(value)) />
                <TimeChart title="Tasks" series=tasks window=span least=4.0 words=words::digits />
                <TimeChart title="Start to completion" series=latency window=span least=0.01
                    words=|value| words::span(value * 1e3) />
                <TimeChart title="Success" series=success window=span least=1.0
                    words=words::percent />
            </div>
        </section>
    }
}

/// A point without a value wherever a step is missing, so that the line breaks there.
fn gaps(points: Vec<Point>, step_ms: i64) -> Vec<Point> {
    let mut out = Vec::with_capacity(points.len());
    for point in points {
        if let Some(&(last, _)) = out.last() {
            if point.0 - last > step_ms + MINUTE_MS / 2 {
                out.push((last + step_ms, None));
            }
        }
        out.push(point);
    }
    out
}
