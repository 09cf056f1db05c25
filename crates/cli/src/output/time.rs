//! Times and durations for people.

use planaria_runtime::clock;
use prost_types::{Duration, Timestamp};

/// Milliseconds since the epoch; before it 0.
pub(crate) fn millis(time: &Timestamp) -> u64 {
    let seconds = u64::try_from(time.seconds).unwrap_or_default();
    seconds * 1_000 + u64::try_from(time.nanos).unwrap_or_default() / 1_000_000
}

/// How long ago, or in how long, seen from now; a dash if there is no time.
pub(crate) fn relative(time: Option<&Timestamp>) -> String {
    time.map_or_else(|| "-".into(), |time| relative_to(millis(time), clock::now_ms()))
}

fn relative_to(time_ms: u64, now_ms: u64) -> String {
    match now_ms.checked_sub(time_ms) {
        Some(age_ms) if age_ms < 1_000 => "just now".into(),
        Some(age_ms) => format!("{} ago", coarse(age_ms)),
        None => format!("in {}", ahead(time_ms - now_ms)),
    }
}

/// How long until something: what is under a second is not nothing.
pub(crate) fn ahead(ms: u64) -> String {
    if ms < 1_000 { fine(ms) } else { coarse(ms) }
}

/// From one time to another, or to now.
pub(crate) fn between(from: Option<&Timestamp>, to: Option<&Timestamp>) -> String {
    let Some(from) = from else { return "-".into() };
    let to = to.map_or_else(clock::now_ms, millis);
    fine(to.saturating_sub(millis(from)))
}

/// A duration of the contract; a dash if there is none.
pub(crate) fn duration(duration: Option<&Duration>) -> String {
    duration.map_or_else(|| "-".into(), |duration| fine(duration_ms(duration)))
}

/// Milliseconds of a duration; of a negative one 0.
pub(crate) fn duration_ms(duration: &Duration) -> u64 {
    let seconds = u64::try_from(duration.seconds).unwrap_or_default();
    seconds * 1_000 + u64::try_from(duration.nanos).unwrap_or_default() / 1_000_000
}

/// With the precision that a latency deserves: `87 ms`, `1.52 s`, `3 min 20 s`.
pub(crate) fn fine(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        _ => coarse(ms),
    }
}

fn coarse(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => format!("{} min {} s", seconds / 60, seconds % 60),
        600..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let now = 1_000_000_000;
        for (time, text) in [
            (now, "just now"),
            (now - 1_999, "1 s ago"),
            (now + 4_000, "in 4 s"),
            (now + 350, "in 350 ms"),
            (now - 200_000, "3 min 20 s ago"),
            (now - 7_100_000, "118 min ago"),
            (now - 90_000_000, "25 h ago"),
            (now - 900_000_000, "10 d ago"),
        ] {
            assert_eq!(relative_to(time, now), text);
        }
        assert_eq!((fine(87), fine(1_523)), ("87 ms".into(), "1.52 s".into()));
        let negative = Duration { seconds: -3, nanos: 0 };
        assert_eq!(duration(Some(&negative)), "0 ms");
    }
}
