//! How an incident went: for each healing the attempt that was lost, how long nobody knew, how long
//! until it ran again, and the attempt that took its place.
//!
//! Positions along the time are parts of the drawing's width, 0 to 1: it is as wide as its place.

use planaria_proto::types::v1::Healing;

use super::Incident;
use crate::words::{millis, span};

/// So much of the width is before the first sign, and so much behind the end.
const BEFORE: f64 = 0.18;
const BEHIND: f64 = 0.22;
/// About so many labels along the time.
const TICKS: f64 = 4.0;
/// A span that is shorter than this part of the width is drawn so wide, to be seen.
const WIDTH_MIN: f64 = 0.004;

/// What a span of time was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// The attempt that was lost ran.
    Lost,
    /// It was gone, and nobody knew.
    Unknown,
    /// It was known, and not repaired yet.
    Healing,
    /// The attempt that took its place runs.
    Again,
}

impl SpanKind {
    /// Its class in the drawing.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Unknown => "unknown",
            Self::Healing => "healing",
            Self::Again => "again",
        }
    }
}

/// A span along the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What it was.
    pub kind: SpanKind,
    /// Where it begins, as a part of the width.
    pub x: f64,
    /// How wide it is, as a part of the width.
    pub width: f64,
}

/// One healing.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// What was lost, in words.
    pub lost: String,
    /// What took its place, in words.
    pub again: String,
    /// On the side of what was lost.
    pub above: Vec<Span>,
    /// On the side of what took its place.
    pub below: Vec<Span>,
    /// All of it in words, for those who do not see the drawing.
    pub words: String,
}

/// A label along the time.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// As a part of the width.
    pub x: f64,
    /// Since the first sign.
    pub words: String,
}

/// An incident along the time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timeline {
    /// One for each healing that is drawn.
    pub lanes: Vec<Lane>,
    /// From the first sign on.
    pub ticks: Vec<Tick>,
    /// How many healings are not drawn.
    pub left_out: usize,
}

impl Timeline {
    /// Draws the first `lanes_max` healings; what is under way lasts until `now_ms`.
    #[must_use]
    pub fn new(incident: &Incident, now_ms: i64, lanes_max: usize) -> Self {
        let Some(start) = incident.signal_at() else { return Self::default() };
        let ends = incident.healings.iter().map(|it| {
            let until = it.healed_at.as_ref().map_or(now_ms, millis);
            until.max(it.detected_at.as_ref().map_or(start, millis))
        });
        let length = (ends.max().unwrap_or(start) - start).max(1) as f64;
        let scale = (1.0 - BEFORE - BEHIND) / length;
        let x = |at: i64| (BEFORE + (at - start) as f64 * scale).clamp(0.0, 1.0);
        let drawn = incident.healings.iter().take(lanes_max);
        Self {
            lanes: drawn.map(|healing| lane(healing, now_ms, &x)).collect(),
            ticks: ticks(length)
                .map(|ms| Tick { x: BEFORE + ms * scale, words: span(ms) })
                .collect(),
            left_out: incident.healings.len().saturating_sub(lanes_max),
        }
    }
}

fn lane(healing: &Healing, now_ms: i64, x: &dyn Fn(i64) -> f64) -> Lane {
    let detected = healing.detected_at.as_ref().map_or(now_ms, millis);
    let signal = healing.signal_at.as_ref().map_or(detected, millis).min(detected);
    let healed = healing.healed_at.as_ref().map(millis);
    let until = healed.unwrap_or(now_ms).max(detected);
    let piece =
        |kind, from: f64, to: f64| Span { kind, x: from, width: (to - from).max(WIDTH_MIN) };
    let mut above = vec![piece(SpanKind::Unknown, x(signal), x(detected))];
    if healing.lost_attempt > 0 {
        above.insert(0, piece(SpanKind::Lost, 0.0, x(signal)));
    }
    let mut below = vec![piece(SpanKind::Healing, x(detected), x(until))];
    if healed.is_some() && healing.new_attempt > 0 {
        below.push(piece(SpanKind::Again, x(until), 1.0));
    }
    let task = task_name(&healing.task);
    let lost = match (healing.lost_attempt, healing.lost_worker.as_str()) {
        (0, "") => task.to_owned(),
        (0, worker) => format!("{task} on {worker}"),
        (attempt, worker) => format!("{task}, attempt {attempt} on {worker}"),
    };
    let again = match (healed, healing.new_attempt, healing.new_worker.as_str()) {
        (None, ..) => "not yet".to_owned(),
        (Some(_), 0, _) => crate::names::action(healing.action()).to_owned(),
        (Some(_), attempt, "") => format!("attempt {attempt}"),
        (Some(_), attempt, worker) => format!("attempt {attempt} on {worker}"),
    };
    let detected_words = span((detected - signal) as f64);
    let words = match healed {
        Some(_) => format!(
            "{lost}: detected after {detected_words}, healed after {}, {again}",
            span((until - signal) as f64)
        ),
        None => format!("{lost}: detected after {detected_words}, not healed yet"),
    };
    Lane { lost, again, above, below, words }
}

