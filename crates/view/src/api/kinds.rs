//! Messages and enums that methods lead to.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};

use super::comments::Comments;

/// A message or an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// With fields.
    Message(Message),
    /// A closed set.
    Enum(Enum),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// With its package.
    pub full_name: String,
    /// Its comment.
    pub about: String,
    /// In the order of the contract.
    pub fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As the contract has it: `workflow_id`
    pub name: String,
    /// As JSON has it: `workflowId`
    pub json_name: String,
    /// Its number on the wire.
    pub number: u32,
    /// In words: `string`, `list of Delivery`, `map of string to string`.
    pub kind: String,
    /// Full name of the message or enum that it leads to.
    pub link: Option<String>,
    /// Name of the choice of which it is one.
    pub one_of: Option<String>,
    /// Its comment.
    pub about: String,
}

/// An enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enum {
    /// With its package.
    pub full_name: String,
    /// Its comment.
    pub about: String,
    /// In the order of the contract.
    pub values: Vec<Value>,
}

/// A value of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// `PHASE_RUNNING`
    pub name: String,
    /// On the wire.
    pub number: i32,
    /// Its comment.
    pub about: String,
}

impl Type {
    /// With its package.
    #[must_use]
    pub fn full_name(&self) -> &str {
        match self {
            Self::Message(message) => &message.full_name,
            Self::Enum(it) => &it.full_name,
        }
    }

    /// Its comment.
    #[must_use]
    pub fn about(&self) -> &str {
        match self {
            Self::Message(message) => &message.about,
            Self::Enum(it) => &it.about,
        }
    }
}

type Files = HashMap<String, Comments>;

fn comment(files: &Files, file: &FileDescriptor, path: &[i32]) -> String {
    files.get(file.name()).map(|comments| comments.at(path)).unwrap_or_default()
}

/// Adds the message and everything that its fields lead to.
pub(super) fn collect(
    message: &MessageDescriptor,
    files: &Files,
    into: &mut BTreeMap<String, Type>,
) {
    let mut open = vec![message.clone()];
    while let Some(message) = open.pop() {
        let name = message.full_name().to_owned();
        if into.contains_key(&name) {
            continue;
        }
        for field in message.fields() {
            match value_kind(&field) {
                Kind::Message(next) => open.push(next),
                Kind::Enum(it) => {
                    let name = it.full_name().to_owned();
                    into.entry(name).or_insert_with(|| Type::Enum(enumeration(&it, files)));
                }
                _ => {}
            }
        }
        let file = message.parent_file();
        let fields = message.fields().map(|field| of_field(&field, files)).collect();
        let about = comment(files, &file, message.path());
        into.insert(name.clone(), Type::Message(Message { full_name: name, about, fields }));
    }
}

fn enumeration(it: &EnumDescriptor, files: &Files) -> Enum {
    let file = it.parent_file();
    let values = it.values().map(|value| Value {
        name: value.name().to_owned(),
        number: value.number(),
        about: comment(files, &file, value.path()),
    });
    Enum {
        full_name: it.full_name().to_owned(),
        about: comment(files, &file, it.path()),
        values: values.collect(),
    }
}

/// What a field holds; of a map, what it leads to.
fn value_kind(field: &FieldDescriptor) -> Kind {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

fn of_field(field: &FieldDescriptor, files: &Files) -> Field {
    let name = |kind: &Kind| match kind {
        Kind::Message(message) => message.name().to_owned(),
        Kind::Enum(it) => it.name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    let value = value_kind(field);
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            format!("map of {} to {}", name(&entry.map_entry_key_field().kind()), name(&value))
        }
        _ if field.is_list() => format!("list of {}", name(&value)),
        _ => name(&value),
    };
    let link = match &value {
        Kind::Message(message) => Some(message.full_name().to_owned()),
        Kind::Enum(it) => Some(it.full_name().to_owned()),
        _ => None,
    };
    let choice = field.containing_oneof().filter(|choice| !choice.is_synthetic());
    Field {
        name: field.name().to_owned(),
        json_name: field.json_name().to_owned(),
        number: field.number(),
        kind,
        link,
        one_of: choice.map(|choice| choice.name().to_owned()),
        about: comment(files, &field.parent_message().parent_file(), field.path()),
    }
}
