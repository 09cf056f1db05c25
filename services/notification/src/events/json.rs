//! Events in the JSON format of CloudEvents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use planaria_proto::types::v1::CloudEvent;
use serde_json::{Map, Value};

/// The whole event as one JSON object.
pub(crate) fn write(event: &CloudEvent) -> Vec<u8> {
    let mut members = Map::new();
    let mut put = |name: &str, text: &str| {
        if !text.is_empty() {
            members.insert(name.to_owned(), text.into());
        }
    };
    put("specversion", &event.spec_version);
    put("id", &event.id);
    put("source", &event.source);
    put("type", &event.r#type);
    put("subject", &event.subject);
    put("time", &event.time.map(|time| time.to_string()).unwrap_or_default());
    put("datacontenttype", &event.data_content_type);
    put("dataschema", &event.data_schema);
    for (name, value) in &event.extensions {
        put(name, value);
    }
    if !event.data.is_empty() {
        let (name, value) = data(event);
        members.insert(name.to_owned(), value);
    }
    Value::Object(members).to_string().into_bytes()
}

/// JSON as it is, text as text, the rest in base64.
fn data(event: &CloudEvent) -> (&'static str, Value) {
    let kind = &event.data_content_type;
    if (kind.is_empty() || kind.contains("json"))
        && let Ok(value) = serde_json::from_slice(&event.data)
    {
        return ("data", value);
    }
    match std::str::from_utf8(&event.data) {
        Ok(text) if kind.starts_with("text/") => ("data", text.into()),
        _ => ("data_base64", STANDARD.encode(&event.data).into()),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use serde_json::json;

    use super::*;

    fn written(kind: &str, data: &'static [u8]) -> Value {
        let event = CloudEvent {
            id: "1-2-0".into(),
            source: "/namespaces/shop".into(),
            spec_version: "1.0".into(),
            r#type: "t.v1".into(),
            time: Some(Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            data_content_type: kind.into(),
            extensions: [("sequence".into(), "0001".into())].into(),
            data: data.into(),
            ..CloudEvent::default()
        };
        serde_json::from_slice(&write(&event)).unwrap()
    }

    #[test]
    fn events_are_objects_with_the_members_of_the_format() {
        let expected = json!({
            "specversion": "1.0", "id": "1-2-0", "source": "/namespaces/shop", "type": "t.v1",
            "time": "2023-11-14T22:13:20Z", "sequence": "0001",
            "datacontenttype": "application/json", "data": { "a": 1 },
        });
        assert_eq!(written("application/json", b"{\"a\":1}"), expected);
    }

    #[test]
    fn data_that_is_no_json_is_text_or_base64() {
        assert_eq!(written("text/plain", b"hello")["data"], "hello");
        assert_eq!(written("image/png", &[0, 1, 2])["data_base64"], "AAEC");
        assert_eq!(written("application/json", b"{broken")["data_base64"], "e2Jyb2tlbg==");
        assert_eq!(written("", b"").get("data"), None);
    }
}
