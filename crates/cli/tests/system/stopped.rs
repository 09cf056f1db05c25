//! A worker is stopped for longer than its lease, and wakes as a zombie: nothing it says counts.

use std::time::{Duration, Instant};

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use rustix::process::Signal;

use crate::ask;
use crate::figures::Times;
use crate::hands::{self, Hands};
use crate::processes::{Processes, outage_since};

const ATTEMPTS: usize = 20;
const STOP: Duration = Duration::from_secs(15);
const ZOMBIE: &str = "zombie";

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_replaced_while_it_sleeps_and_refused_when_it_wakes() {
    let processes = Processes::start(&[ZOMBIE]).await;
    let client = processes.client.clone();
    // Its functions are over when it wakes: it has 20 results to report.
    ask::put(&client, &hands::held("PT8S")).await;
    processes.alive(&[ZOMBIE]).await;
    let workflows = hands::start(&client, ATTEMPTS).await;
    let busy = ask::worker(&client, ZOMBIE, "runs all", |zombie| zombie.attempts.len() == ATTEMPTS);
    let session = busy.await.session_id;
    let mut hands = Hands::start(&processes.uri, "hands", 64).await;
    ask::worker(&client, "hands", "listed", |_| true).await;

    let stopped = Instant::now();
    processes.signal(ZOMBIE, Signal::STOP);
    let begun = hands.begun(ATTEMPTS).await;
    let times = Times::of(hands::since(stopped, &begun, &workflows));
    println!("SIGSTOP of a worker with {ATTEMPTS} attempts: running elsewhere after {times}");
    assert!(times.percentile(100) <= Duration::from_secs(4), "{times}");

    outage_since(stopped, STOP).await;
    processes.signal(ZOMBIE, Signal::CONT);
    // It found out: another session, and nothing left of the old one. The tasks are still open,
    // on their second attempt: had a result of the first counted, a workflow had completed.
    ask::worker(&client, ZOMBIE, "has begun anew", |zombie| {
        zombie.session_id != session && zombie.attempts.is_empty()
    })
    .await;
    assert_eq!(ask::count(&client, Phase::Completed).await, 0);
    hands.release();
    for workflow in &workflows {
        let ended = ask::ended(&client, workflow).await;
        assert_eq!(&ended.output.unwrap().data[..], b"\"ours\"");
        let history = ask::history(&client, workflow).await;
        let completions = history.iter().filter_map(|event| match event.event.as_ref()? {
            Event::TaskCompleted(completed) => completed.execution.as_ref(),
            _ => None,
        });
        let by: Vec<_> = completions.map(|by| (by.attempt, by.worker_id.as_str())).collect();
        assert_eq!(by, [(2, "hands")]);
    }
    let log = processes.log(ZOMBIE);
    let late = log.matches("came too late").count();
    println!("woken after {STOP:?}: {late} results reported and refused, the others given up");
    hands.leave().await;
}
