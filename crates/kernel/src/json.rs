//! JSON as opaque text: the kernel moves documents about, it never reads them.

use bytes::Bytes;

/// One JSON document, as UTF-8 text. Cheap to clone (shared), opaque to the kernel: only the
/// expression evaluator looks inside. Whoever constructs one vouches that the text is valid JSON.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Bytes);

impl Json {
    /// The document `null`.
    pub const NULL: Json = Json(Bytes::from_static(b"null"));
    /// The document `{}`.
    pub const EMPTY_OBJECT: Json = Json(Bytes::from_static(b"{}"));
    /// How deep a document may be nested, wherever it comes from: so deep as parsers commonly go
    /// (serde_json takes no more).
    pub const DEPTH_MAX: usize = 127;
    /// How deep an event may be nested: the list that a listening task yields goes around it.
    pub const EVENT_DEPTH_MAX: usize = Self::DEPTH_MAX - 1;

    /// Wraps text that the caller knows to be one valid JSON document.
    #[must_use]
    pub const fn from_valid(text: Bytes) -> Self {
        Self(text)
    }

    /// Encodes a value.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(Bytes::from(value.to_string()))
    }

    /// Parses the text. `null` if the text is not JSON or too deep, which its constructors rule
    /// out: what comes in, what expressions yield and what is put together here is checked.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        let value = serde_json::from_slice(&self.0);
        debug_assert!(value.is_ok(), "{value:?}");
        value.unwrap_or(serde_json::Value::Null)
    }

    /// Whether the document is nested deeper than so many levels.
    #[must_use]
    pub fn is_deeper_than(&self, levels: usize) -> bool {
        deeper_than(&self.0, levels).is_some()
    }

    /// The text itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The text itself, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Length of the text in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty, which no valid document is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Truth as jq has it: everything but `null` and `false` is true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        !matches!(self.0.trim_ascii(), b"null" | b"false")
    }

    /// Joins documents to one array document.
    #[must_use]
    pub fn array<'a>(items: impl IntoIterator<Item = &'a Json>) -> Self {
        let mut text = vec![b'['];
        for (position, item) in items.into_iter().enumerate() {
            if position > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&item.0);
        }
        text.push(b']');
        Self(Bytes::from(text))
    }
}

/// Where a JSON text is nested deeper than so many levels: the position of the first bracket that
/// is too much. Of a text that is not JSON nothing is promised, but that it ends.
#[must_use]
pub fn deeper_than(text: &[u8], levels: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut bytes = text.iter().enumerate();
    while let Some((position, byte)) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > levels {
                    return Some(position);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    None
}

impl std::fmt::Debug for Json {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_jq_truth() {
        assert!(!Json::NULL.is_true());
        assert!(!Json::from_valid(Bytes::from_static(b" false\n")).is_true());
        assert!(Json::from_valid(Bytes::from_static(b"0")).is_true());
        assert!(Json::EMPTY_OBJECT.is_true());
    }

    #[test]
    fn depth_is_that_of_brackets_outside_of_texts() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (text, levels, position) in [
            ("1".to_owned(), 0, None),
            (r#" {"[[": [1]} "#.to_owned(), 2, None),
            (r#" {"[[": [1]} "#.to_owned(), 1, Some(8)),
            (r#"["\\\"[", {}]"#.to_owned(), 1, Some(10)),
            ("[1],[2]".to_owned(), 1, None),
            ("\"[".to_owned(), 0, None),
            (nested(100_000), 3, Some(3)),
        ] {
            assert_eq!(deeper_than(text.as_bytes(), levels), position, "{text:.40}");
        }
        // What is not too deep can be read.
        let json = |levels| Json::from_valid(Bytes::from(nested(levels)));
        assert!(!json(Json::DEPTH_MAX).is_deeper_than(Json::DEPTH_MAX));
        assert!(json(Json::DEPTH_MAX).to_value().is_array());
        assert!(json(Json::DEPTH_MAX + 1).is_deeper_than(Json::DEPTH_MAX));
    }

    #[test]
    fn arrays_join_texts() {
        let one = Json::from_valid(Bytes::from_static(b"1"));
        assert_eq!(Json::array([&one, &Json::NULL]).as_bytes().as_ref(), b"[1,null]");
        assert_eq!(Json::array([]).as_bytes().as_ref(), b"[]");
    }
}
