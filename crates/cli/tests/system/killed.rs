//! Any process is killed and started again at any moment: nothing is lost, nothing done twice.

use std::time::Instant;

use planaria_proto::types::v1::Phase;
use rustix::process::Signal;

use crate::processes::Processes;
use crate::{ask, workload};

const WORKFLOWS: usize = 200;
/// How often the process is killed; the workflows that have completed by then are drawn.
const KILLS: usize = 3;
const WORKERS: [&str; 2] = ["worker-1", "worker-2"];

/// Kills one process again and again while the workflows run.
async fn survive(name: &str) {
    let mut processes = Processes::start(&WORKERS).await;
    let client = processes.client.clone();
    processes.alive(&WORKERS).await;
    workload::publish(&client).await;
    let seed = fastrand::u64(..);
    println!("{name}: seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let began = Instant::now();
    let killing = kill_again_and_again(&mut processes, name, &mut random);
    let (ids, outages) = tokio::join!(workload::start(&client, WORKFLOWS, seed), killing);
    let complete =
        async || (ask::count(&client, Phase::Completed).await == WORKFLOWS).then_some(());
    ask::until("all have completed", complete).await;
    let took = began.elapsed();

    let (mut failures, mut losses) = (0, 0);
    for (n, id) in ids.iter().enumerate() {
        let troubles = workload::check(n, &ask::history(&client, id).await);
        failures += troubles.failures;
        losses += troubles.losses;
    }
    println!(
        "{name}: {WORKFLOWS} workflows completed in {took:.1?}, {failures} failures retried, \
         {losses} attempts lost; killed {KILLS} times, at (completed, ms until it listened again) \
         {outages:?}"
    );
}

/// Kills it at drawn moments, and starts it again at once: how many workflows had completed, and
/// how many milliseconds passed until it listened again.
async fn kill_again_and_again(
    processes: &mut Processes,
    name: &str,
    random: &mut fastrand::Rng,
) -> Vec<(usize, u128)> {
    let client = processes.client.clone();
    let stretch = (WORKFLOWS - 20) / KILLS;
    let mut outages = Vec::new();
    for kill in 0..KILLS {
        let completed = kill * stretch + random.usize(..stretch);
        let reached =
            async || (ask::count(&client, Phase::Completed).await >= completed).then_some(());
        ask::until(&format!("{completed} workflows have completed"), reached).await;
        let killed = Instant::now();
        processes.end(name, Signal::KILL).await;
        processes.restart(name).await;
        outages.push((completed, killed.elapsed().as_millis()));
    }
    outages
}

macro_rules! killed {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                survive($name).await;
            }
        )*
    };
}

killed! {
    gateway: "gateway";
    orchestrator: "orchestrator";
    worker: "worker-1";
    failure_detector: "failure-detector";
    retry_engine: "retry-engine";
    notification: "notification";
    monitoring: "monitoring";
}
