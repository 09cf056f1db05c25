//! A worker does its work: executes, reports in batches, keeps to cancellations and leaves well.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::Engine;
use planaria_proto::task::v1::Acceptance;
use planaria_proto::task::v1::result::Outcome;
use planaria_sdk::{CancellationToken, Context, Error, Payload, TaskError, Worker, WorkerBuilder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<i64>,
}

#[derive(Serialize)]
struct Sum {
    sum: i64,
    key: String,
}

fn builder(engine: &Engine) -> WorkerBuilder {
    Worker::builder(engine.url()).id("worker-1").cancel_grace(Duration::from_millis(50))
}

struct Running {
    stop: CancellationToken,
    run: JoinHandle<Result<(), Error>>,
}

fn run(builder: WorkerBuilder) -> Running {
    let stop = CancellationToken::new();
    let worker = builder.build().unwrap();
    let run = tokio::spawn(worker.run(stop.clone()));
    Running { stop, run }
}

/// Tells, when it is dropped, that a function's future is gone.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn typed_raw_and_blocking_functions_are_executed() {
    let engine = Engine::start();
    let worker = builder(&engine)
        .function("sum", "1.0.0", async |context: Context, input: Numbers| {
            let key = context.idempotency_key().to_owned();
            Ok(Sum { sum: input.numbers.iter().sum(), key })
        })
        .blocking_function("longest", "1.0.0", |_: Context, words: Vec<String>| {
            Ok(words.into_iter().max_by_key(String::len))
        })
        .raw_function("echo", "1.0.0", async |_: Context, payload: Payload| Ok(payload));
    let worker = run(worker);
    let sum = engine.assign("sum", r#"{"numbers": [1, 2, 3]}"#).await;
    let longest = engine.assign("longest", r#"["a", "abc", "ab"]"#).await;
    let echo = engine.assign("echo", r#""as it is""#).await;
    assert_eq!(engine.output(&sum).await, json!({"sum": 6, "key": "key-1"}));
    assert_eq!(engine.output(&longest).await, json!("abc"));
    assert_eq!(engine.output(&echo).await, json!("as it is"));
    worker.stop.cancel();
    worker.run.await.unwrap().unwrap();
    assert_eq!(engine.state().closed, ["session-1"]);
    // No other replica has to pass them on.
    let routed = std::mem::take(&mut engine.state().routed);
    assert!(routed.iter().all(|(_, replica)| replica == "replica-1"), "{routed:?}");
    for method in ["ReportResults", "CloseSession"] {
        assert!(routed.iter().any(|(called, _)| *called == method), "{routed:?}");
    }
}

#[tokio::test]
async fn failures_say_whether_trying_again_can_help() {
    let engine = Engine::start();
    let worker = builder(&engine)
        .function("fail", "1.0.0", async |_: Context, (): ()| {
            let error = TaskError::permanent("no").with_status(402).with_type("https://x/broke");
            Err::<(), _>(error.with_retry_after(Duration::from_secs(7)))
        })
        .function("sum", "1.0.0", async |_: Context, _: Numbers| Ok(()))
        .blocking_function("panic", "1.0.0", |context: Context, (): ()| {
            context.checkpoint("so far")?;
            assert!(context.is_cancelled(), "the blocking one panics");
            Ok(())
        })
        .function("panic-async", "1.0.0", async |_: Context, divisor: u32| Ok(1 / divisor));
    let _worker = run(worker);
    let expected = [
        ("fail", "null", 402, "no", false),
        ("sum", r#"{"numbers": 1}"#, 400, "invalid type", false),
        ("panic", "null", 500, "the blocking one panics", true),
        ("panic-async", "0", 500, "attempt to divide by zero", true),
        ("unknown", "0", 500, "no function unknown:1.0.0", false),
    ];
    for (function, arguments, status, detail, retryable) in expected {
        let id = engine.assign(function, arguments).await;
        let Outcome::Failure(failure) = engine.outcome(&id).await else { panic!("{function}") };
        let error = failure.error.unwrap();
        assert_eq!((error.status, failure.retryable), (status, retryable), "{function}");
        assert!(error.detail.contains(detail), "{function}: {}", error.detail);
        assert_eq!(failure.retry_after.is_some(), function == "fail");
        assert_eq!(failure.checkpoint.is_some(), function == "panic");
    }
}

#[tokio::test]
async fn what_ends_while_reports_are_under_way_shares_the_next_one() {
    let engine = Engine::start();
    let builder = builder(&engine).capacity(100);
    let _worker = run(builder.function("noop", "1.0.0", async |_: Context, (): ()| Ok(())));
    engine.change(|state| state.hold_reports = true);
    let mut ids = vec![engine.assign("noop", "null").await];
    engine.until("the first report", |state| state.reports_under_way == 1).await;
    ids.push(engine.assign("noop", "null").await);
    engine.until("the second report", |state| state.reports_under_way == 2).await;
    for _ in 0..50 {
        ids.push(engine.assign("noop", "null").await);
    }
    let all = |state: &engine::State| state.beats.last().unwrap().1.attempts.len() == 52;
    engine.until("all in the inventory, ended or not", all).await;
    assert_eq!(engine.state().reports_under_way, 2, "no third report at the same time");
    engine.change(|state| state.hold_reports = false);
    for id in &ids {
        engine.outcome(id).await;
    }
    let state = engine.state();
    assert!(state.reports <= 4, "{} reports for 52 results", state.reports);
}

#[tokio::test]
async fn an_output_that_is_not_taken_becomes_a_failure() {
    let engine = Engine::start();
    engine.change(|state| state.rejects = Some(b"13".to_vec()));
    let _worker = run(builder(&engine).function("n", "1.0.0", async |_: Context, n: u32| Ok(n)));
    let id = engine.assign("n", "13").await;
    let Outcome::Failure(failure) = engine.outcome(&id).await else { panic!("no failure") };
    assert!(!failure.retryable);
    assert_eq!(engine.state().verdicts, [Acceptance::Rejected, Acceptance::Accepted]);
    engine
        .until("an empty inventory", |state| {
            state.beats.last().is_some_and(|(_, beat)| beat.attempts.is_empty())
        })
        .await;
}

#[tokio::test]
async fn an_abandoned_attempt_is_stopped_and_its_result_goes_nowhere() {
    let engine = Engine::start();
    let (stopped, blocking_on) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (flag, release) = (Arc::clone(&stopped), Arc::clone(&blocking_on));
    let function = move |context: Context, (): ()| {
        let (gone, release) = (Gone(Arc::clone(&flag)), Arc::clone(&release));
        async move {
            let _gone = gone;
            context.cancellation().cancelled().await;
            // Ends within its grace, with a result that nobody wants.
            release.notify_one();
            Ok("too late")
        }
    };
    let worker = builder(&engine).function("wait", "1.0.0", function);
    let worker = run(worker.function("noop", "1.0.0", async |_: Context, (): ()| Ok(())));
    let id = engine.assign("wait", "null").await;
    let has_it = |state: &engine::State| !state.beats.last().unwrap().1.attempts.is_empty();
    engine.until("the attempt in a beat", has_it).await;
    engine.change(|state| state.abandon.push(id.clone()));
    blocking_on.notified().await;
    engine.until("a beat without it", |state| !has_it(state)).await;
    let other = engine.assign("noop", "null").await;
    engine.outcome(&other).await;
    assert!(stopped.load(Ordering::SeqCst));
    worker.stop.cancel();
    worker.run.await.unwrap().unwrap();
    assert_eq!(engine.state().results.len(), 1);
}

#[tokio::test]
async fn progress_and_checkpoints_travel_to_the_next_attempt() {
    let engine = Engine::start();
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let function = move |context: Context, (): ()| {
        let gate = Arc::clone(&open);
        async move {
            let page = context.last_checkpoint::<u32>()?.unwrap_or(0);
            context.progress(format!("page {page}"));
            context.checkpoint(&(page + 1))?;
            gate.acquire().await?.forget();
            Ok(page)
        }
    };
    let _worker = run(builder(&engine).function("pages", "1.0.0", function));
    let first = engine.assign("pages", "null").await;
    let told = |state: &engine::State| {
        let attempts = state.beats.iter().flat_map(|(_, beat)| &beat.attempts);
        attempts.filter(|attempt| attempt.checkpoint.is_some()).count()
    };
    engine.until("a checkpoint", |state| told(state) > 0).await;
    let beats = engine.state().beats.len();
    engine.until("two more beats", |state| state.beats.len() >= beats + 2).await;
    assert_eq!(told(&engine.state()), 1, "told when it changed");
    let running = engine.state().beats.last().unwrap().1.attempts[0].clone();
    assert_eq!((running.progress.as_str(), running.progress_count), ("page 0", 2));
    gate.add_permits(2);
    assert_eq!(engine.output(&first).await, json!(0));
    let data = json!(7).to_string().into();
    let left = Some(Payload { content_type: String::new(), data });
    let second = engine.assign_as("pages", "null", |assignment| assignment.checkpoint = left).await;
    assert_eq!(engine.output(&second).await, json!(7));
}

#[tokio::test]
async fn a_leaving_worker_hands_back_at_once_with_its_checkpoints() {
    for by_heartbeat in [false, true] {
        let engine = Engine::start();
        let gone = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&gone);
        let function = move |context: Context, (): ()| {
            let gone = Gone(Arc::clone(&flag));
            async move {
                let _gone = gone;
                context.checkpoint(&json!({"half": true}))?;
                std::future::pending::<()>().await;
                Ok(())
            }
        };
        let worker = run(builder(&engine).function("wait", "1.0.0", function));
        let id = engine.assign("wait", "null").await;
        let has_it = |state: &engine::State| !state.beats.last().unwrap().1.attempts.is_empty();
        engine.until("the attempt in a beat", has_it).await;
        if by_heartbeat {
            engine.change(|state| state.drain = true);
        } else {
            worker.stop.cancel();
        }
        let Outcome::Release(release) = engine.outcome(&id).await else { panic!("no release") };
        assert!(gone.load(Ordering::SeqCst), "the function ends before anybody else begins");
        assert_eq!(release.checkpoint.unwrap().data, r#"{"half":true}"#);
        worker.run.await.unwrap().unwrap();
        assert_eq!(engine.state().closed, ["session-1"]);
        assert_eq!(engine.state().beating_at_goodbye, [1], "it beats until the goodbye was heard");
    }
}

#[tokio::test]
async fn a_drain_grace_lets_attempts_end() {
    let engine = Engine::start();
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let function = move |_: Context, (): ()| {
        let gate = Arc::clone(&open);
        async move {
            gate.acquire().await?.forget();
            Ok("done")
        }
    };
    let builder = builder(&engine).drain_grace(Duration::from_secs(20));
    let worker = run(builder.function("wait", "1.0.0", function));
    let id = engine.assign("wait", "null").await;
    let has_it = |state: &engine::State| !state.beats.last().unwrap().1.attempts.is_empty();
    engine.until("the attempt in a beat", has_it).await;
    worker.stop.cancel();
    engine.until("a draining beat", |state| state.beats.last().unwrap().1.draining).await;
    let late = engine.assign("wait", "null").await;
    assert!(matches!(engine.outcome(&late).await, Outcome::Release(_)), "no new work");
    gate.add_permits(1);
    assert_eq!(engine.output(&id).await, json!("done"));
    worker.run.await.unwrap().unwrap();
}
