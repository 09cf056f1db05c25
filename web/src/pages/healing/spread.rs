//! How spans of time are spread.

use leptos::prelude::*;
use planaria_proto::monitoring::v1::{GetDistributionRequest, GetDistributionResponse, Spread};
use planaria_view::histogram::{Bar, bars};
use planaria_view::words;
use prost_types::Duration;

use super::WindowAsked;
use crate::mesh::{self, Again, Loaded};
use crate::ui::{Empty, Show};

/// The drawing, in pixels; it is as wide as its place.
const HEIGHT: f64 = 120.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 18.0;
/// With more bars than these, every other one has a label.
const LABELS_MAX: usize = 7;

#[component]
pub(super) fn SpreadChart(
    title: &'static str,
    spread: Spread,
    window: WindowAsked,
    again: Again,
) -> impl IntoView {
    let data = RwSignal::new(Loaded::<GetDistributionResponse>::Loading);
    Effect::new(move || {
        again.track();
        let request = GetDistributionRequest {
            spread: spread as i32,
            window: Some(Duration { seconds: window.get().1, nanos: 0 }),
            ..Default::default()
        };
        let call = async move { mesh::monitoring().get_distribution(request).await };
        Loaded::fetch(data, call, |answer| answer);
    });
    let render = move |answer: GetDistributionResponse| {
        if answer.count == 0 {
            let text = "Nothing was healed in this time, so nothing is spread.";
            return view! { <Empty text=text /> }.into_any();
        }
        let said = words_of(&answer);
        let buckets = answer
            .buckets
            .iter()
            .filter_map(|bucket| Some((words::duration_ms(bucket.until.as_ref()?), bucket.count)));
        let bars = bars(&buckets.collect::<Vec<_>>());
        view! {
            <svg class="bars" role="img" aria-label=format!("{title}: {said}")
                height=HEIGHT.to_string()>
                {draw(bars)}
            </svg>
            <p class="detail">{said.clone()}</p>
        }
        .into_any()
    };
    view! {
        <section class="card spread">
            <h2>{title}</h2>
            <div class="stage"><Show data=data render=render /></div>
        </section>
    }
}

fn words_of(answer: &GetDistributionResponse) -> String {
    let span = |it: &Option<Duration>| {
        it.as_ref().map_or_else(|| "–".to_owned(), |it| words::span(words::duration_ms(it)))
    };
    format!(
        "p50 {}, p90 {}, p99 {}, max {}; {}",
        span(&answer.p50),
        span(&answer.p90),
        span(&answer.p99),
        span(&answer.max),
        words::plural(answer.count, "healing", "healings")
    )
}

fn draw(bars: Vec<Bar>) -> impl IntoView {
    let step = 100.0 / bars.len().max(1) as f64;
    let every = if bars.len() > LABELS_MAX { 2 } else { 1 };
    let floor = HEIGHT - BOTTOM;
    let draw = move |(index, bar): (usize, Bar)| {
        let x = index as f64 * step;
        let height = bar.height * (floor - TOP);
        let middle = format!("{:.2}%", x + step / 2.0);
        let count = (bar.count > 0).then(|| {
            view! {
                <text class="count" x=middle.clone() y=format!("{:.1}", floor - height - 4.0)
                    text-anchor="middle">{words::count(bar.count)}</text>
            }
        });
        let label = (index % every == 0).then(|| {
            view! {
                // Where it is narrow, every other label is left out.
                <text class=if index / every % 2 == 1 { "odd" } else { "" }
                    x=middle.clone() y=(HEIGHT - 4.0).to_string() text-anchor="middle">
                    {format!("≤ {}", words::span(bar.until_ms))}
                </text>
            }
        });
        view! {
            <rect class="bar" x=format!("{:.2}%", x + step * 0.08)
                width=format!("{:.2}%", step * 0.84)
                y=format!("{:.1}", floor - height) height=format!("{height:.1}") rx="3" />
            {count}{label}
        }
    };
    view! {
        <line class="floor" x1="0" x2="100%" y1=floor.to_string() y2=floor.to_string() />
        {bars.into_iter().enumerate().map(draw).collect_view()}
    }
}
