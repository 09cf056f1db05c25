//! The port through which the workflow machine has expressions evaluated.

use super::{ExpressionId, Graph, NodeId, SchemaId};
use crate::Json;

/// What an expression can see. The evaluator builds jq's arguments from it, and only those that
/// the expression mentions.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The definition.
    pub graph: &'a Graph,
    /// The task in whose name the expression runs.
    pub node: NodeId,
    /// `.`: what the expression is applied to.
    pub value: &'a Json,
    /// `$input`: the task's transformed input, once known.
    pub input: Option<&'a Json>,
    /// `$output`: the task's transformed output, once known.
    pub output: Option<&'a Json>,
    /// `$context`.
    pub context: &'a Json,
    /// `$task.input`: the task's raw input.
    pub task_input: &'a Json,
    /// `$task.output`: the task's raw output, once known.
    pub task_output: Option<&'a Json>,
    /// `$task.startedAt`, in Unix milliseconds.
    pub task_started_at_ms: u64,
    /// `$workflow.id`.
    pub workflow_id: &'a str,
    /// `$workflow.input`: the workflow's raw input.
    pub workflow_input: &'a Json,
    /// `$workflow.startedAt`, in Unix milliseconds.
    pub workflow_started_at_ms: u64,
    /// Variables of enclosing tasks (`for`'s each and at, `catch`'s as), the innermost last.
    pub variables: &'a [(std::sync::Arc<str>, Json)],
}

/// What an expression yielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// One document.
    Value(Json),
    /// The elements of an array, for the `in` of a `for`.
    Items(Vec<Json>),
}

/// The answer of an evaluator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// It yielded.
    Done(Evaluated),
    /// It failed: the detail of the `expression` (or, for a schema, `validation`) error.
    Failed(String),
    /// Not known yet. The shell finds it out and applies again: the answers come in the same
    /// order as the questions.
    Pending,
}

/// Evaluates expressions and schemas. Deterministic as far as the machine can tell: what it
/// answers is a fact in the history, and replay never asks.
pub trait Evaluator {
    /// Evaluates an expression.
    fn evaluate(&mut self, expression: ExpressionId, scope: &Scope<'_>) -> Evaluation;

    /// Evaluates the `in` of a `for`: answers [`Evaluated::Items`].
    fn items(&mut self, expression: ExpressionId, scope: &Scope<'_>) -> Evaluation;

    /// Validates a document: `Done(Value(value))` if it satisfies the schema, else `Failed`.
    fn validate(&mut self, schema: SchemaId, value: &Json) -> Evaluation;
}