/// The name of a task: the last part of its pointer.
fn task_name(pointer: &str) -> &str {
    match pointer.rsplit('/').find(|part| !part.is_empty()) {
        Some(name) => name,
        None => "the workflow",
    }
}

/// Round times from zero to `length` (milliseconds).
fn ticks(length: f64) -> impl Iterator<Item = f64> {
    let wanted = (length / TICKS).max(0.001);
    let power = 10f64.powf(wanted.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(move |step| step * power);
    let step = steps.into_iter().find(|step| *step >= wanted * 0.999_999).unwrap_or(10.0 * power);
    (0..=(length / step).floor() as u32).map(move |index| f64::from(index) * step)
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn at(ms: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds: ms / 1000, nanos: (ms % 1000) as i32 * 1_000_000 })
    }

    fn incident(healed: Option<i64>) -> Incident {
        let healing = Healing {
            task: "/do/0/charge".into(),
            lost_attempt: 1,
            lost_worker: "w2".into(),
            new_attempt: 2,
            new_worker: "w1".into(),
            signal_at: at(1000),
            detected_at: at(1150),
            healed_at: healed.and_then(at),
            ..Healing::default()
        };
        Incident { id: "s".into(), healings: vec![healing] }
    }

    #[test]
    fn spans_follow_each_other_from_edge_to_edge() {
        let drawing = Timeline::new(&incident(Some(1300)), 9999, 6);
        let lane = &drawing.lanes[0];
        assert_eq!(lane.lost, "charge, attempt 1 on w2");
        assert_eq!(lane.again, "attempt 2 on w1");
        let spans: Vec<_> = lane.above.iter().chain(&lane.below).collect();
        let kinds: Vec<_> = spans.iter().map(|span| span.kind).collect();
        assert_eq!(kinds, [SpanKind::Lost, SpanKind::Unknown, SpanKind::Healing, SpanKind::Again]);
        let mut place = 0.0;
        for span in spans {
            assert!((span.x - place).abs() < 1e-9);
            place = span.x + span.width;
        }
        assert!((place - 1.0).abs() < 1e-9);
        assert_eq!(
            lane.words,
            "charge, attempt 1 on w2: detected after 150 ms, healed after 300 ms, attempt 2 on w1"
        );
    }

    #[test]
    fn what_is_under_way_lasts_until_now() {
        let drawing = Timeline::new(&incident(None), 3000, 6);
        let lane = &drawing.lanes[0];
        assert_eq!(lane.again, "not yet");
        assert!((lane.below[0].x + lane.below[0].width - (1.0 - BEHIND)).abs() < 1e-9);
        assert_eq!(lane.below.len(), 1);
    }

    #[test]
    fn labels_are_round_and_within() {
        let drawing = Timeline::new(&incident(Some(1300)), 0, 6);
        let words: Vec<_> = drawing.ticks.iter().map(|tick| tick.words.as_str()).collect();
        assert_eq!(words, ["0 s", "100 ms", "200 ms", "300 ms"]);
        assert!(drawing.ticks.iter().all(|tick| (0.0..=1.0).contains(&tick.x)));
    }

    #[test]
    fn a_span_of_no_length_can_be_seen_and_what_is_too_much_is_counted() {
        let mut one = incident(Some(1150));
        one.healings.push(one.healings[0].clone());
        let drawing = Timeline::new(&one, 0, 1);
        assert_eq!(drawing.left_out, 1);
        assert!(drawing.lanes[0].below[0].width >= WIDTH_MIN);
    }

    #[test]
    fn without_times_nothing_is_drawn() {
        let none = Incident { id: String::new(), healings: vec![Healing::default()] };
        assert_eq!(Timeline::new(&none, 1, 6), Timeline::default());
    }
}
