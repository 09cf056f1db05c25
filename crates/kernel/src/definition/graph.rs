//! The compiled form of a definition.
//!
//! Nodes are the tasks of the document, numbered in document order; a node's reference is its JSON
//! pointer in the document (`/do/0/charge`). Expressions and schemas are numbers into tables that
//! the evaluator holds: the kernel asks for their value, it never sees their text.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::retry::RetryPolicy;

/// Number of a node in [`Graph::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Number of an expression (or a template holding expressions) in the evaluator's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExpressionId(pub u32);

/// Number of a JSON schema in the evaluator's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaId(pub u32);

/// A compiled definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// All nodes; the root is node 0, a [`Kind::Do`] with the reference `/do`.
    ///
    /// The workflow's own `input`, `output` and `timeout` stand on the root node, as if the
    /// document were one task.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// The node that holds the workflow's own task list.
    pub const ROOT: NodeId = NodeId(0);

    /// The node of that number.
    ///
    /// # Panics
    /// If the number is not one of this graph's.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node at a JSON pointer.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<NodeId> {
        let position = self.nodes.iter().position(|node| &*node.reference == reference)?;
        u32::try_from(position).ok().map(NodeId)
    }
}

/// One task of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// JSON pointer of the task in the document, e.g. `/do/0/charge`.
    pub reference: Arc<str>,
    /// The task's name, e.g. `charge`; `do` for the root.
    pub name: Arc<str>,
    /// The node whose list or body holds this one; `None` for the root.
    pub parent: Option<NodeId>,
    /// `if`: the task is skipped unless this is true.
    pub condition: Option<ExpressionId>,
    /// `input.schema`: what the raw input must satisfy.
    pub input_schema: Option<SchemaId>,
    /// `input.from`: turns the raw input into the task's input.
    pub input_from: Option<ExpressionId>,
    /// `output.as`: turns the raw output into the task's output.
    pub output_as: Option<ExpressionId>,
    /// `output.schema`: what the output must satisfy.
    pub output_schema: Option<SchemaId>,
    /// `export.as`: yields the new `$context`.
    pub export_as: Option<ExpressionId>,
    /// `export.schema`: what the new `$context` must satisfy.
    pub export_schema: Option<SchemaId>,
    /// `timeout.after`: the task faults with a timeout error after that long.
    pub timeout: Option<DurationValue>,
    /// `then`: where control flows when the task is done.
    pub then: Then,
    /// What the task does.
    pub kind: Kind,
}

/// Where control flows after a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// To the next task of the list, or out of the list behind the last.
    Continue,
    /// Out of the list that holds the task.
    Exit,
    /// To the end of the workflow.
    End,
    /// To another task of the same list.
    Goto(NodeId),
}

/// What a task does.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Runs its children one after the other.
    Do {
        /// The tasks of the list, in order.
        children: Vec<NodeId>,
    },
    /// Replaces the data; the template yields the raw output.
    Set {
        /// The template that yields the new data.
        value: ExpressionId,
    },
    /// Chooses where control flows; the first case that holds wins, none = the task's `then`.
    Switch {
        /// The cases in document order.
        cases: Vec<Case>,
    },
    /// Runs its body for each item, one after the other.
    For {
        /// Variable that holds the item (`item` unless said).
        each: Arc<str>,
        /// Variable that holds the position, from 0 (`index` unless said).
        at: Arc<str>,
        /// Yields the items ([`Evaluated::Items`](super::Evaluated::Items)).
        items: ExpressionId,
        /// `while`: the loop ends when this is false; asked before each iteration.
        condition: Option<ExpressionId>,
        /// The body: a [`Kind::Do`] node.
        body: NodeId,
    },
    /// Runs its branches at the same time.
    Fork {
        /// The branches: each any task.
        branches: Vec<NodeId>,
        /// Whether the first branch to complete wins and the others are cancelled.
        compete: bool,
    },
    /// Lets time pass.
    Wait {
        /// How long.
        duration: DurationValue,
    },
    /// Raises an error; the template yields the RFC 7807 error object.
    Raise {
        /// The template that yields `{type, status, title?, detail?, instance?}`.
        error: ExpressionId,
    },
    /// Runs its body and catches errors.
    Try {
        /// The body: a [`Kind::Do`] node.
        body: NodeId,
        /// What is caught and what happens then.
        catch: Box<Catch>,
    },
    /// Has a worker execute a function.
    Call(Box<Call>),
    /// Publishes an event; the template yields the CloudEvent attributes
    /// (id, source, time and specversion are filled in when absent).
    Emit {
        /// The template that yields the attributes.
        event: ExpressionId,
    },
    /// Waits for one event.
    Listen {
        /// The event type that the filter asks for, if it is a literal: lets the shell index.
        event_type: Option<Arc<str>>,
        /// Yields whether an event matches; evaluated with the CloudEvent envelope as input.
        filter: ExpressionId,
        /// What of the event becomes the output (a list with one element).
        read: Read,
    },
}

