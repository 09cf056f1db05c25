//! JSON that keeps the order of its members and the text of the payloads inside.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// A JSON document on its way out.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    Null,
    Bool(bool),
    Integer(i128),
    Number(f64),
    Text(String),
    List(Vec<Document>),
    /// Members in the order in which they are printed.
    Object(Vec<(String, Document)>),
    /// A document that somebody else wrote, as it is.
    Raw(Box<RawValue>),
}

impl Document {
    /// On one line.
    pub(crate) fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
    }

    /// Laid out for eyes.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|_| self.line())
    }

    /// Bytes that are a JSON document; `None` if they are not.
    pub(crate) fn raw(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Box<RawValue>>(bytes).ok().map(Self::Raw)
    }

    /// The member of an object; null elsewhere.
    pub(crate) fn take(&mut self, name: &str) -> Self {
        let Self::Object(members) = self else { return Self::Null };
        match members.iter().position(|(member, _)| member == name) {
            Some(index) => members.remove(index).1,
            None => Self::Null,
        }
    }

    /// An object of these members.
    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_u64(value),
                (_, Ok(value)) => serializer.serialize_i64(value),
                _ => serializer.serialize_str(&value.to_string()),
            },
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Self::Raw(value) => value.serialize(serializer),
        }
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Document {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Document {
    fn from(value: u64) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Document {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}
