//! Numbers, spans of time and moments in words.

use prost_types::{Duration, Timestamp};

/// Milliseconds since 1970.
#[must_use]
pub fn millis(at: &Timestamp) -> i64 {
    at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000)
}

/// Milliseconds, with their fraction.
#[must_use]
pub fn duration_ms(span: &Duration) -> f64 {
    span.seconds as f64 * 1e3 + f64::from(span.nanos) / 1e6
}

/// A span of time with three digits and a unit that suits it: `740 µs`, `12.3 ms`, `2.05 s`,
/// `3 min 20 s`, `5 h 2 min`, `12 d 3 h`.
#[must_use]
pub fn span(ms: f64) -> String {
    if !ms.is_finite() {
        return "–".into();
    }
    let ms = ms.max(0.0);
    match ms {
        0.0 => "0 s".into(),
        ..0.9995 => format!("{} µs", digits(ms * 1e3)),
        ..999.5 => format!("{} ms", digits(ms)),
        ..59_950.0 => format!("{} s", digits(ms / 1e3)),
        _ => long_span((ms / 1e3).round() as u64),
    }
}

/// From a minute on: the two largest units.
fn long_span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (large, small) = match seconds {
        0..3600 => ((minutes, "min"), (seconds % 60, "s")),
        3600..86_400 => ((hours, "h"), (minutes % 60, "min")),
        _ => ((days, "d"), (hours % 24, "h")),
    };
    match small {
        (0, _) => format!("{} {}", large.0, large.1),
        (count, unit) => format!("{} {} {count} {unit}", large.0, large.1),
    }
}

/// How long ago, or in how long: `just now`, `12 s ago`, `in 3 min`, `5 h ago`.
#[must_use]
pub fn ago(at_ms: i64, now_ms: i64) -> String {
    let distance = now_ms.saturating_sub(at_ms);
    let seconds = distance.unsigned_abs() / 1000;
    let words = match seconds {
        0 => return if distance < -500 { "in 1 s".into() } else { "just now".into() },
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if distance > 0 { format!("{words} ago") } else { format!("in {words}") }
}

/// Three digits that count, without an exponent: `0.05`, `1.23`, `45.6`, `789`.
#[must_use]
pub fn digits(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => return "0".into(),
        ..0.995 => format!("{value:.2}"),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => return format!("{value:.0}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A count with thin spaces between thousands: `12 345`.
#[must_use]
pub fn count(value: u64) -> String {
    let text = value.to_string();
    let mut out = String::with_capacity(text.len() + text.len() / 3 * 3);
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && (text.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A part of one in per cent, never rounded up to 100 %: `99.95 %`.
#[must_use]
pub fn percent(part: f64) -> String {
    let hundredths = part * 100.0;
    match hundredths {
        _ if !part.is_finite() => "–".into(),
        100.0 => "100 %".into(),
        99.0..100.0 => format!("{:.2} %", (hundredths * 100.0).floor() / 100.0),
        _ => format!("{} %", digits(hundredths)),
    }
}

/// One or many: `1 task`, `3 tasks`.
#[must_use]
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// The first part of an id that people can tell apart; the whole is shown on hover.
#[must_use]
pub fn short_id(id: &str) -> &str {
    // The end of a UUID of version 7 is random; its beginning is the time, much the same for all.
    match id.char_indices().rev().nth(7) {
        Some((start, _)) if start > 0 => &id[start..],
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit_that_suits_them() {
        for (ms, words) in [
            (0.0, "0 s"),
            (0.74, "740 µs"),
            (12.34, "12.3 ms"),
            (999.4, "999 ms"),
            (999.6, "1 s"),
            (2050.0, "2.05 s"),
            (59_949.0, "59.9 s"),
            (59_999.0, "1 min"),
            (200_000.0, "3 min 20 s"),
            (18_120_000.0, "5 h 2 min"),
            (1_047_600_000.0, "12 d 3 h"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(span(ms), words, "{ms}");
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        for (at, words) in [
            (99_900, "just now"),
            (88_000, "12 s ago"),
            (103_000, "in 3 s"),
            (100_600, "in 1 s"),
            (-80_000, "3 min ago"),
            (-50 * 3_600_000, "2 d ago"),
        ] {
            assert_eq!(ago(at, 100_000), words, "{at}");
        }
    }

    #[test]
    fn a_success_is_never_rounded_up_to_all() {
        assert_eq!(percent(0.999_999), "99.99 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(plural(1, "task", "tasks"), "1 task");
    }

    #[test]
    fn ids_are_cut_to_what_differs() {
        assert_eq!(short_id("0199f7a2-0000-7000-8000-0123456789ab"), "456789ab");
        assert_eq!(short_id("w1"), "w1");
        assert_eq!(short_id("ünïcödëß"), "ünïcödëß");
    }
}
