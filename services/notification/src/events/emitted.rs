//! What workflows emit: CloudEvents in JSON format, passed on as they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use planaria_proto::types::v1::CloudEvent;
use prost_types::Timestamp;
use serde_json::{Map, Value};

/// Nothing if the text is no JSON object, which the engine never commits.
pub(super) fn event(text: &[u8]) -> Option<CloudEvent> {
    let mut members: Map<String, Value> = serde_json::from_slice(text).ok()?;
    let mut take = |name: &str| match members.remove(name) {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let mut event = CloudEvent {
        id: take("id"),
        source: take("source"),
        spec_version: take("specversion"),
        r#type: take("type"),
        time: take("time").parse::<Timestamp>().ok(),
        subject: take("subject"),
        data_content_type: take("datacontenttype"),
        data_schema: take("dataschema"),
        ..CloudEvent::default()
    };
    event.data = data(&mut members, &mut event.data_content_type);
    event.extensions = members
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => (name, text),
            value => (name, value.to_string()),
        })
        .collect();
    Some(event)
}

fn data(members: &mut Map<String, Value>, content_type: &mut String) -> Bytes {
    if let Some(Value::String(encoded)) = members.remove("data_base64") {
        return STANDARD.decode(encoded).unwrap_or_default().into();
    }
    let json = content_type.is_empty() || content_type.contains("json");
    match members.remove("data") {
        None => Bytes::new(),
        Some(Value::String(text)) if !json => text.into(),
        Some(value) => {
            if content_type.is_empty() {
                "application/json".clone_into(content_type);
            }
            value.to_string().into()
        }
    }
}
