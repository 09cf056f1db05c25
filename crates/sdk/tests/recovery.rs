//! A worker survives the engine: restarts, lost sessions, silence; and keeps its heart beating.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::Engine;
use planaria_sdk::{CancellationToken, Context, Error, Worker, WorkerBuilder};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

fn builder(engine: &Engine) -> WorkerBuilder {
    Worker::builder(engine.url()).id("worker-1").cancel_grace(Duration::from_millis(50))
}

fn run(builder: WorkerBuilder) -> JoinHandle<Result<(), Error>> {
    tokio::spawn(builder.build().unwrap().run(CancellationToken::new()))
}

/// A function that ends when the gate opens, and counts how often it began.
fn gated(builder: WorkerBuilder) -> (WorkerBuilder, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, count) = (Arc::clone(&gate), Arc::clone(&begun));
    let function = move |_: Context, (): ()| {
        let gate = Arc::clone(&open);
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.acquire().await?.forget();
            Ok("done")
        }
    };
    (builder.function("wait", "1.0.0", function), gate, begun)
}

fn has_attempts(state: &engine::State, count: usize) -> bool {
    state.beats.last().is_some_and(|(_, beat)| beat.attempts.len() == count)
}

#[tokio::test]
async fn attempts_outlive_a_restart_and_their_results_arrive_once() {
    let mut engine = Engine::start();
    let (builder, gate, begun) = gated(builder(&engine));
    let _worker = run(builder);
    let before = engine.assign("wait", "null").await;
    let during = engine.assign("wait", "null").await;
    engine.until("both in a beat", |state| has_attempts(state, 2)).await;
    engine.kill();
    let beats = engine.state().beats.len();
    // One of them ends while nobody listens.
    gate.add_permits(1);
    engine.restart();
    engine.until("beats again", |state| state.beats.len() > beats).await;
    engine.until("one result", |state| state.results.len() == 1).await;
    engine.until("one left", |state| has_attempts(state, 1)).await;
    gate.add_permits(1);
    assert_eq!(engine.output(&before).await, json!("done"));
    assert_eq!(engine.output(&during).await, json!("done"));
    assert_eq!(begun.load(Ordering::SeqCst), 2, "nothing ran twice");
    assert_eq!(engine.state().session.as_deref(), Some("session-1"), "the same session");
    // Work goes on over new streams.
    gate.add_permits(1);
    let after = engine.assign("wait", "null").await;
    engine.output(&after).await;
}

#[tokio::test]
async fn broken_streams_are_back_within_the_time_that_nobody_is_harmed() {
    let mut engine = Engine::start();
    let (builder, _gate, _) = gated(builder(&engine));
    let _worker = run(builder);
    engine.until_ready().await;
    engine.kill();
    engine.restart();
    let restarted = Instant::now();
    let beats = engine.state().beats.len();
    engine.until("a beat", |state| state.beats.len() > beats).await;
    engine.until("a stream", |state| !state.pulls.is_empty()).await;
    let took = restarted.elapsed();
    assert!(took < Duration::from_millis(150), "{took:?}");
    let state = engine.state();
    assert!(state.beats[beats].1.facts.is_some(), "each stream begins with the facts");
    let sequences: Vec<_> = state.beats.iter().map(|(_, beat)| beat.sequence).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
}

#[tokio::test]
async fn the_first_beat_that_is_heard_is_number_one() {
    let engine = Engine::start();
    engine.change(|state| state.refuse_beats = 2);
    let (builder, _gate, _) = gated(builder(&engine));
    let _worker = run(builder);
    engine.until("beats", |state| state.beats.len() >= 2).await;
    let state = engine.state();
    assert_eq!(state.refuse_beats, 0);
    let sequences: Vec<_> = state.beats.iter().take(2).map(|(_, beat)| beat.sequence).collect();
    assert_eq!(sequences, [1, 2]);
}

#[tokio::test]
async fn after_the_session_is_gone_a_new_one_begins_with_nothing() {
    for by_heartbeat in [true, false] {
        let mut engine = Engine::start();
        let (builder, gate, _) = gated(builder(&engine));
        let _worker = run(builder);
        let lost = engine.assign("wait", "null").await;
        engine.until("it in a beat", |state| has_attempts(state, 1)).await;
        engine.change(|state| {
            state.closed.push("session-1".into());
            state.session = None;
            state.gone = by_heartbeat;
        });
        if !by_heartbeat {
            // The pull stream breaks, and is refused when it comes again.
            engine.kill();
            engine.restart();
        }
        engine.until("another session", |state| state.opened.len() == 2).await;
        engine
            .until("an empty inventory", |state| {
                let (_, beat) = state.beats.last().unwrap();
                beat.session_id == "session-2" && beat.attempts.is_empty()
            })
            .await;
        engine.until_ready().await;
        gate.add_permits(2);
        let next = engine.assign("wait", "null").await;
        engine.output(&next).await;
        let state = engine.state();
        assert!(state.results.iter().all(|result| result.token != lost.as_bytes()));
        assert_eq!(state.opened[0].incarnation, state.opened[1].incarnation);
    }
}

