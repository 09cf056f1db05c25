//! Where expressions run that are not bounded: small processes that may die.
//!
//! Each evaluates one expression at a time, in an empty environment, under limits that it set
//! itself, and is ended when the expression has used its share of processor time. No namespace
//! holds more than half of them.

mod child;
mod frame;
mod queue;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::expression::finish::{self, Answer, ProgramResult};
use crate::expression::{EvaluationRequest, Work};
pub(crate) use frame::{Hello, Reply, Request};
use queue::Queue;

/// How the pool's processes are started and limited.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The program that is started; it must end in [`crate::evaluator_child::main`].
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How many processes there are at most; two at least.
    pub children_max: usize,
    /// How many evaluations wait at most.
    pub queue_max: usize,
    /// How many of those may be of one namespace.
    pub queue_per_namespace_max: usize,
    /// Processor time of one evaluation, in milliseconds.
    pub cpu_ms_max: u64,
    /// Time of one evaluation by the clock, in milliseconds: only against a process that hangs.
    pub wall_ms_max: u64,
    /// Address space of a process in bytes.
    pub memory_bytes_max: u64,
    /// Length of a question or an answer in bytes.
    pub frame_bytes_max: usize,
}

impl PoolConfig {
    /// The defaults with this program as the evaluator.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self {
            program,
            arguments,
            children_max: 4,
            queue_max: 1024,
            queue_per_namespace_max: 256,
            cpu_ms_max: 100,
            wall_ms_max: 10_000,
            memory_bytes_max: 256 * 1024 * 1024,
            frame_bytes_max: 8 * 1024 * 1024,
        }
    }

    /// The defaults with the running program as the evaluator, started with
    /// [`crate::evaluator_child::ARGUMENT`].
    ///
    /// # Errors
    /// If the path of the running program is not known.
    pub fn of_this_program() -> std::io::Result<Self> {
        let argument = crate::evaluator_child::ARGUMENT.into();
        Ok(Self::new(std::env::current_exe()?, vec![argument]))
    }
}

/// A pool of evaluators. Cheap to clone; processes start with the first evaluation and end with
/// the last clone.
#[derive(Clone)]
pub struct ExpressionPool {
    config: Arc<PoolConfig>,
    queue: Arc<Queue>,
}

impl std::fmt::Debug for ExpressionPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ExpressionPool").field("config", &self.config).finish()
    }
}

impl ExpressionPool {
    /// A pool without processes yet.
    #[must_use]
    pub fn new(config: PoolConfig) -> Self {
        let queue = Queue::new(
            config.children_max.max(2),
            config.queue_max,
            config.queue_per_namespace_max,
        );
        Self { config: Arc::new(config), queue: Arc::new(queue) }
    }

    /// Has a question answered. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// What is wrong with the expression, or that it used more than its share of time or memory,
    /// or that too many wait already: the detail of an `expression` error.
    pub async fn evaluate(&self, namespace: &str, request: EvaluationRequest) -> Answer {
        let asked = Request::encode(&request);
        if asked.len() > self.config.frame_bytes_max {
            let most = self.config.frame_bytes_max;
            return Err(format!(
                "the expression's input and arguments have more than {most} bytes"
            ));
        }
        let results = self.exchange(namespace, &asked).await?;
        settle(request, results)
    }

    /// How many processes are alive, for metrics.
    #[must_use]
    pub fn children(&self) -> usize {
        self.queue.children()
    }

    async fn exchange(&self, namespace: &str, asked: &[u8]) -> Result<Vec<ProgramResult>, String> {
        let mut grant = self.queue.enter(namespace).await?;
        let child = grant.take();
        let mut child = match child {
            Some(child) => child,
            None => child::Child::start(&self.config).await?,
        };
        let share = child::Share {
            cpu: Duration::from_millis(self.config.cpu_ms_max),
            wall: Duration::from_millis(self.config.wall_ms_max),
            reply_bytes_max: self.config.frame_bytes_max,
        };
        // If this future is dropped here, the child is dropped with it, which ends it.
        let reply = child.ask(asked, &share).await?;
        if child.is_reusable() {
            grant.put(child);
        }
        Reply::decode(&reply)
    }
}

/// The answer from what the programs yielded.
fn settle(request: EvaluationRequest, results: Vec<ProgramResult>) -> Answer {
    match request.work {
        Work::Programs { expression, input, .. } => {
            finish::finish(&expression.finish, results, &input, request.output_bytes_max)
        }
        Work::Schema { value, .. } => {
            results.into_iter().next().unwrap_or_else(|| Ok(Vec::new())).map(|_| value)
        }
    }
}
