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

    /// Parses the text. `null` if the text is not JSON, which its constructor ruled out.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0).unwrap_or(serde_json::Value::Null)
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
    fn arrays_join_texts() {
        let one = Json::from_valid(Bytes::from_static(b"1"));
        assert_eq!(Json::array([&one, &Json::NULL]).as_bytes().as_ref(), b"[1,null]");
        assert_eq!(Json::array([]).as_bytes().as_ref(), b"[]");
    }
}