#[tokio::test]
async fn without_renewals_the_worker_renews_itself() {
    let engine = Engine::start();
    engine.change(|state| {
        state.renew = false;
        state.lease = Duration::from_secs(6);
    });
    let (builder, gate, begun) = gated(builder(&engine));
    let _worker = run(builder);
    let id = engine.assign("wait", "null").await;
    engine.until("two renewals", |state| state.renewals.len() == 2).await;
    assert_eq!(engine.state().renewals[0].attempt_ids, [id.as_str()]);
    assert_eq!(engine.state().routed[0], ("RenewSession", "replica-1".to_owned()));
    gate.add_permits(1);
    engine.output(&id).await;
    assert_eq!(begun.load(Ordering::SeqCst), 1, "it was never stopped");
}

#[tokio::test]
async fn a_worker_that_cannot_renew_stops_its_functions_before_the_lease_ends() {
    let engine = Engine::start();
    engine.change(|state| {
        state.renew = false;
        state.refuse_renewals = true;
        state.lease = Duration::from_secs(3);
    });
    let (builder, gate, _) = gated(builder(&engine));
    let _worker = run(builder);
    let id = engine.assign("wait", "null").await;
    let assigned = Instant::now();
    engine.until("it in a beat", |state| has_attempts(state, 1)).await;
    engine.until("an empty inventory", |state| has_attempts(state, 0)).await;
    assert!(assigned.elapsed() < Duration::from_secs(3), "{:?}", assigned.elapsed());
    engine.change(|state| state.renew = true);
    gate.add_permits(2);
    let next = engine.assign("wait", "null").await;
    engine.insist(&next).await;
    engine.output(&next).await;
    assert!(engine.state().results.iter().all(|result| result.token != id.as_bytes()));
}

#[tokio::test]
async fn nothing_begins_when_the_lease_is_nearly_over() {
    let engine = Engine::start();
    engine.change(|state| {
        state.renew = false;
        state.refuse_renewals = true;
        state.lease = Duration::from_secs(3);
    });
    // Functions that are slow to stop keep their slots: what comes after them waits.
    let builder = builder(&engine).capacity(2).cancel_grace(Duration::from_secs(60));
    let (builder, gate, begun) = gated(builder);
    let _worker = run(builder);
    for _ in 0..2 {
        engine.assign("wait", "null").await;
    }
    engine.until("both in a beat", |state| has_attempts(state, 2)).await;
    engine.until("an empty inventory", |state| has_attempts(state, 0)).await;
    let waiting = engine.assign("wait", "null").await;
    engine.until("the next in a beat", |state| has_attempts(state, 1)).await;
    // Now there is a slot for it, and no lease.
    gate.add_permits(1);
    engine.until("it is forgotten", |state| has_attempts(state, 0)).await;
    assert_eq!(begun.load(Ordering::SeqCst), 2);
    // Renewed, the same attempt is handed out again, as by the engine that misses it.
    engine.change(|state| state.renew = true);
    gate.add_permits(2);
    engine.insist(&waiting).await;
    engine.output(&waiting).await;
    assert_eq!(begun.load(Ordering::SeqCst), 3);
    assert_eq!(engine.state().results.len(), 1, "what was stopped has no result");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_heart_keeps_its_pace_while_functions_keep_every_thread() {
    const BURN: Duration = Duration::from_secs(3);
    let engine = Engine::start();
    let burn = async |_: Context, (): ()| {
        let began = Instant::now();
        let mut count = 0_u64;
        while began.elapsed() < BURN {
            count = std::hint::black_box(count + 1);
        }
        Ok(count)
    };
    let _worker = run(builder(&engine).function("burn", "1.0.0", burn));
    let mut ids = Vec::new();
    let began = Instant::now();
    for _ in 0..4 {
        ids.push(engine.assign("burn", "null").await);
    }
    for id in &ids {
        engine.output(id).await;
    }
    let ended = Instant::now();
    let state = engine.state();
    let during = state.beats.iter().map(|(at, _)| *at).filter(|at| *at > began && *at < ended);
    let beats: Vec<_> = during.collect();
    let gaps = beats.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.max().expect("beats");
    // Four burners, the engine and the heart share few cores; a starved heart would pause for 3 s.
    assert!(longest < Duration::from_millis(600), "{longest:?}");
    assert!(ended - began >= BURN && beats.len() > 20, "{} beats", beats.len());
}
