//! Requests from JSON, answers to JSON, by the proto3 JSON mapping.

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Value;

use super::Method;

/// The request on the wire.
///
/// # Errors
/// The text is no JSON, or does not fit the message: where and why.
pub fn request(method: &Method, json: &str) -> Result<Vec<u8>, String> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    let mut reader = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(method.descriptor.input(), &mut reader)
        .map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(message.encode_to_vec())
}

/// An answer as JSON, with what is zero or empty left out.
///
/// # Errors
/// The bytes are no such message.
pub fn answer(method: &Method, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let message = DynamicMessage::decode(method.descriptor.output(), bytes)
        .map_err(|error| error.to_string())?;
    let options = SerializeOptions::new().stringify_64_bit_integers(false);
    let value: Value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| error.to_string())?;
    Ok(value.to_string().into_bytes())
}
