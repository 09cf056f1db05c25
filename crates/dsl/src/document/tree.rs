//! A document as a tree of values with their positions.

use std::rc::Rc;

/// A place in the text: line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Line, from 1.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Where the value begins.
    pub(crate) position: Position,
    /// The value.
    pub(crate) value: Value,
}

/// A value of a document: JSON's model. Collections are shared, so that an alias costs nothing.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(serde_json::Number),
    String(Rc<str>),
    Array(Rc<Vec<Tree>>),
    Object(Rc<Vec<Member>>),
}

/// A member of an object, in document order.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The key.
    pub(crate) key: Rc<str>,
    /// Where the key stands.
    pub(crate) position: Position,
    /// The value.
    pub(crate) tree: Tree,
}

impl Tree {
    /// The member of that name, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        let members = self.members()?;
        members.iter().find(|member| &*member.key == key).map(|member| &member.tree)
    }

    /// The members, if this is an object.
    pub(crate) fn members(&self) -> Option<&[Member]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, if this is an array.
    pub(crate) fn items(&self) -> Option<&[Tree]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value this is, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Boolean(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }

    /// The value as JSON, without positions.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::String(text) => (**text).into(),
            Value::Array(items) => items.iter().map(Self::to_json).collect(),
            Value::Object(members) => serde_json::Value::Object(
                members.iter().map(|m| (m.key.to_string(), m.tree.to_json())).collect(),
            ),
        }
    }
}
