//! The orchestrator is killed at any moment: nothing is lost, nothing happens twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use planaria_proto::task::v1::Acceptance;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::*;
use rand::RngExt;
use serde_json::json;
use tokio::sync::RwLock;

use crate::worker::{Worker, arguments, hello, output_of};
use crate::world::{World, looks, pause_of, start};

const TASKS: &str = "- first: { call: echo }
- pause: { wait: { milliseconds: 20 } }
- both:
    fork:
      branches:
        - left: { call: echo }
        - right: { call: echo }
- last: { call: echo, output: { as: '{ n: $workflow.input.n }' } }";

/// Works until told to stop; comes back after whatever happens.
async fn work(world: Arc<RwLock<World>>, name: String, over: Arc<AtomicBool>) {
    let mut looks = looks();
    while !over.load(Ordering::Relaxed) {
        looks.tick().await;
        let opened = Worker::open(&*world.read().await, hello(&name, "1", &["echo"])).await;
        let Ok(mut worker) = opened else { continue };
        while let Some(task) = worker.next_or_end().await {
            let report = output_of(&task, &arguments(&task));
            // Unknown outcomes are asked for again, with the next orchestrator too.
            while !over.load(Ordering::Relaxed) {
                looks.tick().await;
                match worker.try_report(vec![report.clone()]).await {
                    Ok(answers) => {
                        assert!(matches!(answers[0], Acceptance::Accepted | Acceptance::Stale));
                        break;
                    }
                    Err(_) => worker.tasks = world.read().await.tasks(),
                }
            }
            if over.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_workflows_complete_over_kills_at_any_moment() {
    let world = Arc::new(RwLock::new(World::new().await));
    world.read().await.publish("order", TASKS).await;
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = ["a", "b", "c"]
        .map(|name| tokio::spawn(work(world.clone(), name.to_owned(), over.clone())))
        .into();
    let starting = {
        let world = world.clone();
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..50 {
                ids.push(start_once(&world, n).await);
            }
            ids
        })
    };
    let pauses: Vec<u64> = (0..6).map(|_| rand::rng().random_range(10..200)).collect();
    println!("killed after pauses of {pauses:?} ms");
    for pause in pauses {
        pause_of(Duration::from_millis(pause)).await;
        world.write().await.restart_killed().await;
    }
    let ids = starting.await.expect("started");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 50);
    let world_now = world.read().await;
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(world_now.output(id).await, json!({ "n": n }));
        let history = world_now.history(id).await;
        assert_applied_once(id, &history);
    }
    // `log` checks that no position is missing.
    world_now.log().await;
    let open = list_open(&world_now).await;
    assert_eq!(open, 0);
    over.store(true, Ordering::Relaxed);
    drop(world_now);
    world.write().await.kill();
    for worker in workers {
        worker.await.expect("no worker panicked");
    }
}

async fn start_once(world: &RwLock<World>, n: u64) -> String {
    let start = WorkflowStart { idempotency_key: n.to_string(), ..start("order", json!({"n": n})) };
    let mut looks = looks();
    loop {
        looks.tick().await;
        let mut workflows = world.read().await.workflows();
        let request = StartWorkflowRequest { start: Some(start.clone()) };
        if let Ok(response) = workflows.start_workflow(request).await {
            return response.into_inner().workflow_id;
        }
    }
}

fn assert_applied_once(id: &str, history: &[HistoryEvent]) {
    let mut completed = HashSet::new();
    let mut executed = HashSet::new();
    for event in history {
        if let Some(Event::TaskCompleted(done)) = &event.event {
            assert!(completed.insert(done.frame), "{id}: frame {} completed twice", done.frame);
            if let Some(execution) = &done.execution {
                assert!(executed.insert((done.frame, execution.attempt)), "{id}");
            }
        }
    }
    assert_eq!(executed.len(), 4, "{id}: four function tasks");
    let last = history.last().and_then(|event| event.event.clone());
    assert!(matches!(last, Some(Event::WorkflowCompleted(_))), "{id}: {last:?}");
}

async fn list_open(world: &World) -> usize {
    let phases = [Phase::Running, Phase::Waiting, Phase::Pending, Phase::Faulted];
    let filter = list_workflows_request::Filter {
        phases: phases.iter().map(|phase| (*phase).into()).collect(),
        ..Default::default()
    };
    let request = ListWorkflowsRequest { filter: Some(filter), ..Default::default() };
    let response = world.workflows().list_workflows(request).await.expect("a list");
    response.into_inner().workflows.len()
}

#[tokio::test]
async fn an_orderly_end_keeps_everything_and_is_quick() {
    let mut world = World::new().await;
    world.publish("order", TASKS).await;
    let id = world.start_workflow("order", json!({"n": 1})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    let began = std::time::Instant::now();
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    world.start().await;
    worker.tasks = world.tasks();
    assert_eq!(worker.complete(&task, json!(1)).await, Acceptance::Accepted);
    assert!(world.get(&id).await.history_length > 3);
}
