//! JSON schemas of inputs, outputs and exports.
//!
//! A schema is as hostile as an expression: references can blow up exponentially, patterns can
//! be slow. What is plain is validated here, all else in the pool.

use jsonschema::{PatternOptions, Validator};

/// A schema, checked.
pub(crate) struct Schema {
    /// The schema as JSON text.
    pub(crate) text: String,
    /// The validator, if the schema is plain enough to run here.
    pub(crate) validator: Option<Validator>,
    /// How many values the schema consists of.
    nodes: usize,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Schema").field("text", &self.text).finish_non_exhaustive()
    }
}

/// Keywords whose cost is not bounded by the size of schema and value.
const COSTLY: [&str; 11] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "pattern",
    "patternProperties",
    "propertyNames",
    "format",
    "uniqueItems",
    "contains",
    "unevaluatedProperties",
    "unevaluatedItems",
];

/// The most work (values of the schema times bytes of the document) that is done here.
const WORK_MAX: usize = 2_000_000;

impl Schema {
    /// Checks a schema.
    ///
    /// # Errors
    /// If it is not a schema, or refers to another document.
    pub(crate) fn new(document: &serde_json::Value) -> Result<Self, String> {
        let validator = compile(document)?;
        let (nodes, plain) = survey(document);
        let validator = plain.then_some(validator);
        Ok(Self { text: document.to_string(), validator, nodes })
    }

    /// The validator, if validating a document of so many bytes here is cheap.
    pub(crate) fn here(&self, bytes: usize) -> Option<&Validator> {
        let cheap = self.nodes.saturating_mul(bytes) <= WORK_MAX;
        self.validator.as_ref().filter(|_| cheap)
    }
}

/// Compiles a schema; its patterns run in linear time, and nothing is fetched.
pub(crate) fn compile(document: &serde_json::Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
        .build(document)
        .map_err(|error| error.to_string())
}

/// Validates; the message names the first thing that is wrong.
///
/// # Errors
/// If the value does not satisfy the schema.
pub(crate) fn validate(validator: &Validator, value: &serde_json::Value) -> Result<(), String> {
    validator.validate(value).map_err(|error| {
        let path = error.instance_path().to_string();
        let mut message = error.to_string();
        message.truncate(message.floor_char_boundary(300));
        if path.is_empty() { message } else { format!("{path}: {message}") }
    })
}

/// Counts the values of a schema and says whether it is plain.
fn survey(schema: &serde_json::Value) -> (usize, bool) {
    match schema {
        serde_json::Value::Object(members) => {
            members.iter().fold((1, true), |total, (key, value)| {
                let (nodes, plain) = survey(value);
                (total.0 + nodes, total.1 && plain && !COSTLY.contains(&key.as_str()))
            })
        }
        serde_json::Value::Array(items) => items.iter().fold((1, true), |total, item| {
            let (nodes, plain) = survey(item);
            (total.0 + nodes, total.1 && plain)
        }),
        _ => (1, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_schemas_validate_here() {
        let schema = serde_json::json!({
            "type": "object",
            "required": ["id"],
            "properties": { "id": { "type": "integer", "minimum": 1 } }
        });
        let schema = Schema::new(&schema).expect("a schema");
        let validator = schema.here(1000).expect("plain");
        assert_eq!(validate(validator, &serde_json::json!({ "id": 1 })), Ok(()));
        let wrong = validate(validator, &serde_json::json!({ "id": 0 })).expect_err("too small");
        assert!(wrong.starts_with("/id: "), "{wrong}");
        assert!(schema.here(10_000_000).is_none());
    }

    #[test]
    fn others_do_not() {
        for schema in [
            serde_json::json!({ "pattern": "(a+)+$" }),
            serde_json::json!({ "$defs": { "a": {} }, "$ref": "#/$defs/a" }),
        ] {
            assert!(Schema::new(&schema).expect("a schema").here(1).is_none());
        }
        assert!(Schema::new(&serde_json::json!({ "type": "nonsense" })).is_err());
        assert!(Schema::new(&serde_json::json!({ "$ref": "https://example.com/a.json" })).is_err());
        assert!(Schema::new(&serde_json::json!({ "$ref": "file:///etc/passwd" })).is_err());
    }
}
