//! Reads YAML and JSON into a tree that remembers where everything stood.

mod reader;
mod scalar;
mod tree;

pub(crate) use reader::read;
pub(crate) use tree::{Position, Tree, Value};
