//! Who is pronounced dead, how fast, and who is not.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mesh;

use std::time::{Duration, Instant};

use mesh::{Mesh, Worker, attempt, connect, listen, soon, start_detector, unsent};
use planaria_failure_detector::Config;
use planaria_proto::failure_detector::v1::{ForgetSessionRequest, ListWorkersRequest, Liveness};
use planaria_proto::types::v1::Signal;

async fn liveness(mesh: &Mesh, worker: &str) -> Liveness {
    let request = ListWorkersRequest::default();
    let listed = mesh.client().await.list_workers(request).await.unwrap().into_inner();
    let worker = listed.workers.into_iter().find(|listed| listed.id == worker);
    worker.map_or(Liveness::Unspecified, |worker| worker.liveness())
}

#[tokio::test]
async fn a_killed_worker_is_dead_within_400_ms_and_its_neighbour_lives() {
    let mut mesh = Mesh::start(Config::default()).await;
    let killed = Worker::connect(mesh.address, "killed", "1").await.keep_beating();
    let _other = Worker::connect(mesh.address, "other", "1").await.keep_beating();
    let before = Instant::now();
    drop(killed);
    let verdict = mesh.verdict().await;
    assert!(before.elapsed() < Duration::from_millis(400), "{:?}", before.elapsed());
    assert_eq!(verdict.session_id, "session-killed-1");
    assert_eq!(verdict.signal(), Signal::StreamLost);
    assert_eq!(verdict.attempt_id, "");
    assert!(verdict.signal_at.is_some());
    mesh.quiet(1_000).await;
    assert_eq!(liveness(&mesh, "killed").await, Liveness::Dead);
    assert_eq!(liveness(&mesh, "other").await, Liveness::Alive);
}

/// Of beats that arrive together the later one is heard; the earlier was its first all the same.
#[tokio::test]
async fn a_killed_worker_whose_first_beats_were_merged_is_dead_at_once_too() {
    let mut mesh = Mesh::start(Config::default()).await;
    // Whether two are merged is chance, once in two.
    for incarnation in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        let id = format!("killed-{incarnation}");
        let message = unsent(&id, incarnation);
        let before = Instant::now();
        drop(Worker::open_with(connect(mesh.address).await, message, 2).await);
        assert_eq!(mesh.verdict().await.session_id, format!("session-{id}-{incarnation}"));
        assert!(before.elapsed() < Duration::from_millis(400), "{:?}", before.elapsed());
    }
}

#[tokio::test]
async fn a_silent_worker_is_dead_in_about_two_seconds() {
    let mut mesh = Mesh::start(Config::default()).await;
    let mut silent = Worker::connect(mesh.address, "silent", "1").await;
    silent.beat_until(|answer| answer.sequence >= 4).await;
    let before = Instant::now();
    let verdict = mesh.verdict().await;
    let after = before.elapsed();
    assert!((1_500..2_600).contains(&after.as_millis()), "{after:?}");
    assert_eq!(verdict.signal(), Signal::HeartbeatsStopped);
    // It wakes: its session is over.
    assert!(silent.beat().await.session_gone);
}

#[tokio::test]
async fn a_stream_that_is_resumed_in_time_harms_nobody() {
    let mut mesh = Mesh::start(Config::default()).await;
    let channel = connect(mesh.address).await;
    let worker = Worker::connect(mesh.address, "worker", "1").await;
    let message = worker.message.clone();
    drop(worker);
    let _resumed = Worker::open(channel, message).await.keep_beating();
    mesh.quiet(2_500).await;
    assert_eq!(liveness(&mesh, "worker").await, Liveness::Alive);
}

#[tokio::test]
async fn an_end_without_a_goodbye_is_death_and_with_one_it_is_not() {
    let mut mesh = Mesh::start(Config::default()).await;
    Worker::connect(mesh.address, "mute", "1").await.half_close().await;
    assert_eq!(mesh.verdict().await.session_id, "session-mute-1");

    let polite = Worker::connect(mesh.address, "polite", "1").await;
    let session_id = polite.message.session_id.clone();
    let goodbye = ForgetSessionRequest { session_id, left: true };
    mesh.evidence().await.forget_session(goodbye).await.unwrap();
    polite.half_close().await;
    mesh.quiet(500).await;
    assert_eq!(liveness(&mesh, "polite").await, Liveness::Left);
}

