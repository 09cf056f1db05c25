//! Work that one orchestrator creates reaches a worker that is connected to another one.

use std::time::{Duration, Instant};

use planaria_sdk::Start;

use crate::ask;
use crate::figures::Times;
use crate::hands::{self, Hands};
use crate::load::shard_of;
use crate::processes::Processes;

/// Workflows, every other one of which is the other orchestrator's.
const WORKFLOWS: usize = 60;
/// What a test allows; the promise is less, on a machine of its own.
const WITH_REDIS: Duration = Duration::from_secs(1);
const WITHOUT_REDIS: Duration = Duration::from_secs(4);

/// Starts one after the other; how long each took from its acceptance to its first task, where the
/// worker is another orchestrator's.
async fn times(processes: &Processes, hands: &mut Hands, home: u16) -> Times {
    let mut times = Vec::new();
    for _ in 0..WORKFLOWS {
        let start = Start::new("system", "held");
        let id = processes.client.start(start).await.unwrap().workflow_id;
        let accepted = Instant::now();
        let begun = hands.begun(1).await.remove(0);
        assert_eq!(begun.workflow_id, id);
        if shard_of(&id) != home {
            times.push(begun.at.saturating_duration_since(accepted));
        }
    }
    Times::of(times)
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_one_orchestrator_reaches_a_worker_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let redis = planaria_test_servers::redis(folder.path()).unwrap();
    let more = ["orchestrator-2"];
    let processes = Processes::start_replicas(&more, &[], &[], Some(&redis.url)).await;
    ask::put(&processes.client, &hands::held("PT60S")).await;
    let capacity = u32::try_from(4 * WORKFLOWS).unwrap();
    let mut hands = Hands::start(&processes.uri, "hands", capacity).await;
    let home = shard_of(&hands.handle.session_id().unwrap());
    hands.release();

    let with = times(&processes, &mut hands, home).await;
    println!("from acceptance to the first task, elsewhere, with Redis: {with}");
    redis.stop().unwrap();
    let without = times(&processes, &mut hands, home).await;
    println!("the same after Redis died: {without}");
    assert!(with.percentile(99) < WITH_REDIS, "{with}");
    assert!(without.percentile(99) < WITHOUT_REDIS, "{without}");
    hands.leave().await;
}
