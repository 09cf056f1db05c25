//! Several orchestrators on one database: they share workers, find each other's workflows, and
//! take over what the dead leave.

use std::time::Duration;

use planaria_orchestrator::Config;
use planaria_proto::orchestrator::v1::{ListShardsRequest, ReadLogRequest, ReadLogResponse};
use planaria_proto::types::v1::Phase;
use planaria_runtime::StoreSettings;
use planaria_store::testing::TestDatabase;
use serde_json::json;
use tonic::{Code, Status, Streaming};

use crate::worker::Worker;
use crate::world::{World, eventually};

/// A shard that is asked for has moved after this.
const MOVE_MAX: Duration = Duration::from_secs(20);
/// Long before what is left would be cut (`drain_ms`).
const DRAIN_MAX: Duration = Duration::from_secs(4);
const CALL: &str = "  - work: { call: work, with: { n: '${ .n }' } }";

pub(crate) struct Replicas {
    pub(crate) all: Vec<World>,
    /// Dropped last.
    _database: TestDatabase,
}

impl Replicas {
    pub(crate) async fn new(count: usize) -> Self {
        Self::prepared(count, async |_| {}).await
    }

    /// What is done at the first is known to the others from their start.
    pub(crate) async fn prepared(count: usize, prepare: impl AsyncFnOnce(&World)) -> Self {
        let database = TestDatabase::create().await;
        let store = StoreSettings { url: database.url.clone(), ..StoreSettings::default() };
        let mut all = vec![World::at(Config::default(), store.clone()).await];
        prepare(&all[0]).await;
        for _ in 1..count {
            all.push(World::at(Config::default(), store.clone()).await);
        }
        for one in &all {
            eventually("each knows all shards", async || {
                let listed = one.mesh().list_shards(ListShardsRequest {}).await;
                (listed.expect("listed").into_inner().shards.len() == count).then_some(())
            })
            .await;
        }
        all[0].publish("replicated", CALL).await;
        Self { all, _database: database }
    }
}

/// Answers every task it gets with its argument.
async fn work(worker: &mut Worker) {
    loop {
        let task = worker.next_beating(&[]).await;
        let arguments = crate::world::json(task.arguments.clone());
        worker.complete(&task, arguments).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_worker_executes_the_tasks_of_all_orchestrators() {
    let replicas = Replicas::new(3).await;
    let mut worker = Worker::new(&replicas.all[1], "w", &["work"]).await;
    let runs = (0..30).map(|n| replicas.all[n % 3].run("replicated", json!({ "n": n })));
    let runs = futures_util::future::join_all(runs);
    let ended = tokio::select! {
        ended = runs => ended,
        () = work(&mut worker) => Vec::new(),
    };
    assert_eq!(ended.len(), 30);
    for (n, ended) in ended.into_iter().enumerate() {
        assert_eq!(ended.phase(), Phase::Completed, "{ended:?}");
        assert_eq!(crate::world::json(ended.output), json!({ "n": n }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_found_and_steered_wherever_it_was_started() {
    let replicas = Replicas::new(2).await;
    for (here, there) in [(0, 1), (1, 0)] {
        let id = replicas.all[here].start_workflow("replicated", json!({ "n": 1 })).await;
        let other = &replicas.all[there];
        assert_eq!(other.get(&id).await.phase(), Phase::Running);
        other.suspend(&id).await;
        replicas.all[here].until(&id, Phase::Suspended).await;
        other.cancel(&id).await;
        replicas.all[here].until(&id, Phase::Cancelled).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_orchestrator_had_goes_on_at_another_within_seconds() {
    let mut replicas = Replicas::new(2).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(replicas.all[n % 2].start_workflow("replicated", json!({ "n": n })).await);
    }
    replicas.all[0].kill();
    let killed = tokio::time::Instant::now();
    let mut worker = eventually("a worker has a session", async || {
        let hello = crate::worker::hello("w", "1", &["work"]);
        Worker::open(&replicas.all[1], hello).await.ok()
    })
    .await;
    let all = async {
        for (n, id) in ids.iter().enumerate() {
            let ended = replicas.all[1].until(id, Phase::Completed).await;
            assert_eq!(crate::world::json(ended.output), json!({ "n": n }));
        }
    };
    tokio::select! {
        () = all => {}
        () = work(&mut worker) => {}
    }
    println!("all 20 completed {:?} after the kill", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_log_of_a_shard_that_moves_is_told() {
    let mut replicas = Replicas::new(2).await;
    replicas.all[0].kill();
    let all: Vec<u32> = (0..2).collect();
    let streams = all.iter().map(async |shard| {
        eventually("the other one has both", async || {
            let request = ReadLogRequest { shard: *shard, ..ReadLogRequest::default() };
            let mut stream = replicas.all[1].mesh().read_log(request).await.ok()?.into_inner();
            // The log of the dead one is passed on to it, and breaks at once.
            stream.message().await.ok()?.map(|_| stream)
        })
        .await
    });
    let mut streams = futures_util::future::join_all(streams).await;
    // It gets one of them back, in order: nothing breaks but what says so.
    replicas.all[0].start().await;
    let ends = streams.iter_mut().map(|stream| Box::pin(broken(stream)));
    let told = futures_util::future::select_all(ends);
    let (status, ..) = tokio::time::timeout(MOVE_MAX, told).await.expect("it is told");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

/// How a stream of a log breaks.
async fn broken(stream: &mut Streaming<ReadLogResponse>) -> Status {
    loop {
        match stream.message().await {
            Ok(next) => assert!(next.is_some(), "logs do not end"),
            Err(status) => return status,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_elsewhere_does_not_keep_an_orchestrator_from_leaving() {
    let mut replicas = Replicas::new(2).await;
    let mut readers = Vec::new();
    for shard in 0..2 {
        let request = ReadLogRequest { shard, ..ReadLogRequest::default() };
        let mut stream = replicas.all[0].mesh().read_log(request).await.unwrap().into_inner();
        stream.message().await.unwrap();
        readers.push(stream);
    }
    let asked = tokio::time::Instant::now();
    replicas.all[0].stop().await;
    assert!(asked.elapsed() < DRAIN_MAX, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_starts_one_workflow_wherever_it_is_sent() {
    let replicas = Replicas::new(3).await;
    let starts = (0..30).map(|n| replicas.all[n % 3].start_with_key("replicated", "the-key"));
    let started = futures_util::future::join_all(starts).await;
    let first = &started[0];
    assert!(started.iter().all(|id| id == first), "{started:?}");
}
