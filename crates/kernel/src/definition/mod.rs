//! What a workflow definition is once compiled: a graph of nodes that the workflow machine walks.
//! Parsing, validation and expressions are the business of the `dsl` crate.

mod evaluator;
mod graph;

pub use evaluator::{Evaluated, Evaluation, Evaluator, Scope};
pub use graph::{
    Backoff, Call, Case, Catch, DurationValue, ErrorFilter, ExpressionId, Graph, Jitter, Kind,
    Node, NodeId, Read, SchemaId, Then, TryRetry,
};
