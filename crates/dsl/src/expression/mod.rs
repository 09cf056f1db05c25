//! Expressions: what they are once compiled, and where they may run.

pub(crate) mod bounded;
pub(crate) mod jq;
pub(crate) mod program;
pub(crate) mod schema;
mod skeleton;
pub(crate) mod table;
pub(crate) mod value;

pub(crate) use skeleton::Skeleton;
pub use table::ExpressionTable;
