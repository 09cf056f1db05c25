//! Errors as workflows raise and catch them (RFC 7807).

use serde_json::{Map, Value};

use crate::Json;
use crate::definition::ErrorFilter;

/// An error of a workflow: data, not a Rust error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorObject {
    /// URI that names the kind of error.
    pub kind: String,
    /// Status code in the sense of HTTP.
    pub status: u16,
    /// A few words.
    pub title: Option<String>,
    /// What happened in this case.
    pub detail: Option<String>,
    /// JSON pointer of the task that raised it.
    pub instance: Option<String>,
}

/// The prefix of the language's own error types.
const STANDARD: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/";

impl ErrorObject {
    /// Type of the error that a quarantined task raises.
    pub const QUARANTINED: &str = "https://planaria.dev/errors/quarantined";
    /// Type of the error that a workflow raises when it exceeds one of its limits.
    pub const LIMIT: &str = "https://planaria.dev/errors/limit";

    /// One of the language's own errors: `expression`, `timeout`, `validation`, `runtime`, …
    #[must_use]
    pub fn standard(kind: &str, status: u16, detail: impl Into<String>) -> Self {
        let mut title = kind.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        title.push_str(" error");
        Self {
            kind: format!("{STANDARD}{kind}"),
            status,
            title: Some(title),
            detail: Some(detail.into()),
            instance: None,
        }
    }

    /// An expression failed.
    #[must_use]
    pub fn expression(detail: impl Into<String>) -> Self {
        Self::standard("expression", 400, detail)
    }

    /// A document does not satisfy its schema.
    #[must_use]
    pub fn validation(detail: impl Into<String>) -> Self {
        Self::standard("validation", 400, detail)
    }

    /// A timeout struck.
    #[must_use]
    pub fn timeout(detail: impl Into<String>) -> Self {
        Self::standard("timeout", 408, detail)
    }

    /// Something failed while it ran.
    #[must_use]
    pub fn runtime(detail: impl Into<String>) -> Self {
        Self::standard("runtime", 500, detail)
    }

    /// A limit of the engine was reached.
    #[must_use]
    pub fn limit(detail: impl Into<String>) -> Self {
        Self {
            kind: Self::LIMIT.to_owned(),
            status: 429,
            title: Some("Limit reached".to_owned()),
            detail: Some(detail.into()),
            instance: None,
        }
    }

    /// Reads the document that a `raise` yielded.
    #[must_use]
    pub fn from_json(document: &Json) -> Option<Self> {
        let value = document.to_value();
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let status = value.get("status").and_then(|status| {
            status.as_u64().or_else(|| status.as_str().and_then(|text| text.parse().ok()))
        })?;
        Some(Self {
            kind: text("type")?,
            status: u16::try_from(status).ok()?,
            title: text("title"),
            detail: text("detail"),
            instance: text("instance"),
        })
    }

    /// The document that expressions see.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut members = Map::new();
        members.insert("type".to_owned(), Value::from(self.kind.as_str()));
        members.insert("status".to_owned(), Value::from(self.status));
        let optional =
            [("title", &self.title), ("detail", &self.detail), ("instance", &self.instance)];
        for (key, member) in optional {
            if let Some(text) = member {
                members.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        Json::from_value(&Value::Object(members))
    }

    /// Fills in the task that raised it, unless it says so itself.
    #[must_use]
    pub fn at(mut self, reference: &str) -> Self {
        self.instance.get_or_insert_with(|| reference.to_owned());
        self
    }

    /// Whether the error has all members that a `catch` asks for.
    #[must_use]
    pub fn matches(&self, filter: &ErrorFilter) -> bool {
        let same = |wanted: &Option<String>, have: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| have == Some(wanted))
        };
        same(&filter.kind, Some(&self.kind))
            && filter.status.is_none_or(|status| status == self.status)
            && same(&filter.instance, self.instance.as_ref())
            && same(&filter.title, self.title.as_ref())
            && same(&filter.detail, self.detail.as_ref())
    }
}
