//! What a plain scalar means: the core schema of YAML 1.2, which contains JSON's.

use std::rc::Rc;

use super::Value;

/// Resolves a plain (unquoted) scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        _ => number(text).map_or_else(|| Value::String(Rc::from(text)), Value::Number),
    }
}

/// A number, or `None` if the text is none or a double cannot hold it.
fn number(text: &str) -> Option<serde_json::Number> {
    let radix = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix)?;
        u64::from_str_radix(digits, radix).ok().map(serde_json::Number::from)
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(number);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if !unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return None;
    }
    let integer = text.strip_prefix('+').unwrap_or(text);
    if let Ok(value) = integer.parse::<i64>() {
        return Some(value.into());
    }
    if let Ok(value) = integer.parse::<u64>() {
        return Some(value.into());
    }
    integer.parse::<f64>().ok().and_then(serde_json::Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let tree = super::super::Tree { position: Default::default(), value: resolve(text) };
        assert_eq!(tree.to_json().to_string(), expected, "{text}");
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        check("null", "null");
        check("", "null");
        check("true", "true");
        check("yes", "\"yes\"");
        check("12", "12");
        check("-12", "-12");
        check("+12", "12");
        check("0x1F", "31");
        check("1.5e3", "1500.0");
        check(".5", "0.5");
        check("1.0.3", "\"1.0.3\"");
        check("18446744073709551615", "18446744073709551615");
        check(".inf", "\".inf\"");
        check("1e999", "\"1e999\"");
        check("2026-11-22", "\"2026-11-22\"");
    }
}
