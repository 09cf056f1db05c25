//! How spans of time are spread, as bars whose edges are 1, 2 and 5 times powers of ten.

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Longer than this (milliseconds).
    pub from_ms: f64,
    /// Up to this (milliseconds).
    pub until_ms: f64,
    /// How many spans are in it.
    pub count: u64,
    /// As a part of the highest bar's height.
    pub height: f64,
}

/// How many bars there are at least, so that a single one does not fill the drawing.
const BARS_MIN: i32 = 6;

/// Bars for buckets (the longest span in it in milliseconds, how many), without a gap from the
/// first to the last that has something in it.
#[must_use]
pub fn bars(buckets: &[(f64, u64)]) -> Vec<Bar> {
    let filled = buckets.iter().filter(|(until, count)| until.is_finite() && *count > 0);
    let placed: Vec<(i32, u64)> = filled.map(|(until, count)| (step_of(*until), *count)).collect();
    let Some(first) = placed.iter().map(|(step, _)| *step).min() else { return Vec::new() };
    let last = placed.iter().map(|(step, _)| *step).max().unwrap_or(first);
    let missing = (BARS_MIN - 1 - (last - first)).max(0);
    let (first, last) = (first - missing / 2, last + (missing - missing / 2));
    let counts: Vec<(i32, u64)> = (first..=last)
        .map(|step| {
            (step, placed.iter().filter(|(it, _)| *it == step).map(|(_, count)| count).sum())
        })
        .collect();
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1) as f64;
    let bar = |(step, count): (i32, u64)| Bar {
        from_ms: edge(step - 1),
        until_ms: edge(step),
        count,
        height: count as f64 / most,
    };
    counts.into_iter().map(bar).collect()
}

/// The upper edge of a step: 1, 2, 5, 10, 20, … from step 0 on, and smaller below it.
fn edge(step: i32) -> f64 {
    let factor = match step.rem_euclid(3) {
        0 => 1.0,
        1 => 2.0,
        _ => 5.0,
    };
    factor * 10f64.powi(step.div_euclid(3))
}

/// The step that a span is in. What is shorter than a microsecond is as good as that.
fn step_of(ms: f64) -> i32 {
    let ms = ms.max(0.001);
    let guess = (ms.log10() * 3.0).floor() as i32 - 2;
    (guess..guess + 6).find(|step| edge(*step) >= ms * 0.999_999).unwrap_or(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_spaced_by_their_logarithm_and_have_no_gap() {
        let bars = bars(&[(3.0, 1), (4.9, 3), (150.0, 8), (1600.0, 2)]);
        let all: Vec<_> = bars.iter().map(|bar| (bar.until_ms, bar.count)).collect();
        assert_eq!(
            all,
            [
                (5.0, 4),
                (10.0, 0),
                (20.0, 0),
                (50.0, 0),
                (100.0, 0),
                (200.0, 8),
                (500.0, 0),
                (1000.0, 0),
                (2000.0, 2)
            ]
        );
        assert_eq!(bars[5].height, 1.0);
        assert_eq!(bars[0].from_ms, 2.0);
        assert_eq!(bars[0].height, 0.5);
    }

    #[test]
    fn edges_belong_to_the_bar_below_them() {
        for (ms, until) in [(1.0, 1.0), (1.01, 2.0), (5.0, 5.0), (0.5, 0.5), (0.0, 0.001)] {
            assert_eq!(edge(step_of(ms)), until, "{ms}");
        }
    }

    #[test]
    fn a_single_bar_stands_among_others_and_nothing_has_no_bars() {
        assert_eq!(bars(&[(150.0, 5)]).len(), 6);
        assert!(bars(&[]).is_empty());
        assert!(bars(&[(f64::NAN, 3), (5.0, 0)]).is_empty());
    }
}
