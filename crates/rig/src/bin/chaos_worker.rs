//! `chaos-worker`: a worker whose functions keep a ledger, and misbehave as they are told.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use planaria_rig::journal::{Journal, now_ms};
use planaria_sdk::{Context, RetryPolicy, TaskError, Worker};
use serde::{Deserialize, Serialize};
use serde_json::json;

const CAPACITY: u32 = 64;
/// So many of a hundred attempts of the flaky function fail.
const FAILURES_PERCENT: u64 = 30;
const VERSION: &str = "1.0.0";

#[derive(Debug, Deserialize)]
struct Arguments {
    n: i64,
    #[serde(default)]
    ms: u64,
}

#[derive(Debug, Serialize)]
struct Output {
    n: i64,
    /// Who executed which attempt: worker:incarnation:attempt.
    by: String,
}

/// What every function has.
#[derive(Clone)]
struct Ledger {
    journal: Journal,
    born: Instant,
    worker: String,
    incarnation: String,
}

impl Ledger {
    async fn line(&self, what: &str, context: &Context) {
        let line = json!({
            "at_ms": now_ms(),
            "mono_us": u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX),
            "what": what,
            "worker": self.worker,
            "incarnation": self.incarnation,
            "workflow": context.workflow_id(),
            "task": context.task(),
            "key": context.idempotency_key(),
            "attempt": context.attempt(),
        });
        self.journal.write(&line).await;
    }

    fn by(&self, context: &Context) -> String {
        format!("{}:{}:{}", self.worker, self.incarnation, context.attempt())
    }

    async fn step(self, context: Context, arguments: Arguments) -> Result<Output, TaskError> {
        self.line("start", &context).await;
        tokio::time::sleep(Duration::from_millis(arguments.ms)).await;
        self.line("finish", &context).await;
        Ok(Output { n: arguments.n + 1, by: self.by(&context) })
    }

    async fn flaky(self, context: Context, arguments: Arguments) -> Result<Output, TaskError> {
        self.line("start", &context).await;
        let drawn = hash(context.idempotency_key(), context.attempt());
        if drawn % 100 < FAILURES_PERCENT {
            self.line("fail", &context).await;
            return Err(TaskError::retryable("drawn to fail"));
        }
        self.line("finish", &context).await;
        Ok(Output { n: arguments.n + 1, by: self.by(&context) })
    }

    /// Its first attempt never ends; the worker's heart beats on.
    async fn hang(self, context: Context, arguments: Arguments) -> Result<Output, TaskError> {
        self.line("start", &context).await;
        if context.attempt() == 1 {
            context.cancellation().cancelled().await;
            return Err(TaskError::retryable("told to stop"));
        }
        self.line("finish", &context).await;
        Ok(Output { n: arguments.n + 1, by: self.by(&context) })
    }

    /// Takes its worker with it.
    async fn poison(self, context: Context, _: Arguments) -> Result<Output, TaskError> {
        self.line("start", &context).await;
        std::process::abort();
    }
}

/// The same for the same attempt, whoever executes it (FNV-1a).
fn hash(key: &str, attempt: u32) -> u64 {
    let bytes = key.bytes().chain(attempt.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [id, gateway, ledger, key] = &words[..] else { return ExitCode::FAILURE };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let Ok(runtime) = runtime.worker_threads(2).enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(run(id, gateway, PathBuf::from(ledger), key)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(
    id: &str,
    gateway: &str,
    folder: PathBuf,
    key: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let incarnation = std::process::id().to_string();
    let journal = Journal::open(&folder.join(format!("{id}.{incarnation}.jsonl")))?;
    let ledger = Ledger { journal, born: Instant::now(), worker: id.to_owned(), incarnation };
    let [step, flaky, hang, poison] = std::array::from_fn(|_| ledger.clone());
    let quick = RetryPolicy {
        delay: Duration::from_millis(200),
        factor: 2.0,
        delay_max: Duration::from_secs(2),
        attempts_max: 20,
    };
    let mut worker = Worker::builder(gateway)
        .id(id)
        .capacity(CAPACITY)
        .function("chaos-step", VERSION, move |c, a| step.clone().step(c, a))
        .function("chaos-flaky", VERSION, move |c, a| flaky.clone().flaky(c, a))
        .function("chaos-hang", VERSION, move |c, a| hang.clone().hang(c, a))
        .function("chaos-poison", VERSION, move |c, a| poison.clone().poison(c, a))
        .retry_policy("chaos-flaky", quick);
    if !key.is_empty() {
        worker = worker.api_key(key);
    }
    worker.build()?.run_until_signal().await?;
    Ok(())
}
