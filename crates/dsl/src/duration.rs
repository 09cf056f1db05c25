//! Lengths of time: ISO 8601 and the language's inline form, in milliseconds.
//!
//! A year counts 365 days and a month 30: a workflow has no calendar to count in.

/// The units of the inline form with their length in milliseconds.
pub(crate) const UNITS: [(&str, u64); 5] = [
    ("days", 86_400_000),
    ("hours", 3_600_000),
    ("minutes", 60_000),
    ("seconds", 1000),
    ("milliseconds", 1),
];

/// Parses an ISO 8601 duration such as `P1DT2H` or `PT0.5S`; the message says what is wrong.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not an ISO 8601 duration such as PT1M30S");
    let rest = text.strip_prefix('P').ok_or_else(wrong)?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return Err(wrong()),
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return Err(wrong());
    }
    let date_units =
        [('Y', 365 * 86_400_000), ('M', 30 * 86_400_000), ('W', 7 * 86_400_000), ('D', 86_400_000)];
    let time_units = [('H', 3_600_000), ('M', 60_000), ('S', 1000)];
    let days = sum(date, &date_units).ok_or_else(wrong)?;
    let hours = sum(time, &time_units).ok_or_else(wrong)?;
    days.checked_add(hours).ok_or_else(|| format!("{text:?} is too long"))
}

/// Adds up `number unit` pairs whose units come in the given order, each at most once.
fn sum(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut rest = text;
    let mut units = units.iter();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[end..].chars().next()?;
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(&rest[..end], *milliseconds)?)?;
        rest = &rest[end + unit.len_utf8()..];
    }
    Some(total)
}

/// A decimal number of units, in milliseconds; fractions of a millisecond are cut off.
fn scaled(number: &str, unit_ms: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    let digits = &fraction[..fraction.len().min(9)];
    let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
    let part = u128::from(digits.parse::<u64>().ok()?) * u128::from(unit_ms) / u128::from(scale);
    whole.checked_add(u64::try_from(part).ok()?)
}

/// What an expression yielded, as milliseconds: an ISO 8601 string or an inline object.
pub(crate) fn from_json(value: &serde_json::Value) -> Result<u64, String> {
    let wrong = || {
        "a duration must be an ISO 8601 string or an object of days, hours, minutes, \
                    seconds, milliseconds"
            .to_owned()
    };
    match value {
        serde_json::Value::String(text) => parse(text),
        serde_json::Value::Object(members) if !members.is_empty() => {
            let mut total = 0_u64;
            for (key, value) in members {
                let (_, unit) = UNITS.iter().find(|(name, _)| name == key).ok_or_else(wrong)?;
                let count = value.as_u64().ok_or_else(wrong)?;
                let part = count.checked_mul(*unit).ok_or_else(wrong)?;
                total = total.checked_add(part).ok_or_else(wrong)?;
            }
            Ok(total)
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_durations() {
        for (text, expected) in [
            ("PT30S", Some(30_000)),
            ("PT0.25S", Some(250)),
            ("P1DT2H3M4.5S", Some(93_784_500)),
            ("P2W", Some(1_209_600_000)),
            ("P1Y", Some(31_536_000_000)),
            ("PT", None),
            ("P", None),
            ("30S", None),
            ("PT1S1M", None),
            ("PT1", None),
            ("PT-1S", None),
            ("P99999999999999999999D", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn results_of_expressions() {
        let json = |text| from_json(&serde_json::from_str(text).expect("json")).ok();
        assert_eq!(json(r#""PT1S""#), Some(1000));
        assert_eq!(json(r#"{"minutes": 1, "seconds": 2}"#), Some(62_000));
        assert_eq!(json("12"), None);
        assert_eq!(json("{}"), None);
        assert_eq!(json(r#"{"weeks": 1}"#), None);
    }
}
