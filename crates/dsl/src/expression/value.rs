//! JSON text and jq values, within limits.
//!
//! jq's values are a superset of JSON (NaN, byte strings, keys that are not strings); what leaves
//! here is JSON. Reading and writing recurse, so both refuse what is nested too deep.

use std::fmt::Write as _;

use jaq_json::{Num, Val};
use planaria_kernel::Json;
use planaria_kernel::json::deeper_than;

/// How deep a value may be nested that is read: a document, and what stands around it in arguments
/// such as `$workflow`.
const READ_DEPTH_MAX: usize = 2 * Json::DEPTH_MAX;

/// Reads JSON.
///
/// # Errors
/// If the text is not JSON or nested too deep.
pub(crate) fn read(text: &[u8]) -> Result<Val, String> {
    if deeper_than(text, READ_DEPTH_MAX).is_some() {
        return Err(format!("a value is nested deeper than {READ_DEPTH_MAX} levels"));
    }
    jaq_json::read::parse_single(text).map_err(|error| format!("a value is not JSON: {error}"))
}

/// What is said of a result that is nested too deep.
pub(super) fn too_deep() -> String {
    format!("the expression yielded a value nested deeper than {} levels", Json::DEPTH_MAX)
}

/// Writes JSON of at most `bytes_max` bytes. NaN becomes null, and what is beyond all range the
/// largest numbers, as in jq.
///
/// # Errors
/// If the value is too large, too deep, or not JSON.
pub(crate) fn write(value: &Val, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut into = Vec::with_capacity(64);
    write_into(value, bytes_max, Json::DEPTH_MAX, &mut into)?;
    if into.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(into)
}

fn too_large(bytes_max: usize) -> String {
    format!("the expression yielded more than {bytes_max} bytes")
}

fn write_into(value: &Val, max: usize, depth: usize, into: &mut Vec<u8>) -> Result<(), String> {
    if into.len() > max {
        return Err(too_large(max));
    }
    match value {
        Val::Null => into.extend_from_slice(b"null"),
        Val::Bool(true) => into.extend_from_slice(b"true"),
        Val::Bool(false) => into.extend_from_slice(b"false"),
        Val::Num(number) => write_number(number, into),
        Val::TStr(text) => write_text(text, into),
        Val::BStr(_) => return Err("the expression yielded bytes, which JSON has not".to_owned()),
        Val::Arr(items) => {
            let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
            into.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    into.push(b',');
                }
                write_into(item, max, depth, into)?;
            }
            into.push(b']');
        }
        Val::Obj(members) => {
            let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
            into.push(b'{');
            for (position, (key, member)) in members.iter().enumerate() {
                if position > 0 {
                    into.push(b',');
                }
                let Val::TStr(key) = key else {
                    return Err(
                        "the expression yielded an object with a key that is no string".to_owned()
                    );
                };
                write_text(key, into);
                into.push(b':');
                write_into(member, max, depth, into)?;
            }
            into.push(b'}');
        }
    }
    Ok(())
}

fn write_number(number: &Num, into: &mut Vec<u8>) {
    match number {
        Num::Float(float) if float.is_nan() => into.extend_from_slice(b"null"),
        Num::Float(float) if float.is_infinite() => write_largest(*float < 0.0, into),
        number => {
            let text = number.to_string();
            // What is written in digits may be beyond all range too: parsers refuse that.
            if text.parse().is_ok_and(f64::is_infinite) {
                write_largest(text.starts_with('-'), into);
            } else {
                into.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// The largest number there is, or the smallest.
fn write_largest(negative: bool, into: &mut Vec<u8>) {
    if negative {
        into.push(b'-');
    }
    into.extend_from_slice(b"1.7976931348623157e308");
}

fn write_text(text: &[u8], into: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let text = String::from_utf8_lossy(text);
    into.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => into.extend_from_slice(b"\\\""),
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            0..=31 => {
                into.extend_from_slice(b"\\u00");
                into.push(HEX[usize::from(byte >> 4)]);
                into.push(HEX[usize::from(byte & 15)]);
            }
            _ => into.push(byte),
        }
    }
    into.push(b'"');
}

/// The longest message of a failed expression, in bytes.
const MESSAGE_BYTES_MAX: usize = 300;

/// The text of an error, cut off before it gets long: a value in it may be enormous.
pub(crate) fn display(error: &jaq_core::Error<Val>) -> String {
    let mut message = Cut(String::new());
    let whole = write!(message, "{error}").is_ok();
    let text = message.0;
    // An error raised with a string shows as JSON text; the string itself reads better.
    if whole
        && text.starts_with('"')
        && let Ok(inner) = serde_json::from_str::<String>(&text)
    {
        return inner;
    }
    text
}

/// Takes text until it is long enough, then fails, which ends the formatting.
struct Cut(String);

impl std::fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = MESSAGE_BYTES_MAX.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        self.0.push('…');
        Err(std::fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives() {
        for text in [
            "null",
            "[1,-2,3.50,1e300,123456789012345678901234567890]",
            r#"{"b":"é\n\u0001\"\\","a":{"x":[]}}"#,
        ] {
            let value = read(text.as_bytes()).expect("json");
            let written = write(&value, 1000).expect("fits");
            assert_eq!(String::from_utf8_lossy(&written), text);
        }
    }

    #[test]
    fn limits_hold() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(deep(READ_DEPTH_MAX).as_bytes()).is_ok());
        assert!(read(deep(READ_DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(read(deep(100_000).as_bytes()).is_err());
        let value = read(deep(Json::DEPTH_MAX).as_bytes()).expect("json");
        assert!(write(&value, 10_000).is_ok());
        assert!(write(&Val::from_iter([value]), 10_000).is_err());
        let mut doubled = Val::from(1_isize);
        for _ in 0..60 {
            doubled = Val::from_iter([doubled.clone(), doubled]);
        }
        assert!(write(&doubled, 1000).is_err());
        let message = display(&jaq_core::Error::typ(doubled, "number"));
        assert!(message.len() < 400 && message.starts_with("cannot use [[["), "{message}");
    }

    #[test]
    fn what_json_has_not_is_replaced_or_refused() {
        let text = |value| write(&value, 100).map(|text| String::from_utf8_lossy(&text).into());
        assert_eq!(text(Val::from(f64::NAN)), Ok::<String, _>("null".to_owned()));
        assert_eq!(text(Val::from(f64::NEG_INFINITY)), Ok("-1.7976931348623157e308".to_owned()));
        let huge = |text: &str| read(text.as_bytes()).expect("json");
        assert_eq!(text(huge("1e1000")), Ok("1.7976931348623157e308".to_owned()));
        let digits = format!("-{}", "9".repeat(400));
        assert_eq!(text(huge(&digits)), Ok("-1.7976931348623157e308".to_owned()));
        assert!(text(Val::byte_str("x")).is_err());
        assert!(text(Val::obj([(Val::Null, Val::Null)].into_iter().collect())).is_err());
    }
}
