//! Every way to name something in a request of any method.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, Value};

/// Messages inside of messages are filled in this deep.
const DEPTH_MAX: usize = 3;

/// What is named.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) definition: &'a str,
    /// The right to report an attempt.
    pub(super) token: &'a [u8],
    /// The text of a definition.
    pub(super) source: &'a str,
}

/// The messages of a method that name something: one where every field does, and one for each
/// field that could, with nothing else said.
pub(super) fn requests(method: &MethodDescriptor, named: &Named<'_>) -> Vec<DynamicMessage> {
    let mut message = DynamicMessage::new(method.input());
    // What must be said for the rest to be heard.
    for field in method.input().fields() {
        match field.name() {
            "capacity" => message.set_field(&field, Value::U32(1)),
            "role" => message.set_field(&field, Value::EnumNumber(1)),
            "all" => message.set_field(&field, Value::Bool(true)),
            _ => {}
        }
    }
    let mut all = message.clone();
    fill(&mut all, named, 0);
    let mut found = vec![message.clone(), all];
    alone(&message, &mut Vec::new(), named, &mut found);
    found
}

/// What a field is filled with; nothing if it names nothing.
fn value(field: &FieldDescriptor, named: &Named<'_>) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let value = match (field.kind(), field.name()) {
        (Kind::Bytes, "token") => Some(Value::Bytes(named.token.to_vec().into())),
        (Kind::Bytes, "source") => Some(Value::Bytes(named.source.as_bytes().to_vec().into())),
        (Kind::String, "page_token" | "cursor" | "version" | "secret") => None,
        (Kind::String, "url") => text("https://shop.invalid/hook"),
        (Kind::String, "namespace") => text(named.namespace),
        (Kind::String, _) => text(named.name),
        _ => None,
    };
    value.map(|value| if field.is_list() { Value::List(vec![value]) } else { value })
}

fn fill(message: &mut DynamicMessage, named: &Named<'_>, depth: usize) {
    let is_reference = message.descriptor().name() == "DefinitionReference";
    for field in message.descriptor().fields() {
        if is_reference && field.name() == "name" {
            message.set_field(&field, Value::String(named.definition.to_owned()));
        } else if let Some(value) = value(&field, named) {
            message.set_field(&field, value);
        } else if let Some(mut inside) = inside(&field, depth) {
            fill(&mut inside, named, depth + 1);
            message.set_field(&field, listed(&field, inside));
        }
    }
}

/// A message inside of another, as far as it is looked into.
fn inside(field: &FieldDescriptor, depth: usize) -> Option<DynamicMessage> {
    let Kind::Message(inner) = field.kind() else { return None };
    let is_ours = !field.is_map() && inner.full_name().starts_with("planaria.");
    (is_ours && depth < DEPTH_MAX).then(|| DynamicMessage::new(inner))
}

fn listed(field: &FieldDescriptor, message: DynamicMessage) -> Value {
    let message = Value::Message(message);
    if field.is_list() { Value::List(vec![message]) } else { message }
}

fn alone(
    root: &DynamicMessage,
    path: &mut Vec<FieldDescriptor>,
    named: &Named<'_>,
    found: &mut Vec<DynamicMessage>,
) {
    let at = match path.last().map(FieldDescriptor::kind) {
        Some(Kind::Message(inner)) => inner,
        _ => root.descriptor(),
    };
    for field in at.fields() {
        if let Some(value) = value(&field, named) {
            let mut message = root.clone();
            set(&mut message, path, &field, value);
            found.push(message);
        } else if inside(&field, path.len()).is_some() {
            path.push(field);
            alone(root, path, named, found);
            path.pop();
        }
    }
}

fn set(
    message: &mut DynamicMessage,
    path: &[FieldDescriptor],
    field: &FieldDescriptor,
    value: Value,
) {
    let Some((first, rest)) = path.split_first() else { return message.set_field(field, value) };
    let Kind::Message(inner) = first.kind() else { return };
    let mut inside = DynamicMessage::new(inner);
    set(&mut inside, rest, field, value);
    message.set_field(first, listed(first, inside));
}

/// A name of the same form that nothing has.
pub(super) fn twin(name: &str) -> String {
    let keep = name.len().saturating_sub(6);
    let turn = |(place, letter): (usize, char)| match letter {
        _ if place < keep => letter,
        '0'..='8' | 'a'..='e' | 'g'..='y' => char::from(letter as u8 + 1),
        '9' => '0',
        'f' => 'a',
        'z' => 'g',
        other => other,
    };
    name.char_indices().map(turn).collect()
}

/// A token of the same form that nobody signed.
pub(super) fn forged(token: &[u8]) -> Vec<u8> {
    let mut token = token.to_vec();
    if let Some(last) = token.last_mut() {
        *last ^= 1;
    }
    token
}
