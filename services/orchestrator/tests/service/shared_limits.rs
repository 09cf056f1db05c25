//! Limits over several orchestrators, one of which is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use planaria_proto::task::v1::{Acceptance, Assignment, Result as TaskResult};
use planaria_proto::types::v1::Phase;
use serde_json::json;
use tokio::time::Instant;

use crate::limits::{limit, put};
use crate::replicas::Replicas;
use crate::worker::{Worker, output_of};
use crate::world::{PATIENCE, eventually, pause_of};

/// How long an attempt takes.
const ATTEMPT: Duration = Duration::from_millis(40);

/// What is seen from outside.
#[derive(Default)]
struct Seen {
    running: AtomicUsize,
    most: AtomicUsize,
    done: AtomicUsize,
}

/// Executes what it gets, several at once, and counts.
async fn work(mut worker: Worker, seen: Arc<Seen>) {
    let mut held: Vec<(Instant, Assignment)> = Vec::new();
    let mut beats = tokio::time::interval(Duration::from_millis(100));
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let due = held.iter().map(|(due, _)| *due).min();
        let due = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
        tokio::select! {
            biased;
            task = worker.next() => {
                let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
                seen.most.fetch_max(running, Ordering::SeqCst);
                held.push((Instant::now() + ATTEMPT, task));
            }
            () = pause_of(due.saturating_duration_since(Instant::now())) => {
                let at = held.iter().position(|(at, _)| *at == due).expect("it is due");
                let (_, task) = held.swap_remove(at);
                seen.running.fetch_sub(1, Ordering::SeqCst);
                let report = output_of(&task, &json!(null));
                assert_eq!(accepted(&mut worker, report).await, Acceptance::Accepted);
                seen.done.fetch_add(1, Ordering::SeqCst);
            }
            _ = beats.tick() => {
                let tasks: Vec<&Assignment> = held.iter().map(|(_, task)| task).collect();
                // While a shard moves, nothing is said of its attempts.
                drop(worker.renew(&tasks).await);
            }
        }
    }
}

/// Reports until somebody answers: the shard may be on the move.
async fn accepted(worker: &mut Worker, report: TaskResult) -> Acceptance {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(answers) = worker.try_report(vec![report.clone()]).await {
            return answers[0];
        }
        assert!(Instant::now() < deadline, "nobody takes the report");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orchestrators_keep_a_limit_together_and_over_a_kill() {
    let mut replicas = Replicas::prepared(3, async |first| put(first, limit(4)).await).await;
    let task = "  - work: { call: charge }";
    replicas.all[0].publish("limited", task).await;
    let seen = Arc::new(Seen::default());
    let mut workers = Vec::new();
    for (at, name) in [(1, "one"), (2, "other")] {
        let worker = Worker::new(&replicas.all[at], name, &["charge"]).await;
        workers.push(tokio::spawn(work(worker, seen.clone())));
    }
    let mut ids = Vec::new();
    for n in 0..60 {
        ids.push(replicas.all[n % 3].start_workflow("limited", json!(n)).await);
    }
    eventually("a third is done", async || (seen.done.load(Ordering::SeqCst) >= 20).then_some(()))
        .await;
    assert!(seen.done.load(Ordering::SeqCst) < 60, "there is a middle");
    replicas.all[0].kill();
    for id in &ids {
        replicas.all[1].until(id, Phase::Completed).await;
    }
    for worker in workers {
        assert!(!worker.is_finished(), "a worker failed: {:?}", worker.await);
        worker.abort();
    }
    let most = seen.most.load(Ordering::SeqCst);
    assert!(most <= 4, "{most} ran at once");
    assert!(most >= 2, "the limit is used: {most}");
}