/// One case of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The condition; `None` always holds (the default case).
    pub when: Option<ExpressionId>,
    /// Where control flows.
    pub then: Then,
}

/// What of a consumed event becomes the task's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The event's data.
    Data,
    /// The whole CloudEvent.
    Envelope,
    /// The data as it came.
    Raw,
}

/// A length of time, known when the definition is published or only at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationValue {
    /// Milliseconds.
    Fixed(u64),
    /// Yields milliseconds, as a JSON number (the evaluator converts ISO 8601 and inline forms).
    Expression(ExpressionId),
}

/// A function task.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function's name as workers announce it, e.g. `charge-card`, `http`.
    pub function: Arc<str>,
    /// The version, `None` for any.
    pub version: Option<Arc<str>>,
    /// Yields the arguments (`with`); `None` passes the task's input.
    pub arguments: Option<ExpressionId>,
    /// The queue the task waits in.
    pub queue: Arc<str>,
    /// Higher runs earlier; 0 unless said.
    pub priority: i32,
    /// Longest silence between two progress reports, in milliseconds.
    pub progress_timeout_ms: Option<u64>,
    /// Labels that the worker must carry.
    pub labels: BTreeMap<String, String>,
    /// The task's own retry policy, over the function's.
    pub retry: Option<RetryPolicy>,
}

/// What a `try` catches and does then.
#[derive(Clone, Debug, PartialEq)]
pub struct Catch {
    /// `errors.with`: literal members that the error must have.
    pub errors: ErrorFilter,
    /// Variable that holds the error (`error` unless said).
    pub variable: Arc<str>,
    /// `when`: caught only if true.
    pub when: Option<ExpressionId>,
    /// `exceptWhen`: not caught if true.
    pub except_when: Option<ExpressionId>,
    /// `retry`: the author's policy.
    pub retry: Option<TryRetry>,
    /// `do`: runs when the error is caught and not retried; a [`Kind::Do`] node.
    pub body: Option<NodeId>,
    /// `then`: where control flows when the error was caught; over the task's own.
    pub then: Option<Then>,
}

/// Members that an error must have; `None` = any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    /// The error's type URI.
    pub kind: Option<String>,
    /// Its status code.
    pub status: Option<u16>,
    /// The reference of the task that raised it.
    pub instance: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Its detail.
    pub detail: Option<String>,
}

/// The author's retry policy of a `try`.
#[derive(Clone, Debug, PartialEq)]
pub struct TryRetry {
    /// Retried only if true.
    pub when: Option<ExpressionId>,
    /// Not retried if true.
    pub except_when: Option<ExpressionId>,
    /// First delay.
    pub delay: DurationValue,
    /// How the delay grows.
    pub backoff: Backoff,
    /// Random addition to each delay.
    pub jitter: Option<Jitter>,
    /// Largest number of retries.
    pub attempts_max: Option<u32>,
    /// Longest duration of one attempt.
    pub attempt_duration: Option<DurationValue>,
    /// Longest duration of all attempts together, with their delays.
    pub duration: Option<DurationValue>,
}

/// How the delay grows from one retry to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// It does not.
    Constant,
    /// By a fixed amount: `delay + (n - 1) * increment`.
    Linear {
        /// Milliseconds added each time (the delay itself unless said).
        increment_ms: Option<u64>,
        /// Longest delay in milliseconds.
        delay_max_ms: Option<u64>,
    },
    /// By a factor: `delay * multiplier^(n - 1)`.
    Exponential {
        /// The factor (2 unless said).
        multiplier: f64,
        /// Longest delay in milliseconds.
        delay_max_ms: Option<u64>,
    },
}

/// Random addition to a delay, uniform between two lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    /// Smallest addition in milliseconds.
    pub from_ms: u64,
    /// Largest addition in milliseconds.
    pub to_ms: u64,
}
