//! A body to begin with, and the line that sends it.

use std::collections::HashSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::Method;

/// Deeper than people look.
const DEPTH_MAX: usize = 4;

/// A request with every field in its place, as JSON. It is made of values that stand for nothing,
/// so that it can be sent as it is and each field be filled in or left out.
#[must_use]
pub fn example(method: &Method) -> String {
    let value = message(&method.descriptor.input(), 0);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

/// The command that sends a body, for a shell.
#[must_use]
pub fn grpcurl(method: &Method, origin: &str, body: &str, with_key: bool) -> String {
    let plain = origin.starts_with("http://");
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    let port = match host.rsplit_once(':') {
        Some(_) => "",
        None if plain => ":80",
        None => ":443",
    };
    let body = serde_json::from_str::<Value>(body).map_or(body.to_owned(), |it| it.to_string());
    let mut line = "grpcurl".to_owned();
    if plain {
        line += " -plaintext";
    }
    if with_key {
        line += " -H \"authorization: Bearer $PLANARIA_API_KEY\"";
    }
    // In single quotes a shell changes nothing; a single quote itself ends them and begins anew.
    let quoted = body.replace('\'', r"'\''");
    line + &format!(" -d '{quoted}' {host}{port} {}", method.path.trim_start_matches('/'))
}

fn message(descriptor: &MessageDescriptor, depth: usize) -> Value {
    match descriptor.full_name() {
        // No moment stands for nothing: any would leave something out of a list.
        "google.protobuf.Timestamp" => return Value::Null,
        "google.protobuf.Duration" => return json!("60s"),
        "planaria.types.v1.Payload" => {
            // base64 of {}
            return json!({ "contentType": "application/json", "data": "e30=" });
        }
        _ => {}
    }
    let mut members = Map::new();
    let mut choices = HashSet::new();
    for field in descriptor.fields() {
        let choice = field.containing_oneof().filter(|choice| !choice.is_synthetic());
        // One of a choice: more than one may not be set.
        if choice.is_some_and(|choice| !choices.insert(choice.name().to_owned())) {
            continue;
        }
        members.insert(field.json_name().to_owned(), value(&field, depth));
    }
    Value::Object(members)
}

fn value(field: &FieldDescriptor, depth: usize) -> Value {
    // Left out it means something else than zero or empty.
    if field.containing_oneof().is_some_and(|choice| choice.is_synthetic()) {
        return Value::Null;
    }
    if field.is_map() {
        return json!({});
    }
    let one = match field.kind() {
        Kind::Message(_) if depth >= DEPTH_MAX => return Value::Null,
        Kind::Message(inner) => message(&inner, depth + 1),
        // A list of names is empty rather than a list of one empty name.
        _ if field.is_list() => return json!([]),
        Kind::Enum(it) => json!(it.default_value().name()),
        Kind::Bool => json!(false),
        Kind::String | Kind::Bytes => json!(""),
        Kind::Double | Kind::Float => json!(0.0),
        _ => json!(0),
    };
    if field.is_list() && !one.is_null() { json!([one]) } else { one }
}
