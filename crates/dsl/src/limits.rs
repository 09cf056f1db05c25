//! How large a document may be.

/// Limits of a document. Each is a number of the unit in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the text in bytes.
    pub document_bytes_max: usize,
    /// How deep objects and arrays may be nested.
    pub depth_max: usize,
    /// How many values the document may have once its aliases are expanded.
    pub nodes_max: usize,
    /// How many tasks the compiled graph may have once functions are expanded.
    pub tasks_max: usize,
    /// Length of one expression in bytes.
    pub expression_bytes_max: usize,
    /// How many different expressions a document may have.
    pub expressions_max: usize,
    /// How many problems are reported; the rest is only counted.
    pub problems_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes_max: 1024 * 1024,
            depth_max: 64,
            nodes_max: 50_000,
            tasks_max: 4096,
            expression_bytes_max: 8 * 1024,
            expressions_max: 2000,
            problems_max: 100,
        }
    }
}
