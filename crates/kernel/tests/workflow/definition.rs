//! Definitions for tests: a tree of tasks, compiled to the machine's graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use planaria_kernel::definition::{
    Backoff, Call, Case, Catch, DurationValue, ErrorFilter, ExpressionId, Graph, Jitter, Kind,
    Node, NodeId, Read, SchemaId, Then, TryRetry,
};

use crate::toy::{Expression, Schema, Tables};

/// One task of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) work: Work,
    pub(crate) condition: Option<Expression>,
    pub(crate) input_schema: Option<Schema>,
    pub(crate) input_from: Option<Expression>,
    pub(crate) output_as: Option<Expression>,
    pub(crate) output_schema: Option<Schema>,
    pub(crate) export_as: Option<Expression>,
    pub(crate) export_schema: Option<Schema>,
    pub(crate) timeout: Option<Length>,
    pub(crate) then: Flow,
}

/// Where control flows, by name.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    Continue,
    Exit,
    End,
    To(String),
}

/// A length of time.
#[derive(Clone, Debug)]
pub(crate) enum Length {
    Fixed(u64),
    Of(Expression),
}

/// What a task does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Do(Vec<Task>),
    Set(Expression),
    Switch(Vec<(Option<Expression>, Flow)>),
    For { items: Expression, condition: Option<Expression>, body: Vec<Task> },
    Fork { branches: Vec<Task>, compete: bool },
    Wait(Length),
    Raise(Expression),
    Try { body: Vec<Task>, catch: Box<Catching> },
    Call { arguments: Option<Expression> },
    Emit(Expression),
    Listen { filter: Expression, read: Read },
}

/// The catch of a try.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catching {
    pub(crate) errors: ErrorFilter,
    pub(crate) when: Option<Expression>,
    pub(crate) except_when: Option<Expression>,
    pub(crate) retry: Option<Retrying>,
    pub(crate) body: Option<Vec<Task>>,
    pub(crate) then: Option<Flow>,
}

/// The author's retry policy.
#[derive(Clone, Debug)]
pub(crate) struct Retrying {
    pub(crate) when: Option<Expression>,
    pub(crate) delay: Length,
    pub(crate) backoff: Backoff,
    pub(crate) jitter: Option<Jitter>,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) attempt_duration: Option<Length>,
    pub(crate) duration: Option<Length>,
}

/// Retries at once, so many times.
pub(crate) fn retrying(attempts_max: u32) -> Retrying {
    Retrying {
        when: None,
        delay: Length::Fixed(0),
        backoff: Backoff::Constant,
        jitter: None,
        attempts_max: Some(attempts_max),
        attempt_duration: None,
        duration: None,
    }
}

/// A task with nothing but its work.
pub(crate) fn task(name: impl Into<String>, work: Work) -> Task {
    Task {
        name: name.into(),
        work,
        condition: None,
        input_schema: None,
        input_from: None,
        output_as: None,
        output_schema: None,
        export_as: None,
        export_schema: None,
        timeout: None,
        then: Flow::Continue,
    }
}

/// A function task without arguments.
pub(crate) fn call(name: &str) -> Task {
    task(name, Work::Call { arguments: None })
}

/// A set.
pub(crate) fn set(name: &str, value: Expression) -> Task {
    task(name, Work::Set(value))
}

impl Task {
    pub(crate) fn then(mut self, then: Flow) -> Self {
        self.then = then;
        self
    }

    pub(crate) fn goto(self, name: &str) -> Self {
        self.then(Flow::To(name.to_owned()))
    }

    pub(crate) fn only_if(mut self, condition: Expression) -> Self {
        self.condition = Some(condition);
        self
    }

    pub(crate) fn input_from(mut self, from: Expression) -> Self {
        self.input_from = Some(from);
        self
    }

    pub(crate) fn output_as(mut self, filter: Expression) -> Self {
        self.output_as = Some(filter);
        self
    }

    pub(crate) fn export_as(mut self, export: Expression) -> Self {
        self.export_as = Some(export);
        self
    }

    pub(crate) fn timeout_ms(mut self, after: u64) -> Self {
        self.timeout = Some(Length::Fixed(after));
        self
    }
}

/// A compiled definition.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) graph: Arc<Graph>,
    pub(crate) tables: Arc<Tables>,
}

impl Definition {
    /// A workflow with that task list.
    pub(crate) fn new(tasks: Vec<Task>) -> Self {
        Self::of_root(&task("do", Work::Do(tasks)))
    }

    /// A workflow whose own properties (timeout, input, output) are those of the given list.
    pub(crate) fn of_root(root: &Task) -> Self {
        let mut compiler = Compiler::default();
        compiler.node(root, "/do".to_owned(), None, &BTreeMap::new());
        let nodes = compiler.nodes.into_iter().map(|node| node.expect("every node is filled"));
        let graph = Arc::new(Graph { nodes: nodes.collect() });
        Self { graph, tables: Arc::new(compiler.tables) }
    }
}

#[derive(Default)]
struct Compiler {
    nodes: Vec<Option<Node>>,
    tables: Tables,
}

type Names = BTreeMap<String, NodeId>;

impl Compiler {
    fn expression(&mut self, expression: &Expression) -> ExpressionId {
        self.tables.expressions.push(expression.clone());
        ExpressionId(u32::try_from(self.tables.expressions.len() - 1).unwrap())
    }

    fn maybe(&mut self, expression: Option<&Expression>) -> Option<ExpressionId> {
        expression.map(|expression| self.expression(expression))
    }

