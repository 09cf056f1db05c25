//! A template: a JSON document with holes that programs and the task's input fill.

use std::fmt::Write as _;

use crate::uri;

/// A document with holes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Skeleton {
    /// JSON text without holes.
    Literal(String),
    /// An array with holes somewhere inside.
    Array(Vec<Skeleton>),
    /// An object with holes somewhere inside; keys are JSON text, quotes included.
    Object(Vec<(String, Skeleton)>),
    /// What the program of that position yielded.
    Program(usize),
    /// A URI template, expanded from the input.
    Uri(Vec<uri::Part>),
}

impl Skeleton {
    /// An array; without holes it is a literal.
    pub(crate) fn array(items: Vec<Self>) -> Self {
        if items.iter().any(|item| !matches!(item, Self::Literal(_))) {
            return Self::Array(items);
        }
        let mut text = String::from("[");
        separated(&mut text, &items, |text, item| {
            if let Self::Literal(literal) = item {
                text.push_str(literal);
            }
        });
        text.push(']');
        Self::Literal(text)
    }

    /// An object; without holes it is a literal.
    pub(crate) fn object(members: Vec<(String, Self)>) -> Self {
        if members.iter().any(|(_, member)| !matches!(member, Self::Literal(_))) {
            return Self::Object(members);
        }
        let mut text = String::from("{");
        separated(&mut text, &members, |text, (key, member)| {
            if let Self::Literal(literal) = member {
                let _ = write!(text, "{key}:{literal}");
            }
        });
        text.push('}');
        Self::Literal(text)
    }

    /// Whether a URI template stands in it: then filling needs the input.
    pub(crate) fn needs_input(&self) -> bool {
        match self {
            Self::Literal(_) | Self::Program(_) => false,
            Self::Uri(_) => true,
            Self::Array(items) => items.iter().any(Self::needs_input),
            Self::Object(members) => members.iter().any(|(_, member)| member.needs_input()),
        }
    }

    /// Fills the holes: `results` are the programs' JSON texts, `input` is read for URIs only.
    ///
    /// # Errors
    /// If a URI template names an object or an array.
    pub(crate) fn fill(
        &self,
        results: &[impl AsRef<[u8]>],
        input: &serde_json::Value,
        into: &mut Vec<u8>,
    ) -> Result<(), String> {
        match self {
            Self::Literal(text) => into.extend_from_slice(text.as_bytes()),
            Self::Program(position) => into.extend_from_slice(results[*position].as_ref()),
            Self::Uri(parts) => {
                let uri = uri::expand(parts, input)?;
                into.extend_from_slice(serde_json::Value::String(uri).to_string().as_bytes());
            }
            Self::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    into.push(if position == 0 { b'[' } else { b',' });
                    item.fill(results, input, into)?;
                }
                into.push(b']');
            }
            Self::Object(members) => {
                for (position, (key, member)) in members.iter().enumerate() {
                    into.push(if position == 0 { b'{' } else { b',' });
                    into.extend_from_slice(key.as_bytes());
                    into.push(b':');
                    member.fill(results, input, into)?;
                }
                into.push(b'}');
            }
        }
        Ok(())
    }
}

fn separated<T>(text: &mut String, items: &[T], mut each: impl FnMut(&mut String, &T)) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        each(text, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_and_the_rest_is_constant() {
        let literal = |text: &str| Skeleton::Literal(text.to_owned());
        let constant = Skeleton::object(vec![
            ("\"a\"".to_owned(), Skeleton::array(vec![literal("1"), literal("null")])),
            ("\"b\"".to_owned(), Skeleton::object(Vec::new())),
        ]);
        assert_eq!(constant, literal(r#"{"a":[1,null],"b":{}}"#));
        let holes = Skeleton::array(vec![
            constant,
            Skeleton::Program(0),
            Skeleton::Uri(vec![uri::Part::Variable("x".to_owned())]),
        ]);
        let mut text = Vec::new();
        let input = serde_json::json!({ "x": "y z" });
        holes.fill(&["true"], &input, &mut text).expect("fills");
        assert_eq!(text, br#"[{"a":[1,null],"b":{}},true,"y%20z"]"#);
    }
}
