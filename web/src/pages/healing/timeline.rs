//! An incident along the time.

use leptos::prelude::*;
use planaria_view::healing::{Lane, Span, Timeline};

/// Heights in pixels; the drawing is as wide as its place, so that its words keep their size.
const LANE: f64 = 56.0;
const BAR: f64 = 8.0;
const ABOVE_Y: f64 = 17.0;
const BELOW_Y: f64 = 27.0;
const LOST_TEXT_Y: f64 = 12.0;
const AGAIN_TEXT_Y: f64 = 47.0;
const AXIS: f64 = 20.0;

#[component]
pub(super) fn Drawing(timeline: Timeline) -> impl IntoView {
    if timeline.lanes.is_empty() {
        return ().into_any();
    }
    let lanes = timeline.lanes.len() as f64 * LANE;
    let height = lanes + AXIS;
    let said: Vec<_> = timeline.lanes.iter().map(|lane| lane.words.clone()).collect();
    let ticks = timeline
        .ticks
        .iter()
        .map(|tick| {
            let x = percent(tick.x);
            view! {
                <line class="tick" x1=x.clone() x2=x.clone() y1="0" y2=lanes.to_string() />
                <text class="tick-text" x=x y=(height - 5.0).to_string() text-anchor="middle">
                    {tick.words.clone()}
                </text>
            }
        })
        .collect_view();
    let left_out = (timeline.left_out > 0).then(|| {
        view! {
            <p class="detail">{format!("and {} more in the table", timeline.left_out)}</p>
        }
    });
    let drawn = timeline.lanes.into_iter().enumerate();
    let drawn = drawn.map(|(index, it)| lane(it, index as f64 * LANE)).collect_view();
    view! {
        <svg class="timeline" role="img" aria-label=said.join("; ") height=height.to_string()>
            {ticks}{drawn}
        </svg>
        {left_out}
    }
    .into_any()
}

fn lane(lane: Lane, top: f64) -> impl IntoView {
    let bars = |spans: Vec<Span>, y: f64| {
        spans
            .into_iter()
            .map(|span| {
                view! {
                    <rect class=span.kind.class() x=percent(span.x) width=percent(span.width)
                        y=y.to_string() height=BAR.to_string() rx="2" />
                }
            })
            .collect_view()
    };
    view! {
        {bars(lane.above, top + ABOVE_Y)}
        {bars(lane.below, top + BELOW_Y)}
        <text x="0" y=(top + LOST_TEXT_Y).to_string()>{lane.lost}</text>
        <text x="100%" y=(top + AGAIN_TEXT_Y).to_string() text-anchor="end">{lane.again}</text>
    }
}

fn percent(part: f64) -> String {
    format!("{:.2}%", part * 100.0)
}