    fn schema(&mut self, schema: Option<&Schema>) -> Option<SchemaId> {
        let schema = schema?;
        self.tables.schemas.push(schema.clone());
        Some(SchemaId(u32::try_from(self.tables.schemas.len() - 1).unwrap()))
    }

    fn length(&mut self, length: &Length) -> DurationValue {
        match length {
            Length::Fixed(milliseconds) => DurationValue::Fixed(*milliseconds),
            Length::Of(expression) => DurationValue::Expression(self.expression(expression)),
        }
    }

    fn reserve(&mut self) -> NodeId {
        self.nodes.push(None);
        NodeId(u32::try_from(self.nodes.len() - 1).unwrap())
    }

    fn node(&mut self, task: &Task, at: String, parent: Option<NodeId>, names: &Names) -> NodeId {
        let id = names.get(&task.name).copied().unwrap_or_else(|| self.reserve());
        let kind = self.kind(&task.work, &at, id, names);
        let node = Node {
            reference: at.into(),
            name: task.name.as_str().into(),
            parent,
            condition: self.maybe(task.condition.as_ref()),
            input_schema: self.schema(task.input_schema.as_ref()),
            input_from: self.maybe(task.input_from.as_ref()),
            output_as: self.maybe(task.output_as.as_ref()),
            output_schema: self.schema(task.output_schema.as_ref()),
            export_as: self.maybe(task.export_as.as_ref()),
            export_schema: self.schema(task.export_schema.as_ref()),
            timeout: task.timeout.as_ref().map(|length| self.length(length)),
            then: flow(&task.then, names),
            kind,
        };
        self.nodes[id.0 as usize] = Some(node);
        id
    }

    fn list(&mut self, tasks: &[Task], at: &str, parent: NodeId) -> Vec<NodeId> {
        let names: Names = tasks.iter().map(|task| (task.name.clone(), self.reserve())).collect();
        let one = |(position, task): (usize, &Task)| {
            self.node(task, format!("{at}/{position}/{}", task.name), Some(parent), &names)
        };
        tasks.iter().enumerate().map(one).collect()
    }

    fn body(&mut self, tasks: &[Task], at: String, parent: NodeId) -> NodeId {
        let body = task(at.clone(), Work::Do(tasks.to_vec()));
        self.node(&body, at, Some(parent), &Names::new())
    }

    fn kind(&mut self, work: &Work, at: &str, id: NodeId, names: &Names) -> Kind {
        match work {
            Work::Do(tasks) => {
                // The root and bodies are lists themselves; they stand in no list.
                let at = if names.is_empty() { at.to_owned() } else { format!("{at}/do") };
                Kind::Do { children: self.list(tasks, &at, id) }
            }
            Work::Set(value) => Kind::Set { value: self.expression(value) },
            Work::Switch(cases) => {
                let one = |(when, then): &(Option<Expression>, Flow)| Case {
                    when: self.maybe(when.as_ref()),
                    then: flow(then, names),
                };
                Kind::Switch { cases: cases.iter().map(one).collect() }
            }
            Work::For { items, condition, body } => Kind::For {
                each: "item".into(),
                at: "index".into(),
                items: self.expression(items),
                condition: self.maybe(condition.as_ref()),
                body: self.body(body, format!("{at}/do"), id),
            },
            Work::Fork { branches, compete } => {
                let at = format!("{at}/fork/branches");
                Kind::Fork { branches: self.list(branches, &at, id), compete: *compete }
            }
            Work::Wait(length) => Kind::Wait { duration: self.length(length) },
            Work::Raise(error) => Kind::Raise { error: self.expression(error) },
            Work::Try { body, catch } => Kind::Try {
                body: self.body(body, format!("{at}/try"), id),
                catch: Box::new(self.catch(catch, at, id, names)),
            },
            Work::Call { arguments } => Kind::Call(Box::new(Call {
                function: "work".into(),
                version: None,
                arguments: self.maybe(arguments.as_ref()),
                queue: "default".into(),
                priority: 0,
                progress_timeout_ms: None,
                labels: BTreeMap::new(),
                retry: None,
            })),
            Work::Emit(event) => Kind::Emit { event: self.expression(event) },
            Work::Listen { filter, read } => {
                Kind::Listen { event_type: None, filter: self.expression(filter), read: *read }
            }
        }
    }

    fn catch(&mut self, catch: &Catching, at: &str, id: NodeId, names: &Names) -> Catch {
        let retry = catch.retry.as_ref().map(|retry| TryRetry {
            when: self.maybe(retry.when.as_ref()),
            except_when: None,
            delay: self.length(&retry.delay),
            backoff: retry.backoff,
            jitter: retry.jitter,
            attempts_max: retry.attempts_max,
            attempt_duration: retry.attempt_duration.as_ref().map(|length| self.length(length)),
            duration: retry.duration.as_ref().map(|length| self.length(length)),
        });
        Catch {
            errors: catch.errors.clone(),
            variable: "error".into(),
            when: self.maybe(catch.when.as_ref()),
            except_when: self.maybe(catch.except_when.as_ref()),
            retry,
            body: catch.body.as_ref().map(|body| self.body(body, format!("{at}/catch/do"), id)),
            then: catch.then.as_ref().map(|then| flow(then, names)),
        }
    }
}

fn flow(then: &Flow, names: &Names) -> Then {
    match then {
        Flow::Continue => Then::Continue,
        Flow::Exit => Then::Exit,
        Flow::End => Then::End,
        Flow::To(name) => Then::Goto(names[name]),
    }
}
