//! Evaluation during one step of a workflow: here what is bounded, the rest by way of a memo.
//!
//! The shell applies an event; where an expression needs the pool, [`MemoEvaluator`] answers
//! [`Evaluation::Pending`] and keeps the question. The shell has the pool answer it, appends the
//! answer to its memo and applies the same event again: the questions come in the same order.

use std::cell::Cell;
use std::sync::Arc;

use planaria_kernel::Json;
use planaria_kernel::definition::{
    Evaluated, Evaluation, Evaluator, ExpressionId, SchemaId, Scope,
};

use super::finish::{self, Answer, ProgramResult};
use super::program::Program;
use super::schema::{self, Schema};
use super::table::{Expression, ExpressionTable, Finish};
use super::{arguments, bounded, value};

/// Inputs and arguments up to this size are evaluated in the process itself.
pub const IN_PROCESS_BYTES_MAX: usize = 64 * 1024;

/// The largest result of an expression, unless told otherwise.
pub const OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// A question for the pool: everything that it needs to know.
#[derive(Clone, Debug)]
pub struct EvaluationRequest {
    pub(crate) work: Work,
    pub(crate) output_bytes_max: usize,
}

/// What the pool shall do.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Run the programs of an expression, each with its arguments, on one input.
    Programs { expression: Arc<Expression>, arguments: Vec<Vec<Json>>, input: Json },
    /// Validate a document.
    Schema { schema: Arc<Schema>, value: Json },
}

/// An evaluator for one application of an event.
pub struct MemoEvaluator<'a> {
    table: &'a ExpressionTable,
    memo: &'a [Answer],
    asked: usize,
    pending: Option<EvaluationRequest>,
    output_bytes_max: usize,
}

impl<'a> MemoEvaluator<'a> {
    /// An evaluator that knows the pool's answers so far, in the order of the questions.
    #[must_use]
    pub const fn new(table: &'a ExpressionTable, memo: &'a [Answer]) -> Self {
        let output_bytes_max = OUTPUT_BYTES_MAX;
        Self { table, memo, asked: 0, pending: None, output_bytes_max }
    }

    /// The same with another limit on results, in bytes.
    #[must_use]
    pub const fn with_output_bytes_max(mut self, output_bytes_max: usize) -> Self {
        self.output_bytes_max = output_bytes_max;
        self
    }

    /// The question that was answered with [`Evaluation::Pending`], if there was one.
    pub fn take_pending(&mut self) -> Option<EvaluationRequest> {
        self.pending.take()
    }

    /// The answer to an expression; `None` = pending.
    fn answer(&mut self, id: ExpressionId, scope: &Scope<'_>) -> Option<Answer> {
        let table = self.table;
        let Some(expression) = table.expression(id) else {
            return Some(Err(format!("the definition has no expression {}", id.0)));
        };
        if let Finish::Constant(value) = &expression.finish {
            return Some(Ok(value.clone()));
        }
        if let Some(results) = self.here(expression, scope) {
            let max = self.output_bytes_max;
            return Some(finish::finish(&expression.finish, results, scope.value, max));
        }
        self.ask(|| Work::Programs {
            expression: expression.clone(),
            arguments: expression
                .programs
                .iter()
                .map(|program| {
                    let arguments = program.arguments.iter();
                    arguments.map(|argument| arguments::value(table, scope, argument)).collect()
                })
                .collect(),
            input: scope.value.clone(),
        })
    }

    /// Looks the next question up in the memo, or keeps it.
    fn ask(&mut self, work: impl FnOnce() -> Work) -> Option<Answer> {
        let position = self.asked;
        self.asked += 1;
        if let Some(answer) = self.memo.get(position) {
            return Some(answer.clone());
        }
        if self.pending.is_none() {
            let output_bytes_max = self.output_bytes_max;
            self.pending = Some(EvaluationRequest { work: work(), output_bytes_max });
        }
        None
    }

    /// Runs the programs here, if all of them are bounded and there is not too much to do.
    fn here(&self, expression: &Expression, scope: &Scope<'_>) -> Option<Vec<ProgramResult>> {
        let all_bounded = expression.programs.iter().all(|program| program.filter.is_some());
        if !all_bounded || scope.value.len() > IN_PROCESS_BYTES_MAX {
            return None;
        }
        if expression.programs.is_empty() {
            return Some(Vec::new());
        }
        let input = value::read(scope.value.as_bytes()).ok()?;
        let steps = Cell::new(bounded::STEPS_MAX);
        let run = |program: &Arc<Program>| self.run(program, scope, &input, &steps);
        expression.programs.iter().map(run).collect()
    }

    /// Runs one program here; `None` = it is for the pool after all.
    fn run(
        &self,
        program: &Program,
        scope: &Scope<'_>,
        input: &jaq_json::Val,
        steps: &Cell<usize>,
    ) -> Option<ProgramResult> {
        let mut values = Vec::with_capacity(program.arguments.len());
        for argument in &program.arguments {
            let text = arguments::value(self.table, scope, argument);
            if text.len() > IN_PROCESS_BYTES_MAX {
                return None;
            }
            // Reading costs as well: about a step for that many bytes.
            steps.set(steps.get().checked_sub(text.len() / 64)?);
            values.push(value::read(text.as_bytes()).ok()?);
        }
        match bounded::run(program.filter.as_ref()?, &values, input.clone(), steps) {
            bounded::Outcome::Value(result) => {
                let written = value::write(&result, self.output_bytes_max);
                let bytes = written.as_ref().map_or(self.output_bytes_max, Vec::len);
                steps.set(steps.get().checked_sub(bytes / 64)?);
                Some(written)
            }
            bounded::Outcome::Failed(message) => Some(Err(message)),
            bounded::Outcome::Escalate => None,
        }
    }
}

impl Evaluator for MemoEvaluator<'_> {
    fn evaluate(&mut self, expression: ExpressionId, scope: &Scope<'_>) -> Evaluation {
        match self.answer(expression, scope) {
            None => Evaluation::Pending,
            Some(Ok(value)) => Evaluation::Done(Evaluated::Value(value)),
            Some(Err(message)) => Evaluation::Failed(message),
        }
    }

    fn items(&mut self, expression: ExpressionId, scope: &Scope<'_>) -> Evaluation {
        match self.answer(expression, scope).map(|answer| answer.and_then(|v| finish::items(&v))) {
            None => Evaluation::Pending,
            Some(Ok(items)) => Evaluation::Done(Evaluated::Items(items)),
            Some(Err(message)) => Evaluation::Failed(message),
        }
    }

    fn validate(&mut self, id: SchemaId, value: &Json) -> Evaluation {
        let Some(schema) = self.table.schema(id) else {
            return Evaluation::Failed(format!("the definition has no schema {}", id.0));
        };
        let answer = match schema.here(value.len()) {
            Some(validator) => {
                Some(schema::validate(validator, &value.to_value()).map(|()| value.clone()))
            }
            None => self.ask(|| Work::Schema { schema: schema.clone(), value: value.clone() }),
        };
        match answer {
            None => Evaluation::Pending,
            Some(Ok(_)) => Evaluation::Done(Evaluated::Value(value.clone())),
            Some(Err(message)) => Evaluation::Failed(message),
        }
    }
}
