//! Lines over time.

use leptos::prelude::*;
use planaria_view::chart::{Chart, Point};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

/// A chart of up to four series over the same time; its values are told in words, too.
#[component]
pub(crate) fn TimeChart(
    #[prop(into)] title: String,
    /// Each with its name.
    #[prop(into)]
    series: Signal<Vec<(&'static str, Vec<Point>)>>,
    /// Milliseconds since 1970.
    #[prop(into)]
    window: Signal<(i64, i64)>,
    /// The value axis ends at least here.
    least: f64,
    /// A value in words, with its unit.
    words: fn(f64) -> String,
) -> impl IntoView {
    let chart = Memo::new(move |_| {
        let points: Vec<_> = series.get().into_iter().map(|(_, points)| points).collect();
        Chart::new(&points, window.get(), (WIDTH, HEIGHT), least)
    });
    let legend = move || {
        series
            .get()
            .into_iter()
            .enumerate()
            .map(|(index, (name, points))| {
                let last = points.iter().rev().find_map(|(_, value)| *value);
                let last = last.map_or_else(|| "–".to_owned(), words);
                view! { <span class=format!("series s{index}")>{name}" "<b>{last}</b></span> }
            })
            .collect_view()
    };
    let lines = move || {
        let chart = chart.get();
        let pairs = chart.areas.into_iter().zip(chart.lines).enumerate();
        pairs
            .map(|(index, (area, line))| {
                view! {
                    <path class=format!("area s{index}") d=area />
                    <path class=format!("line s{index}") d=line />
                }
            })
            .collect_view()
    };
    let grid = move || {
        chart.get().ticks.into_iter().map(|(y, _)| view! {
            <line class="grid" x1="0" x2=WIDTH.to_string() y1=y.to_string() y2=y.to_string() />
        }).collect_view()
    };
    let labels = move || {
        chart
            .get()
            .ticks
            .into_iter()
            .rev()
            .map(|(_, value)| {
                view! {
                    <span>{words(value)}</span>
                }
            })
            .collect_view()
    };
    let name = title.clone();
    view! {
        <figure class="chart">
            <figcaption>{title}<span class="legend">{legend}</span></figcaption>
            <div class="plot">
                <div class="axis" aria-hidden="true">{labels}</div>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none"
                    role="img" aria-label=name>
                    {grid}{lines}
                </svg>
            </div>
        </figure>
    }
}
