//! A worker is told to leave: its attempts run elsewhere at once, and nobody is charged.

use std::time::{Duration, Instant};

use planaria_proto::types::v1::Phase;
use rustix::process::Signal;

use crate::ask;
use crate::figures::Times;
use crate::hands::{self, Hands};
use crate::processes::Processes;

const ATTEMPTS: usize = 20;
const ROUNDS: usize = 5;
const LEAVER: &str = "leaver";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leaving_worker_ran_runs_elsewhere_at_once() {
    let mut processes = Processes::start(&[LEAVER]).await;
    let client = processes.client.clone();
    ask::put(&client, &hands::held("PT60S")).await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        if round > 0 {
            processes.restart(LEAVER).await;
        }
        processes.alive(&[LEAVER]).await;
        let workflows = hands::start(&client, ATTEMPTS).await;
        ask::worker(&client, LEAVER, "runs all", |worker| worker.attempts.len() == ATTEMPTS).await;
        let id = format!("hands-{round}");
        let mut hands = Hands::start(&processes.uri, &id, 64).await;
        ask::worker(&client, &id, "listed", |_| true).await;

        let told = Instant::now();
        processes.signal(LEAVER, Signal::TERM);
        let begun = hands.begun(ATTEMPTS).await;
        times.extend(hands::since(told, &begun, &workflows));
        let ended = processes.gone(LEAVER).await;
        assert!(ended.success(), "{ended}");
        hands.release();
        for workflow in &workflows {
            let ended = ask::ended(&client, workflow).await;
            let task = &ended.tasks[0];
            assert_eq!(ended.phase(), Phase::Completed);
            assert_eq!((task.attempts, task.losses, task.failures), (2, 0, 0), "{task:?}");
        }
        hands.leave().await;
    }
    let log = processes.log("failure-detector");
    assert!(log.contains("worker left") && !log.contains("without a goodbye"), "{log}");
    let times = Times::of(times);
    println!("SIGTERM of a worker with {ATTEMPTS} attempts: running elsewhere after {times}");
    assert!(times.percentile(99) < Duration::from_millis(300), "{times}");
}
