//! A service goes away for some seconds while workers are busy: nobody is pronounced dead for it.

use std::time::{Duration, Instant};

use planaria_proto::failure_detector::v1::Liveness;
use planaria_proto::types::v1::Phase;
use planaria_runtime::clock;
use rustix::process::Signal;

use crate::ask;
use crate::figures::ms;
use crate::hands::{self, Hands};
use crate::processes::{Processes, outage_since};

const WORKERS: usize = 20;
const CAPACITY: usize = 2;
/// From the signal until it is started again.
const OUTAGE: Duration = Duration::from_millis(2_500);
/// When all workers have beaten for so long after the restart, nothing is pending any more: longer
/// than a gateway's grace.
const SETTLED_MS: u64 = 7_000;

async fn nobody_dies(name: &str) {
    let mut processes = Processes::start(&[]).await;
    let client = processes.client.clone();
    ask::put(&client, &hands::held("PT60S")).await;
    let mut hands = Vec::new();
    for n in 0..WORKERS {
        let capacity = u32::try_from(CAPACITY).unwrap();
        hands.push(Hands::start(&processes.uri, &format!("hands-{n}"), capacity).await);
    }
    let workflows = hands::start(&client, WORKERS * CAPACITY).await;
    for hands in &mut hands {
        hands.begun(CAPACITY).await;
    }
    let sessions = |hands: &[Hands]| -> Vec<_> {
        hands.iter().map(|hands| hands.handle.session_id()).collect()
    };
    let before = sessions(&hands);

    for signal in [Signal::KILL, Signal::TERM] {
        let told = Instant::now();
        processes.end(name, signal).await;
        let ended = told.elapsed();
        assert!(ended < OUTAGE, "{name} took {ended:?} to end by {signal:?}");
        outage_since(told, OUTAGE).await;
        processes.restart(name).await;
        let (back, back_ms) = (told.elapsed(), clock::now_ms());
        let settled = async || {
            let workers = ask::workers(&client).await;
            let beats = workers.iter().filter(|worker| {
                let beat = worker.last_beat_at.as_ref().map_or(0, ms);
                worker.liveness() == Liveness::Alive && beat > back_ms + SETTLED_MS
            });
            let dead: Vec<_> = workers.iter().filter(|w| w.liveness() == Liveness::Dead).collect();
            assert!(dead.is_empty(), "{name} {signal:?}: {dead:#?}");
            (beats.count() == WORKERS).then_some(())
        };
        ask::until("every worker has beaten for a while", settled).await;
        println!("{name}: {signal:?}, gone after {ended:.1?}, back after {back:.1?}");
        assert_eq!(sessions(&hands), before, "sessions changed by {signal:?}");
    }
    for workflow in &workflows {
        let task = ask::get(&client, workflow).await.tasks.swap_remove(0);
        assert_eq!((task.attempts, task.losses), (1, 0), "{task:?}");
    }
    for hands in &hands {
        hands.release();
    }
    for workflow in &workflows {
        assert_eq!(ask::ended(&client, workflow).await.phase(), Phase::Completed);
    }
    println!(
        "{name}: {WORKERS} workers with {} attempts went on, none pronounced dead, none re-run",
        WORKERS * CAPACITY
    );
    for hands in hands {
        hands.leave().await;
    }
}

macro_rules! restarted {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                nobody_dies($name).await;
            }
        )*
    };
}

restarted! {
    gateway: "gateway";
    orchestrator: "orchestrator";
    failure_detector: "failure-detector";
    retry_engine: "retry-engine";
    notification: "notification";
    monitoring: "monitoring";
}
