//! From the document to the graph: one pass that validates as it builds and reports everything
//! that is wrong, not only the first thing.

mod builder;
mod call;
mod check;
mod data;
mod event;
mod flow;
mod header;
mod http;
mod metadata;
mod place;
mod retry;
mod reuse;
mod task;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use planaria_kernel::definition::Graph;

use crate::document;
use crate::expression::ExpressionTable;
use crate::limits::Limits;
use crate::problem::{Problem, reason};
use builder::Builder;
use place::Place;

/// A definition, ready to run.
#[derive(Debug)]
pub struct Compiled {
    /// `document.namespace`: the author's, which is not the tenant's.
    pub namespace: String,
    /// `document.name`.
    pub name: String,
    /// `document.version`, semantic.
    pub version: String,
    /// `document.title`.
    pub title: Option<String>,
    /// `document.summary`, Markdown.
    pub summary: Option<String>,
    /// `document.tags`.
    pub tags: BTreeMap<String, String>,
    /// The document as JSON.
    pub document: Arc<serde_json::Value>,
    /// What the workflow machine walks.
    pub graph: Arc<Graph>,
    /// The expressions and schemas that the graph numbers.
    pub expressions: Arc<ExpressionTable>,
    /// The functions that workers must offer, in document order.
    pub functions: Vec<FunctionUse>,
    /// What may surprise the author.
    pub warnings: Vec<Problem>,
}

/// A place where a definition calls a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionUse {
    /// The reference of the calling node in the graph.
    pub reference: String,
    /// The function's name.
    pub function: String,
    /// The version asked for; `None` = any.
    pub version: Option<String>,
    /// The queue that the task will wait in.
    pub queue: String,
    /// Line and column of the task in the document, from 1.
    pub place: (u32, u32),
}

/// Stack of the thread that compiles: the parser of expressions recurses as deep as their text is
/// nested. Only what is used is ever touched.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Compiles a document, YAML or JSON, within the default limits.
///
/// Blocks for some milliseconds, on a thread of its own with a large stack: not for a thread of
/// an asynchronous runtime.
///
/// # Errors
/// All problems that were found, in document order as far as they have a place; never empty.
pub fn compile(source: &[u8]) -> Result<Compiled, Vec<Problem>> {
    compile_within(source, &Limits::default())
}

/// Compiles a document within limits.
///
/// # Errors
/// As [`compile`].
pub fn compile_within(source: &[u8], limits: &Limits) -> Result<Compiled, Vec<Problem>> {
    let compile = || compile_here(source, limits);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("compile-definition".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, compile);
        let failed = |message: String| {
            let reason = reason::LIMIT_EXCEEDED;
            Err(vec![Problem { pointer: String::new(), line: None, column: None, reason, message }])
        };
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => failed("the document could not be compiled".to_owned()),
            Err(error) => failed(format!("no thread to compile in: {error}")),
        }
    })
}

fn compile_here(source: &[u8], limits: &Limits) -> Result<Compiled, Vec<Problem>> {
    let tree = document::read(source, limits)?;
    let root = Place::root(&tree);
    let mut builder = Builder::new(root.clone(), limits);
    let header = builder.header(&root);
    builder.reusable(&root);
    builder.workflow(&root);
    builder.unused();
    builder.finish(header, tree.to_json())
}
