//! What is wrong with a document, and where.

use std::fmt;

/// One thing that is wrong with a document, or (as a warning) may surprise its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer of the place in the document; empty for the document itself.
    pub pointer: String,
    /// Line of the place, from 1.
    pub line: Option<u32>,
    /// Column of the place in characters, from 1.
    pub column: Option<u32>,
    /// Stable reason, one of [`reason`].
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(formatter, "{line}:{column}: ")?;
        }
        if !self.pointer.is_empty() {
            write!(formatter, "{}: ", self.pointer)?;
        }
        formatter.write_str(&self.message)
    }
}

/// The reasons of problems. They are part of the contract: never renamed.
pub mod reason {
    /// The text is neither YAML nor JSON.
    pub const SYNTAX_INVALID: &str = "SYNTAX_INVALID";
    /// The document is larger, deeper or wider than the limits allow.
    pub const LIMIT_EXCEEDED: &str = "LIMIT_EXCEEDED";
    /// An object has the same key twice.
    pub const KEY_DUPLICATE: &str = "KEY_DUPLICATE";
    /// A key that the language does not have.
    pub const KEY_UNKNOWN: &str = "KEY_UNKNOWN";
    /// A key that must be there is not.
    pub const KEY_MISSING: &str = "KEY_MISSING";
    /// A value has the wrong type.
    pub const TYPE_MISMATCH: &str = "TYPE_MISMATCH";
    /// A value has the right type, but cannot be used.
    pub const VALUE_INVALID: &str = "VALUE_INVALID";
    /// The document's `dsl` version is not one that this system speaks.
    pub const VERSION_UNSUPPORTED: &str = "VERSION_UNSUPPORTED";
    /// A construct of the language that this system does not support yet.
    pub const NOT_SUPPORTED_YET: &str = "NOT_SUPPORTED_YET";
    /// A name that refers to nothing.
    pub const REFERENCE_UNKNOWN: &str = "REFERENCE_UNKNOWN";
    /// A definition that refers to itself.
    pub const REFERENCE_CYCLE: &str = "REFERENCE_CYCLE";
    /// A runtime expression that is not a jq program.
    pub const EXPRESSION_INVALID: &str = "EXPRESSION_INVALID";
    /// A runtime expression that uses what expressions may not use (`env`, `input`, `halt`, …).
    pub const EXPRESSION_FORBIDDEN: &str = "EXPRESSION_FORBIDDEN";
    /// Warning: `${ }` inside a longer string is not evaluated.
    pub const EXPRESSION_EMBEDDED: &str = "EXPRESSION_EMBEDDED";
    /// A JSON schema that is none.
    pub const SCHEMA_INVALID: &str = "SCHEMA_INVALID";
}
