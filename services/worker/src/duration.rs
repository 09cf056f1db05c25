//! ISO 8601 durations, as arguments of functions.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A duration such as `PT1M30S`, written as a string.
pub(crate) fn optional<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(source)? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| {
        D::Error::custom(format_args!("{text:?} is not an ISO 8601 duration such as PT1M30S"))
    })
}

/// Days, hours, minutes and seconds, each at most once and in this order; years and months have
/// no fixed length and are refused. Seconds may have a fraction.
fn parse(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').map_or((rest, None), |(days, time)| (days, Some(time)));
    if time == Some("") || rest.is_empty() {
        return None;
    }
    let day_seconds = sum(days, &[('D', 86_400.0)])?;
    let time = sum(time.unwrap_or(""), &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    Duration::try_from_secs_f64(day_seconds + time).ok()
}

fn sum(mut text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut seconds = 0.0;
    for (unit, factor) in units {
        let Some((number, rest)) = text.split_once(*unit) else { continue };
        let plain = number.chars().all(|each| each.is_ascii_digit() || each == '.');
        if !plain || (number.contains('.') && *unit != 'S') {
            return None;
        }
        seconds += number.parse::<f64>().ok()? * factor;
        text = rest;
    }
    text.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nonsense_is_refused() {
        for (text, seconds) in [
            ("PT0S", 0.0),
            ("PT0.25S", 0.25),
            ("PT1M30S", 90.0),
            ("PT2H", 7_200.0),
            ("P1DT1S", 86_401.0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "P", "PT", "P1DT", "1S", "PT1", "PT1S1M", "PT-1S", "PT1.5M", "P1M", "PTS"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
