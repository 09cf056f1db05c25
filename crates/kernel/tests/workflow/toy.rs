//! A toy language of expressions, and its evaluator, which can keep one waiting.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use planaria_kernel::Json;
use planaria_kernel::definition::{
    Evaluated, Evaluation, Evaluator, ExpressionId, SchemaId, Scope,
};
use serde_json::{Map, Value, json};

/// An expression.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    /// The document itself.
    Literal(Value),
    /// A path: `.`, `.a.b`, `$input.a`, `$output`, `$context.a`, `$task.input`, `$task.output`,
    /// `$workflow.input`, or `$name` of a variable. What is not there is null.
    Path(&'static str),
    /// An object of expressions.
    Object(Vec<(&'static str, Expression)>),
    /// The first, an array, with the second as one more element.
    Append(Box<Expression>, Box<Expression>),
    /// Whether both are equal.
    Equal(Box<Expression>, Box<Expression>),
    /// The sum of two numbers (null counts as 0).
    Sum(Box<Expression>, Box<Expression>),
    /// It fails.
    Fail(&'static str),
    /// A number that depends on all that is visible: the same for the same scope.
    Chance(Box<ChanceOf>),
}

/// What a number is turned into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChanceOf {
    /// Tells equal expressions apart.
    pub(crate) salt: u8,
    /// What it yields.
    pub(crate) yields: Yield,
}

/// What [`Expression::Chance`] yields.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Yield {
    /// A truth, and rarely a failure.
    Truth,
    /// A small object, and rarely a failure.
    Document,
    /// Up to three items, and rarely a failure.
    Items,
    /// Milliseconds, and rarely something that is no length of time.
    Length,
    /// An error object, and rarely something that is none.
    Error,
}

/// Checks that a schema can ask for.
#[derive(Clone, Debug)]
pub(crate) enum Schema {
    /// The document has that member.
    Has(&'static str),
}

pub(crate) fn literal(value: Value) -> Expression {
    Expression::Literal(value)
}

pub(crate) fn path(path: &'static str) -> Expression {
    Expression::Path(path)
}

pub(crate) fn object(members: Vec<(&'static str, Expression)>) -> Expression {
    Expression::Object(members)
}

pub(crate) fn append(list: Expression, item: Expression) -> Expression {
    Expression::Append(Box::new(list), Box::new(item))
}

pub(crate) fn equal(left: Expression, right: Expression) -> Expression {
    Expression::Equal(Box::new(left), Box::new(right))
}

pub(crate) fn sum(left: Expression, right: Expression) -> Expression {
    Expression::Sum(Box::new(left), Box::new(right))
}

pub(crate) fn chance(salt: u8, yields: Yield) -> Expression {
    Expression::Chance(Box::new(ChanceOf { salt, yields }))
}

/// The tables that a compiled definition's numbers point into.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) expressions: Vec<Expression>,
    pub(crate) schemas: Vec<Schema>,
}

/// The evaluator.
#[derive(Clone, Debug)]
pub(crate) struct Toy {
    tables: Arc<Tables>,
    /// How often, at most, each question is answered with Pending first; 0 = never.
    pub(crate) pending_max: u64,
    asked: HashMap<u64, u64>,
    /// Questions asked so far.
    pub(crate) questions: usize,
}

impl Toy {
    pub(crate) fn new(tables: Arc<Tables>) -> Self {
        Self { tables, pending_max: 0, asked: HashMap::new(), questions: 0 }
    }

    /// The first so many askings of a question are answered with Pending.
    fn is_pending(&mut self, question: u64) -> bool {
        self.questions += 1;
        if self.pending_max == 0 {
            return false;
        }
        let asked = self.asked.entry(question).or_default();
        *asked += 1;
        *asked <= question % (self.pending_max + 1)
    }
}

impl Evaluator for Toy {
    fn evaluate(&mut self, expression: ExpressionId, scope: &Scope<'_>) -> Evaluation {
        if self.is_pending(fingerprint(expression.0, scope)) {
            return Evaluation::Pending;
        }
        match value_of(&self.tables.expressions[expression.0 as usize], scope) {
            Ok(value) => Evaluation::Done(Evaluated::Value(Json::from_value(&value))),
            Err(detail) => Evaluation::Failed(detail),
        }
    }

    fn items(&mut self, expression: ExpressionId, scope: &Scope<'_>) -> Evaluation {
        match self.evaluate(expression, scope) {
            Evaluation::Done(Evaluated::Value(value)) => match value.to_value() {
                Value::Array(items) => {
                    Evaluation::Done(Evaluated::Items(items.iter().map(Json::from_value).collect()))
                }
                other => Evaluation::Failed(format!("{other} is not an array")),
            },
            other => other,
        }
    }

    fn validate(&mut self, schema: SchemaId, value: &Json) -> Evaluation {
        let mut hasher = DefaultHasher::new();
        (schema, value).hash(&mut hasher);
        if self.is_pending(hasher.finish()) {
            return Evaluation::Pending;
        }
        let Schema::Has(member) = self.tables.schemas[schema.0 as usize];
        match value.to_value().get(member) {
            Some(_) => Evaluation::Done(Evaluated::Value(value.clone())),
            None => Evaluation::Failed(format!("{member} is missing")),
        }
    }
}

fn value_of(expression: &Expression, scope: &Scope<'_>) -> Result<Value, String> {
    match expression {
        Expression::Literal(value) => Ok(value.clone()),
        Expression::Path(path) => Ok(look_up(path, scope)),
        Expression::Object(members) => {
            let mut object = Map::new();
            for (key, member) in members {
                object.insert((*key).to_owned(), value_of(member, scope)?);
            }
            Ok(Value::Object(object))
        }
        Expression::Append(list, item) => {
            let mut items = match value_of(list, scope)? {
                Value::Array(items) => items,
                Value::Null => Vec::new(),
                other => return Err(format!("{other} is not an array")),
            };
            items.push(value_of(item, scope)?);
            Ok(Value::Array(items))
        }
        Expression::Equal(left, right) => {
            Ok(Value::Bool(value_of(left, scope)? == value_of(right, scope)?))
        }
        Expression::Sum(left, right) => {
            let number = |value: Value| value.as_i64().unwrap_or_default();
            Ok(json!(number(value_of(left, scope)?) + number(value_of(right, scope)?)))
        }
        Expression::Fail(detail) => Err((*detail).to_owned()),
        Expression::Chance(of) => chance_of(**of, scope),
    }
}

fn look_up(path: &str, scope: &Scope<'_>) -> Value {
    let optional = |document: Option<&Json>| document.map_or(Value::Null, Json::to_value);
    let (root, rest) = if let Some(rest) = path.strip_prefix("$workflow.input") {
        (scope.workflow_input.to_value(), rest)
    } else if let Some(rest) = path.strip_prefix("$task.input") {
        (scope.task_input.to_value(), rest)
    } else if let Some(rest) = path.strip_prefix("$task.output") {
        (optional(scope.task_output), rest)
    } else if let Some(rest) = path.strip_prefix("$input") {
        (optional(scope.input), rest)
    } else if let Some(rest) = path.strip_prefix("$output") {
        (optional(scope.output), rest)
    } else if let Some(rest) = path.strip_prefix("$context") {
        (scope.context.to_value(), rest)
    } else if let Some(variable) = path.strip_prefix('$') {
        let (name, rest) = variable.split_at(variable.find('.').unwrap_or(variable.len()));
        let innermost = scope.variables.iter().rev().find(|(known, _)| &**known == name);
        (innermost.map_or(Value::Null, |(_, value)| value.to_value()), rest)
    } else {
        (scope.value.to_value(), path)
    };
    let mut found = root;
    for key in rest.split('.').filter(|key| !key.is_empty()) {
        found = found.get(key).cloned().unwrap_or(Value::Null);
    }
    found
}

/// What tells two questions apart.
fn fingerprint(expression: u32, scope: &Scope<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (expression, scope.node, scope.value, scope.input, scope.output).hash(&mut hasher);
    (scope.context, scope.task_input, scope.task_output, scope.variables).hash(&mut hasher);
    hasher.finish()
}

fn chance_of(of: ChanceOf, scope: &Scope<'_>) -> Result<Value, String> {
    let number = fingerprint(u32::from(of.salt), scope);
    let rare = number >> 32 & 0xF == 0;
    let small = number % 4;
    match of.yields {
        _ if rare && matches!(of.yields, Yield::Truth | Yield::Document | Yield::Items) => {
            Err("by chance".to_owned())
        }
        Yield::Truth => Ok(Value::Bool(small != 0)),
        Yield::Document => Ok(json!({ "n": small })),
        Yield::Items => Ok((0..small).map(|n| json!({ "n": n })).collect()),
        Yield::Length if rare => Ok(json!("soon")),
        Yield::Length => Ok(json!(number % 5_000)),
        Yield::Error if rare => Ok(json!("no error object")),
        Yield::Error => Ok(json!({ "type": format!("urn:{}", small % 2), "status": 400 + small })),
    }
}
