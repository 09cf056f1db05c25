//! Whether bytes are a JSON document that everything behind the door can read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Reads a document to its end and keeps nothing of it. Unlike serde's `IgnoredAny` it refuses what
/// a parser that keeps it would refuse: bytes that are not UTF-8, surrogates that stand alone,
/// numbers beyond all range, and nesting deeper than 127.
///
/// # Errors
/// What is wrong, with line and column.
pub(super) fn check(data: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Checked>(data).map(drop)
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
            assert_eq!(check(text).is_ok(), kept.is_ok(), "{shown}");
        }
        assert!(check(&texts[1]).is_ok() && check(&texts[13]).is_ok());
        assert!(check(&texts[3]).is_err() && check(&texts[5]).is_err());
    }
}
