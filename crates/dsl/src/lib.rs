//! Documents to graphs; expressions.
#![allow(dead_code, missing_docs)]
mod compile;
mod document;
mod duration;
mod expression;
mod limits;
mod problem;
mod uri;

pub use compile::{Compiled, FunctionUse, compile, compile_within};
pub use expression::ExpressionTable;
pub use limits::Limits;
pub use problem::{Problem, reason};
