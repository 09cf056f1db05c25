//! Whether bytes are a JSON document that everything behind the door can read.

use std::fmt;

use planaria_kernel::json::deeper_than;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Reads a document to its end and keeps nothing of it. Unlike serde's `IgnoredAny` it refuses what
/// a parser that keeps it would refuse: bytes that are not UTF-8, surrogates that stand alone,
/// numbers beyond all range; and nesting deeper than so many levels.
///
/// # Errors
/// What is wrong, with line and column, in words that follow the name of the field.
pub(super) fn check(data: &[u8], levels: usize) -> Result<(), String> {
    if let Some(position) = deeper_than(data, levels) {
        let before = &data[..position];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        return Err(format!(
            "is nested deeper than {levels} levels at line {line} column {column}: flatten it, or \
             pass the inner part as text"
        ));
    }
    let read = serde_json::from_slice::<Checked>(data);
    read.map(drop).map_err(|error| format!("is not a JSON document: {error}"))
}

struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON document")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use planaria_kernel::Json;

    use super::check;

    /// Whoever keeps the value takes exactly what the check takes.
    #[test]
    fn what_is_taken_can_be_read() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let texts: [Vec<u8>; 16] = [
            b"null".to_vec(),
            b" {\"a\": [1, -2.5, 1e300, true, \"\\u00e9\\u0000\"]} ".to_vec(),
            br#""\ud83d\ude00""#.to_vec(),
            br#""\ud83d""#.to_vec(),
            br#"{"\udc00": 1}"#.to_vec(),
            b"\"\xff\"".to_vec(),
            b"1e999".to_vec(),
            b"18446744073709551616".to_vec(),
            b"".to_vec(),
            b"{} {}".to_vec(),
            b"{\"a\": }".to_vec(),
            b"\"\x00\"".to_vec(),
            b"NaN".to_vec(),
            nested(127).into_bytes(),
            nested(128).into_bytes(),
            nested(100_000).into_bytes(),
        ];
        for text in &texts {
            let kept = serde_json::from_slice::<serde_json::Value>(text);
            let shown = String::from_utf8_lossy(&text[..text.len().min(40)]);
            assert_eq!(check(text, Json::DEPTH_MAX).is_ok(), kept.is_ok(), "{shown}");
        }
        let is_taken = |position: usize| check(&texts[position], Json::DEPTH_MAX).is_ok();
        assert!(is_taken(1) && is_taken(13) && !is_taken(3) && !is_taken(5));
    }

    #[test]
    fn what_is_too_deep_is_told_with_its_place() {
        let text = b"{\n  \"[[[\": [1],\n  \"a\": [{}]\n}";
        assert_eq!(check(text, 3), Ok(()));
        let told = check(text, 2).unwrap_err();
        let place = "is nested deeper than 2 levels at line 3 column 9: flatten it";
        assert!(told.starts_with(place), "{told}");
    }
}