#[tokio::test]
async fn a_new_incarnation_ends_the_old_one_at_once() {
    let mut mesh = Mesh::start(Config::default()).await;
    let mut old = Worker::connect(mesh.address, "worker", "1").await;
    let _new = Worker::connect(mesh.address, "worker", "2").await;
    let verdict = mesh.verdict().await;
    assert_eq!(verdict.session_id, "session-worker-1");
    assert_eq!(verdict.signal(), Signal::NewIncarnation);
    assert!(old.beat().await.session_gone);
    assert_eq!(liveness(&mesh, "worker").await, Liveness::Alive);
}

#[tokio::test]
async fn an_attempt_without_progress_is_stalled_and_its_worker_is_not_dead() {
    let mut mesh = Mesh::start(Config::default()).await;
    let mut worker = Worker::connect(mesh.address, "worker", "1").await;
    let timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    worker.message.attempts = vec![attempt("hangs", 7), attempt("works", 0)];
    for attempt in &mut worker.message.attempts {
        attempt.progress_timeout = timeout;
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    let verdict = soon(async {
        loop {
            tokio::select! {
                verdict = mesh.verdicts.recv() => return verdict.unwrap(),
                _ = ticks.tick() => {
                    worker.message.attempts[1].progress_count += 1;
                    worker.beat().await;
                }
            }
        }
    });
    let verdict = verdict.await;
    assert_eq!((verdict.attempt_id.as_str(), verdict.signal()), ("hangs", Signal::Stalled));
    assert_eq!(verdict.session_id, "session-worker-1");
    assert_eq!(liveness(&mesh, "worker").await, Liveness::Alive);
}

#[tokio::test]
async fn a_restarted_detector_kills_nobody() {
    let mut mesh = Mesh::start(Config::default()).await;
    let worker = Worker::connect(mesh.address, "worker", "1").await;
    let gone = Worker::connect(mesh.address, "gone", "1").await;
    let message = worker.message.clone();
    mesh.restart_detector(Config::default()).await;
    drop((worker, gone));
    let resumed = Worker::open(connect(mesh.address).await, message).await;
    // It breaks again while the detector only looks on, and comes back.
    let message = resumed.message.clone();
    drop(resumed);
    mesh.quiet(1_000).await;
    let _resumed = Worker::open(connect(mesh.address).await, message).await.keep_beating();
    mesh.quiet(4_000).await;
    assert_eq!(liveness(&mesh, "worker").await, Liveness::Alive);
    assert_eq!(liveness(&mesh, "gone").await, Liveness::Unspecified);
}

#[tokio::test]
async fn a_verdict_is_repeated_until_an_orchestrator_accepts_it() {
    let mut mesh = Mesh::start(Config::default()).await;
    let worker = Worker::connect(mesh.address, "worker", "1").await;
    *mesh.told.failures.lock().unwrap() = 4;
    drop(worker);
    assert_eq!(mesh.verdict().await.session_id, "session-worker-1");
    mesh.quiet(1_000).await;
}

/// The detector runs on a thread of its own, which is blocked as by SIGSTOP.
#[tokio::test(flavor = "multi_thread")]
async fn a_detector_that_was_stopped_holds_its_verdicts() {
    let mut mesh = Mesh::start(Config::default()).await;
    let listener = listen().await.into_std().unwrap();
    let address = listener.local_addr().unwrap();
    let directory = mesh.directory.clone();
    let (block, blocked) = std::sync::mpsc::channel::<std::sync::mpsc::Receiver<()>>();
    let (poke, mut poked) = tokio::sync::mpsc::channel::<()>(1);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let config = Config { observe_only_ms: 2_000, ..Config::default() };
            let _running = start_detector(config, directory, listener).await;
            // Each poke blocks the whole runtime until the other side lets go.
            while poked.recv().await.is_some() {
                let released = blocked.recv().unwrap();
                let _released = released.recv();
            }
        });
    });
    let _beating = Worker::connect(address, "beating", "1").await.keep_beating();
    let resetting = Worker::connect(address, "resetting", "1").await;
    let message = resetting.message.clone();
    let resetting = resetting.keep_beating();
    let (release, released) = std::sync::mpsc::channel::<()>();
    block.send(released).unwrap();
    poke.send(()).await.unwrap();
    mesh.quiet(500).await;
    // While the detector is stopped, one worker loses its stream and resumes.
    drop(resetting);
    let resumed =
        tokio::spawn(
            async move { Worker::open(connect(address).await, message).await.keep_beating() },
        );
    mesh.quiet(2_500).await;
    drop(release);
    let _resumed = soon(resumed).await.unwrap();
    mesh.quiet(3_000).await;
    drop(poke);
    soon(tokio::task::spawn_blocking(|| thread.join().unwrap())).await.unwrap();
}
