//! `chaos-worker`: a worker whose functions keep a ledger, and misbehave as they are told.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use planaria_rig::journal::{Journal, now_ms};
use planaria_sdk::{Context, RetryPolicy, TaskError, Worker};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context as Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

const CAPACITY: u32 = 64;
/// So many of a hundred attempts of the flaky function fail.
const FAILURES_PERCENT: u64 = 30;
const VERSION: &str = "1.0.0";

#[derive(Debug, Deserialize)]
struct Arguments {
    n: i64,
    #[serde(default)]
    ms: u64,
    /// The far side is away until then.
    #[serde(default)]
    until_ms: u64,
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
    fn fill(&self, what: &str, mut line: Value) -> Value {
        line["at_ms"] = now_ms().into();
        line["mono_us"] = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX).into();
        line["what"] = what.into();
        line["worker"] = self.worker.as_str().into();
        line["incarnation"] = self.incarnation.as_str().into();
        line
    }

    async fn line(&self, what: &str, context: &Context) {
        let about = json!({
            "workflow": context.workflow_id(),
            "task": context.task(),
            "key": context.idempotency_key(),
            "attempt": context.attempt(),
        });
        self.journal.write(&self.fill(what, about)).await;
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

    /// What it calls is away for a while, for everybody.
    async fn down(self, context: Context, arguments: Arguments) -> Result<Output, TaskError> {
        self.line("start", &context).await;
        if now_ms() < arguments.until_ms {
            self.line("fail", &context).await;
            return Err(TaskError::retryable("the far side is away"));
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

/// Writes into the ledger what the engine says to results that are reported again.
struct Repetitions(Ledger);

impl<S: tracing::Subscriber> Layer<S> for Repetitions {
    fn on_event(&self, event: &tracing::Event<'_>, _: Layered<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.0.get("message").is_some_and(|message| message == "reported again") {
            self.0.journal.tell(&self.0.fill("again", Value::Object(fields.0)));
        }
    }
}

/// The fields of an event, as they are in the ledger.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
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
    let reports = Targets::new().with_target("planaria_sdk", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(Repetitions(ledger.clone()).with_filter(reports)).init();
    let [step, flaky, hang, down, poison] = std::array::from_fn(|_| ledger.clone());
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
        .function("chaos-down", VERSION, move |c, a| down.clone().down(c, a))
        .retry_policy("chaos-flaky", quick)
        .retry_policy("chaos-down", quick);
    if !key.is_empty() {
        worker = worker.api_key(key);
    }
    worker.build()?.run_until_signal().await?;
    Ok(())
}
