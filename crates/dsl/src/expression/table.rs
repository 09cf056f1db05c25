//! The expressions of a compiled definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use planaria_kernel::Json;
use planaria_kernel::definition::{ExpressionId, NodeId, SchemaId};

use super::Skeleton;
use super::program::Program;
use super::schema::Schema;

/// All expressions, templates and schemas of a definition, by the numbers in its graph.
#[derive(Debug)]
pub struct ExpressionTable {
    pub(crate) programs: Vec<Arc<Program>>,
    expressions: Vec<Arc<Expression>>,
    schemas: Vec<Arc<Schema>>,
    /// The document as JSON, for `$workflow.definition`.
    pub(crate) document: Arc<serde_json::Value>,
    /// Where in the document the task of a node is defined, by the node's number.
    pub(crate) definitions: Vec<String>,
}

impl ExpressionTable {
    pub(crate) fn expression(&self, id: ExpressionId) -> Option<&Arc<Expression>> {
        self.expressions.get(id.0 as usize)
    }

    pub(crate) fn schema(&self, id: SchemaId) -> Option<&Arc<Schema>> {
        self.schemas.get(id.0 as usize)
    }

    /// The task of a node as it stands in the document; null for what stands in none.
    pub(crate) fn definition(&self, node: NodeId) -> &serde_json::Value {
        let pointer = self.definitions.get(node.0 as usize);
        pointer
            .and_then(|pointer| self.document.pointer(pointer))
            .unwrap_or(&serde_json::Value::Null)
    }

    /// How many programs there are, and how many of them always need the pool.
    #[must_use]
    pub fn programs(&self) -> (usize, usize) {
        let pooled = self.programs.iter().filter(|program| program.filter.is_none()).count();
        (self.programs.len(), pooled)
    }
}

/// What an expression number stands for.
#[derive(Debug)]
pub(crate) struct Expression {
    /// The programs that it needs, which its finish refers to by position.
    pub(crate) programs: Vec<Arc<Program>>,
    /// How their results become the expression's.
    pub(crate) finish: Finish,
}

/// How results of programs become the result of an expression.
#[derive(Debug)]
pub(crate) enum Finish {
    /// There is nothing to evaluate.
    Constant(Json),
    /// They fill a template.
    Value(Skeleton),
    /// The one result is a duration, wanted in milliseconds.
    Duration,
    /// Each attribute of an event must match.
    Filter(Vec<Attribute>),
}

/// What one attribute of an event must be.
#[derive(Debug)]
pub(crate) struct Attribute {
    /// The attribute's name, e.g. `type`.
    pub(crate) name: String,
    /// What it must be. A program's result that is a boolean decides by itself.
    pub(crate) expected: Skeleton,
}

/// Collects expressions while a document is compiled.
#[derive(Default)]
pub(crate) struct TableBuilder {
    programs: BTreeMap<(String, Vec<Arc<str>>), Arc<Program>>,
    expressions: Vec<Arc<Expression>>,
    schemas: Vec<Arc<Schema>>,
}

impl TableBuilder {
    /// How many different programs there are.
    pub(crate) fn len(&self) -> usize {
        self.programs.len()
    }

    /// The program of that text among those variables, if it was compiled before.
    pub(crate) fn known(&self, text: &str, variables: &[Arc<str>]) -> Option<Arc<Program>> {
        self.programs.get(&(text.to_owned(), variables.to_vec())).cloned()
    }

    /// Remembers a compiled program.
    pub(crate) fn remember(&mut self, variables: &[Arc<str>], program: Program) -> Arc<Program> {
        let key = (program.text.to_string(), variables.to_vec());
        let program = Arc::new(program);
        self.programs.insert(key, program.clone());
        program
    }

    /// Adds an expression.
    pub(crate) fn add(&mut self, programs: Vec<Arc<Program>>, finish: Finish) -> ExpressionId {
        let id = u32::try_from(self.expressions.len()).unwrap_or(u32::MAX);
        let finish = match finish {
            Finish::Value(Skeleton::Literal(text)) => {
                Finish::Constant(Json::from_valid(text.into_bytes().into()))
            }
            other => other,
        };
        self.expressions.push(Arc::new(Expression { programs, finish }));
        ExpressionId(id)
    }

    /// Adds a schema.
    pub(crate) fn add_schema(&mut self, schema: Schema) -> SchemaId {
        let id = u32::try_from(self.schemas.len()).unwrap_or(u32::MAX);
        self.schemas.push(Arc::new(schema));
        SchemaId(id)
    }

    /// The finished table.
    pub(crate) fn finish(
        self,
        document: Arc<serde_json::Value>,
        definitions: Vec<String>,
    ) -> ExpressionTable {
        ExpressionTable {
            programs: self.programs.into_values().collect(),
            expressions: self.expressions,
            schemas: self.schemas,
            document,
            definitions,
        }
    }
}
