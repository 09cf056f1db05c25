//! Replicas come and go under load: nobody notices but the replicas.

use std::time::{Duration, Instant};

use planaria_proto::types::v1::{Phase, Signal as Cause};
use planaria_proto::workflow::v1::history_event::Event;
use rustix::process::Signal;

use crate::load::{Load, Started};
use crate::processes::Processes;
use crate::{ask, workload};

const WORKERS: [&str; 2] = ["worker-1", "worker-2"];
/// A new replica has its share of the new workflows this long after it listens.
const SHARED_AFTER: Duration = Duration::from_secs(5);
/// Shares are counted over this long.
const WINDOW: Duration = Duration::from_secs(2);
/// What each of three replicas gets at the least, in percent.
const SHARE: usize = 20;

/// Waits until so much of the load is behind a moment.
async fn reached(load: &Load, moment: Instant) {
    let far = moment + Duration::from_secs(60);
    ask::until("the load goes on", async || (!load.between(moment, far).is_empty()).then_some(()))
        .await;
}

/// All have completed with the right output; how many attempts were handed on on the way, and
/// which of them were charged to their tasks.
async fn check(processes: &Processes, started: &[Started]) -> (usize, Vec<String>) {
    let client = &processes.client;
    let (mut handed_on, mut charged) = (0, Vec::new());
    for one in started {
        assert_eq!(ask::ended(client, &one.id).await.phase(), Phase::Completed, "{one:?}");
        let history = ask::history(client, &one.id).await;
        workload::check(one.n, &history);
        for event in &history {
            let Some(Event::AttemptLost(lost)) = &event.event else { continue };
            handed_on += 1;
            if !matches!(lost.signal(), Cause::Drained | Cause::LostDelivery) {
                charged.push(format!("{} {lost:?}", one.id));
            }
        }
    }
    (handed_on, charged)
}

#[tokio::test(flavor = "multi_thread")]
async fn orchestrators_come_and_go_under_load() {
    let more = ["orchestrator-2", "orchestrator-3"];
    let mut processes = Processes::start_replicas(&more, &WORKERS, &more, None).await;
    processes.alive(&WORKERS).await;
    workload::publish(&processes.client).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let load = Load::begin(&[processes.uri.clone()], seed);
    reached(&load, Instant::now() + WINDOW).await;

    for name in more {
        processes.restart(name).await;
    }
    let grown = Instant::now();
    let counted = (grown + SHARED_AFTER, grown + SHARED_AFTER + WINDOW);
    reached(&load, counted.1).await;
    let shares = load.shares(counted.0, counted.1);
    let total: usize = shares.values().sum();
    assert!(
        shares.len() == 3 && shares.values().all(|share| share * 100 >= total * SHARE),
        "of {total}: {shares:?}"
    );
    let second = Duration::from_secs(1);
    let shared = (0..50).map(|n| Duration::from_millis(n * 100)).find(|after| {
        let shares = load.shares(grown + *after, grown + *after + second);
        let total: usize = shares.values().sum();
        shares.len() == 3 && shares.values().all(|share| share * 100 >= total * SHARE)
    });

    for name in more {
        let status = processes.end(name, Signal::TERM).await;
        assert!(status.success(), "{name}: {status}");
    }
    reached(&load, Instant::now() + WINDOW).await;
    let (started, calls) = load.end().await;
    let (handed_on, charged) = check(&processes, &started).await;
    println!(
        "1 to 3 to 1 orchestrators: {} calls, {} of them tried twice, none failed; shares after \
         {SHARED_AFTER:?}: {shares:?}, the first second with all above {SHARE} % began {shared:?} \
         after the new ones listened; {} workflows complete, {handed_on} attempts handed on",
        calls.calls,
        calls.retried.len(),
        started.len(),
    );
    assert_eq!(calls.failed, [""; 0], "{calls:#?}");
    assert_eq!(charged, [""; 0], "what was handed over is not lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_is_restarted_in_turn_under_load() {
    let more = [
        "gateway-2",
        "orchestrator-2",
        "failure-detector-2",
        "retry-engine-2",
        "notification-2",
        "monitoring-2",
    ];
    let mut processes = Processes::start_replicas(&more, &WORKERS, &[], None).await;
    processes.alive(&WORKERS).await;
    workload::publish(&processes.client).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let gateways = ["gateway", "gateway-2"].map(|name| processes.uri_of(name));
    let load = Load::begin(&gateways, seed);
    let began = Instant::now();
    reached(&load, began + WINDOW).await;
    for name in crate::processes::SERVICES.iter().chain(&more).chain(&WORKERS) {
        let status = processes.end(name, Signal::TERM).await;
        assert!(status.success(), "{name}: {status}");
        processes.restart(name).await;
        reached(&load, Instant::now() + Duration::from_secs(1)).await;
    }
    let took = began.elapsed();
    let (started, calls) = load.end().await;
    let (handed_on, charged) = check(&processes, &started).await;
    println!(
        "fourteen processes restarted in turn within {took:.1?}: {} calls, {} of them tried twice, \
         {} failed; {} workflows complete, {handed_on} attempts handed on",
        calls.calls,
        calls.retried.len(),
        calls.failed.len(),
        started.len(),
    );
    assert_eq!(calls.failed, [""; 0], "{calls:#?}");
    assert_eq!(charged, [""; 0], "every attempt was handed back");
}
