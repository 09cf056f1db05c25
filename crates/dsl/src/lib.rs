//! Documents of the Open Workflow DSL, compiled to the graph that the workflow machine walks; and
//! the expressions in them, evaluated so that a hostile one harms nobody.
//!
//! [`compile`] reads, checks and compiles a document. [`MemoEvaluator`] evaluates its expressions:
//! what is bounded in the process itself, the rest by way of an [`ExpressionPool`] of processes
//! that may die. The crate decides nothing about workflows and stores nothing.

mod compile;
mod document;
mod duration;
pub mod evaluator_child;
mod expression;
mod limits;
mod pool;
mod problem;
mod uri;

pub use compile::{Compiled, FunctionUse, compile, compile_within};
pub use expression::{
    Answer, EvaluationRequest, ExpressionTable, IN_PROCESS_BYTES_MAX, MemoEvaluator,
    OUTPUT_BYTES_MAX,
};
pub use limits::Limits;
pub use pool::{ExpressionPool, PoolConfig};
pub use problem::{Problem, reason};
