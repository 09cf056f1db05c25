//! A form for the input of a definition, made of its schema.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

/// Objects within objects are fields of their own down to here; deeper ones are JSON.
const DEPTH_MAX: usize = 6;

/// How a field is filled in.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// A number without a fraction.
    Integer,
    /// Yes or no.
    Bool,
    /// One of these.
    Choice(Vec<Value>),
    /// More fields.
    Object(Vec<Field>),
    /// Anything else, as JSON.
    Json,
}

/// A field of the form.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// JSON pointer of its value in the input.
    pub pointer: String,
    /// The member's name.
    pub name: String,
    /// What the schema says about it; empty if nothing.
    pub description: String,
    /// Whether the input needs it.
    pub required: bool,
    /// What it is filled in with at first; a choice as its number, from 0 on.
    pub initial: String,
    /// How it is filled in.
    pub kind: Kind,
}

/// The fields for the input of a document; nothing if it has no schema of which a form can be made.
#[must_use]
pub fn fields(document: &Value) -> Option<Vec<Field>> {
    let schema = document.pointer("/input/schema/document")?;
    match kind(schema, "", 0) {
        Kind::Object(fields) => Some(fields),
        _ => None,
    }
}

/// The input that was filled in: texts by the pointers of their fields. Otherwise what is wrong
/// with which field.
///
/// # Errors
/// If a required field is empty, or a text is not what its field takes.
pub fn read(
    fields: &[Field],
    texts: &BTreeMap<String, String>,
) -> Result<Value, BTreeMap<String, String>> {
    let mut problems = BTreeMap::new();
    let input = object(fields, texts, &mut problems);
    if problems.is_empty() { Ok(Value::Object(input)) } else { Err(problems) }
}

fn object(
    fields: &[Field],
    texts: &BTreeMap<String, String>,
    problems: &mut BTreeMap<String, String>,
) -> Map<String, Value> {
    let mut members = Map::new();
    for field in fields {
        if let Kind::Object(inner) = &field.kind {
            // An object that nobody needs and nobody filled in is not there.
            let mut found = BTreeMap::new();
            let value = object(inner, texts, &mut found);
            let touched = inner.iter().any(|field| is_filled(field, texts));
            if field.required || touched {
                problems.append(&mut found);
                members.insert(field.name.clone(), Value::Object(value));
            }
            continue;
        }
        let text = texts.get(&field.pointer).map_or("", String::as_str);
        match (text.is_empty(), field.required) {
            (true, true) => {
                problems.insert(field.pointer.clone(), "is required".into());
            }
            (true, false) => {}
            (false, _) => match value(&field.kind, text) {
                Ok(value) => {
                    members.insert(field.name.clone(), value);
                }
                Err(problem) => {
                    problems.insert(field.pointer.clone(), problem);
                }
            },
        }
    }
    members
}

fn is_filled(field: &Field, texts: &BTreeMap<String, String>) -> bool {
    match &field.kind {
        Kind::Object(inner) => inner.iter().any(|field| is_filled(field, texts)),
        _ => texts.get(&field.pointer).is_some_and(|text| !text.is_empty()),
    }
}

fn value(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Integer => match text.trim().parse::<i64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => Err("is not a whole number".into()),
        },
        Kind::Number => {
            let whole = text.trim().parse::<i64>().ok().map(Number::from);
            let number = || text.trim().parse::<f64>().ok().and_then(Number::from_f64);
            whole.or_else(number).map(Value::Number).ok_or_else(|| "is not a number".into())
        }
        Kind::Bool => Ok(Value::Bool(text == "true")),
        Kind::Choice(values) => {
            let chosen = text.parse::<usize>().ok().and_then(|index| values.get(index));
            chosen.cloned().ok_or_else(|| "is none of the choices".into())
        }
        Kind::Json | Kind::Object(_) => {
            serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))
        }
    }
}

fn field(parent: &str, name: &str, schema: &Value, required: bool, depth: usize) -> Field {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    let pointer = format!("{parent}/{escaped}");
    let said = |member: &str| schema.get(member).and_then(Value::as_str).unwrap_or_default();
    let about: Vec<_> =
        [said("title"), said("description")].into_iter().filter(|text| !text.is_empty()).collect();
    let kind = kind(schema, &pointer, depth);
    let initial = schema.get("default").map(|value| initial(&kind, value)).unwrap_or_default();
    Field { description: about.join(": "), name: name.to_owned(), required, initial, kind, pointer }
}

/// A default as the text that is filled in.
fn initial(kind: &Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Text, Value::String(text)) => text.clone(),
        (Kind::Choice(values), value) => {
            let at = values.iter().position(|choice| choice == value);
            at.map(|index| index.to_string()).unwrap_or_default()
        }
        (Kind::Object(_), _) => String::new(),
        (_, value) => value.to_string(),
    }
}

fn kind(schema: &Value, pointer: &str, depth: usize) -> Kind {
    // Where one of several schemas holds, a form would have to guess which.
    let is_one_of = ["$ref", "oneOf", "anyOf", "allOf", "if", "not"];
    if is_one_of.iter().any(|member| schema.get(member).is_some()) {
        return Kind::Json;
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return Kind::Choice(values.clone());
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => Kind::Text,
        Some("number") => Kind::Number,
        Some("integer") => Kind::Integer,
        Some("boolean") => Kind::Bool,
        Some("object") | None => match schema.get("properties").and_then(Value::as_object) {
            Some(properties) if depth < DEPTH_MAX && !properties.is_empty() => {
                let required = schema.get("required").and_then(Value::as_array);
                let is_required = |name: &str| {
                    required.is_some_and(|names| names.iter().any(|it| it.as_str() == Some(name)))
                };
                let made = properties.iter().map(|(name, schema)| {
                    field(pointer, name, schema, is_required(name), depth + 1)
                });
                Kind::Object(made.collect())
            }
            _ => Kind::Json,
        },
        Some(_) => Kind::Json,
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
