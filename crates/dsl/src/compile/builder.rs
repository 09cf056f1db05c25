//! What the compiler knows and collects while it walks a document.

use std::collections::BTreeSet;
use std::sync::Arc;

use planaria_kernel::definition::{Graph, Kind, Node, NodeId, Then};

use super::header::Header;
use super::{Compiled, FunctionUse, Place};
use crate::expression::jq::Engine;
use crate::expression::table::TableBuilder;
use crate::limits::Limits;
use crate::problem::{Problem, reason};

/// The state of a compilation.
pub(crate) struct Builder<'d> {
    /// The document.
    pub(super) root: Place<'d>,
    pub(super) limits: &'d Limits,
    pub(super) engine: Engine,
    pub(super) table: TableBuilder,
    pub(super) functions: Vec<FunctionUse>,
    /// Variables that expressions may use here, with their dollar sign, the innermost last.
    pub(super) variables: Vec<Arc<str>>,
    /// The attribute of an event that programs are applied to here, rather than to the input.
    pub(super) applied_to: Option<String>,
    /// Jumps to tasks of the list that is being compiled, which may still follow.
    pub(super) jumps: Vec<Jump>,
    /// The names of the reusable functions that are being expanded, the innermost last.
    pub(super) expanding: Vec<String>,
    /// The names of the reusable functions that were called.
    pub(super) called: BTreeSet<String>,
    /// The names of the reusable retry policies that were used.
    pub(super) retried: BTreeSet<String>,
    nodes: Vec<Node>,
    definitions: Vec<String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// A jump to a task of the same list.
pub(super) struct Jump {
    /// The task that jumps.
    pub(super) node: NodeId,
    /// Which of its ways out.
    pub(super) exit: Exit,
    /// The name of the task to jump to.
    pub(super) name: String,
    /// What is wrong if there is no such task; its message is completed then.
    pub(super) problem: Problem,
}

/// A way out of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The task's `then`.
    Then,
    /// The `then` of that case of a switch.
    Case(usize),
    /// The `then` of the catch.
    Catch,
}

/// How many variables every expression may use.
pub(super) const RUNTIME_ARGUMENTS_COUNT: usize = 8;

/// The variables that every expression may use.
const RUNTIME_ARGUMENTS: [&str; RUNTIME_ARGUMENTS_COUNT] = [
    "$context",
    "$input",
    "$output",
    "$secrets",
    "$authorization",
    "$task",
    "$workflow",
    "$runtime",
];

impl<'d> Builder<'d> {
    pub(super) fn new(root: Place<'d>, limits: &'d Limits) -> Self {
        Self {
            root,
            limits,
            engine: Engine::new(),
            table: TableBuilder::default(),
            functions: Vec::new(),
            variables: RUNTIME_ARGUMENTS.map(Arc::from).to_vec(),
            applied_to: None,
            jumps: Vec::new(),
            expanding: Vec::new(),
            called: BTreeSet::new(),
            retried: BTreeSet::new(),
            nodes: Vec::new(),
            definitions: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Notes a problem.
    pub(super) fn report(&mut self, problem: Problem) {
        // A function that is called twice has its problems once.
        if self.problems.len() < self.limits.problems_max && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Notes a problem of a place.
    pub(super) fn wrong(
        &mut self,
        place: &Place<'_>,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.report(place.problem(reason, message));
    }

    /// Notes that a construct of the language is not supported yet.
    pub(super) fn unsupported(&mut self, place: &Place<'_>, what: &str) {
        self.wrong(place, reason::NOT_SUPPORTED_YET, format!("{what} is not supported yet"));
    }

    /// Notes something that may surprise.
    pub(super) fn warn(&mut self, place: &Place<'_>, reason: &'static str, message: &str) {
        let warning = place.problem(reason, message);
        if self.warnings.len() < self.limits.problems_max && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Adds a node that does nothing yet. Its definition is that of `place`.
    pub(super) fn open(
        &mut self,
        place: &Place<'_>,
        reference: &str,
        name: &str,
        parent: Option<NodeId>,
    ) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        if self.nodes.len() >= self.limits.tasks_max {
            let message = format!("the workflow has more than {} tasks", self.limits.tasks_max);
            self.wrong(&self.root.clone(), reason::LIMIT_EXCEEDED, message);
        }
        self.nodes.push(Node {
            reference: Arc::from(reference),
            name: Arc::from(name),
            parent,
            condition: None,
            input_schema: None,
            input_from: None,
            output_as: None,
            output_schema: None,
            export_as: None,
            export_schema: None,
            timeout: None,
            then: Then::Continue,
            kind: Kind::Do { children: Vec::new() },
        });
        self.definitions.push(place.pointer.clone());
        id
    }

    /// Whether there are as many tasks as are allowed: then nothing is expanded any more.
    pub(super) const fn is_full(&self) -> bool {
        self.nodes.len() > self.limits.tasks_max
    }

    /// A node that was opened.
    pub(super) fn node(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// The compiled definition, unless there are problems.
    pub(super) fn finish(
        mut self,
        header: Header,
        document: serde_json::Value,
    ) -> Result<Compiled, Vec<Problem>> {
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| (problem.line, problem.column));
            return Err(self.problems);
        }
        let document = Arc::new(document);
        Ok(Compiled {
            namespace: header.namespace,
            name: header.name,
            version: header.version,
            title: header.title,
            summary: header.summary,
            tags: header.tags,
            document: document.clone(),
            graph: Arc::new(Graph { nodes: self.nodes }),
            expressions: Arc::new(self.table.finish(document, self.definitions)),
            functions: self.functions,
            warnings: self.warnings,
        })
    }

    /// Compiles something whose nodes and expressions nobody needs, for its problems.
    pub(super) fn rehearse(&mut self, rehearsal: impl FnOnce(&mut Self, NodeId)) {
        let (nodes, functions) = (self.nodes.len(), self.functions.len());
        let parent = NodeId(0);
        rehearsal(self, parent);
        self.nodes.truncate(nodes);
        self.definitions.truncate(nodes);
        self.functions.truncate(functions);
        self.jumps.clear();
    }
}
