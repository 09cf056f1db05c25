//! A worker is killed: how long until its attempts run on another.

use std::time::{Duration, Instant};

use planaria_proto::types::v1::{HealingAction, Phase};
use planaria_runtime::clock;
use rustix::process::Signal;

use crate::ask;
use crate::figures::{Times, ms};
use crate::hands::{self, Hands};
use crate::processes::Processes;

const ATTEMPTS: usize = 20;
const ROUNDS: usize = 5;
const VICTIM: &str = "victim";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_ran_runs_elsewhere_at_once() {
    let mut processes = Processes::start(&[VICTIM]).await;
    let client = processes.client.clone();
    ask::put(&client, &hands::held("PT60S")).await;
    let (mut started, mut recorded) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round > 0 {
            processes.restart(VICTIM).await;
        }
        processes.alive(&[VICTIM]).await;
        let workflows = hands::start(&client, ATTEMPTS).await;
        let busy = |worker: &planaria_proto::failure_detector::v1::Worker| {
            worker.attempts.len() == ATTEMPTS
        };
        ask::worker(&client, VICTIM, "runs all", busy).await;
        let id = format!("hands-{round}");
        let mut hands = Hands::start(&processes.uri, &id, 64).await;
        ask::worker(&client, &id, "listed", |_| true).await;

        let (kill, kill_ms) = (Instant::now(), clock::now_ms());
        processes.signal(VICTIM, Signal::KILL);
        let begun = hands.begun(ATTEMPTS).await;
        started.extend(hands::since(kill, &begun, &workflows));
        processes.gone(VICTIM).await;
        ask::worker(&client, &id, "runs all", busy).await;
        hands.release();
        for workflow in &workflows {
            let ended = ask::ended(&client, workflow).await;
            let task = &ended.tasks[0];
            assert_eq!(ended.phase(), Phase::Completed);
            assert_eq!((task.attempts, task.losses, task.failures), (2, 1, 0), "{task:?}");
            assert_eq!(task.worker_id, id);
        }
        let all_healed = async || {
            let mut healings = ask::healings(&client).await;
            healings.retain(|healing| healing.new_worker == id && healing.healed_at.is_some());
            (healings.len() == ATTEMPTS).then_some(healings)
        };
        for healing in ask::until("every healing is recorded", all_healed).await {
            assert_eq!(healing.action(), HealingAction::Rerun, "{healing:?}");
            assert_eq!(healing.lost_worker, VICTIM);
            let healed = ms(healing.healed_at.as_ref().unwrap()).saturating_sub(kill_ms);
            recorded.push(Duration::from_millis(healed));
        }
        hands.leave().await;
    }
    let (started, recorded) = (Times::of(started), Times::of(recorded));
    println!("SIGKILL of a worker with {ATTEMPTS} attempts: running elsewhere after {started}");
    println!("the same as the healings tell it: {recorded}");
    assert!(started.percentile(50) <= Duration::from_millis(300), "{started}");
    assert!(started.percentile(99) <= Duration::from_secs(1), "{started}");
}
