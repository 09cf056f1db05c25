//! A line over time, as the path of an SVG drawing.

/// A moment (milliseconds since 1970) and its value; no value where nothing was counted.
pub type Point = (i64, Option<f64>);

/// A chart whose drawing is `width` by `height`.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// The `d` of each line's path, in the order of the series.
    pub lines: Vec<String>,
    /// The `d` of the area below each line.
    pub areas: Vec<String>,
    /// The highest value that fits.
    pub top: f64,
    /// Where the labels of the value axis are: height in the drawing and value.
    pub ticks: Vec<(f64, f64)>,
}

/// How many labels the value axis has above zero.
const TICKS: u32 = 2;

impl Chart {
    /// Draws series over the time from `from` to `until`. The value axis begins at zero, so that
    /// small changes do not look large, and ends at a round number, at least at `least`.
    #[must_use]
    pub fn new(
        series: &[Vec<Point>],
        (from, until): (i64, i64),
        (width, height): (f64, f64),
        least: f64,
    ) -> Self {
        let values = series.iter().flatten().filter_map(|(_, value)| *value);
        let highest = values.filter(|value| value.is_finite()).fold(least, f64::max);
        let top = round_up(highest);
        let span = (until - from).max(1) as f64;
        let x = |at: i64| (at - from) as f64 / span * width;
        let y = |value: f64| height - (value / top).clamp(0.0, 1.0) * height;
        let runs: Vec<Vec<Vec<(f64, f64)>>> = series
            .iter()
            .map(|points| {
                points
                    .split(|(_, value)| value.is_none_or(|value| !value.is_finite()))
                    .map(|run| run.iter().filter_map(|&(at, v)| Some((x(at), y(v?)))).collect())
                    .filter(|run: &Vec<_>| !run.is_empty())
                    .collect()
            })
            .collect();
        let ticks = (0..=TICKS).map(|step| {
            let value = top * f64::from(step) / f64::from(TICKS);
            (y(value), value)
        });
        Self {
            lines: runs.iter().map(|runs| runs.iter().map(|run| line(run)).collect()).collect(),
            areas: runs
                .iter()
                .map(|runs| runs.iter().map(|run| area(run, height)).collect())
                .collect(),
            top,
            ticks: ticks.collect(),
        }
    }
}

/// The path through points; a point alone is a short stroke, so that it can be seen.
fn line(run: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (index, (x, y)) in run.iter().enumerate() {
        path += &format!("{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    if run.len() == 1 {
        path += "h1";
    }
    path
}

fn area(run: &[(f64, f64)], height: f64) -> String {
    let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
        return String::new();
    };
    format!("{}L{last:.1} {height:.1}L{first:.1} {height:.1}Z", line(run))
}

/// The next number of the form 1, 2, 4, 5 or 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 5.0, 10.0];
    let fits = steps.into_iter().map(|step| step * power).find(|top| *top >= value * 0.999_999);
    fits.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_where_nothing_was_counted() {
        let points = vec![(0, Some(0.0)), (50, Some(10.0)), (60, None), (100, Some(5.0))];
        let chart = Chart::new(&[points], (0, 100), (200.0, 100.0), 0.0);
        assert_eq!(chart.lines, ["M0.0 100.0L100.0 0.0M200.0 50.0h1"]);
        assert_eq!(chart.top, 10.0);
        assert_eq!(chart.ticks, [(100.0, 0.0), (50.0, 5.0), (0.0, 10.0)]);
    }

    #[test]
    fn the_axis_ends_at_a_round_number_and_begins_at_zero() {
        for (highest, top) in [(0.0, 1.0), (3.2, 4.0), (4.1, 5.0), (99.0, 100.0), (0.03, 0.04)] {
            let chart = Chart::new(&[vec![(0, Some(highest))]], (0, 1), (1.0, 1.0), 0.0);
            assert!((chart.top - top).abs() < 1e-9, "{highest}: {}", chart.top);
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_gaps() {
        let points = vec![(0, Some(f64::NAN)), (1, Some(f64::INFINITY))];
        let chart = Chart::new(&[points], (0, 1), (10.0, 10.0), 1.0);
        assert_eq!(chart.lines, [""]);
    }
}
