//! The overview tells what is, and who is away since when.

use planaria_fake_mesh::{PATIENCE, eventually};
use planaria_proto::monitoring::v1::WatchOverviewRequest;
use planaria_proto::orchestrator::v1::GetStatisticsResponse;
use planaria_proto::orchestrator::v1::get_statistics_response::{PhaseCount, WaitingFunction};
use planaria_proto::types::v1::Phase;
use prost_types::Duration;

use crate::scene::{Scene, overview};

fn statistics() -> GetStatisticsResponse {
    let count = |phase: Phase, count| PhaseCount { phase: phase.into(), count };
    GetStatisticsResponse {
        phases: vec![count(Phase::Running, 3), count(Phase::Completed, 90)],
        tasks_queued: 12,
        sessions: 2,
        capacity: 16,
        workflows_started: 93,
        workflows_completed: 90,
        waiting: vec![WaitingFunction {
            function: "charge-card".into(),
            queue: "payments".into(),
            count: 12,
            has_worker: false,
            held: 0,
        }],
        ..GetStatisticsResponse::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_tells_counts_and_findings() {
    let mut scene = Scene::new().await;
    scene.mesh().state().statistics = statistics();
    let client = scene.start().await;
    let now = eventually(|| async {
        let now = overview(&client).await;
        let serving = |name: &str| {
            let service = now.services.iter().find(|service| service.name == name);
            service.is_some_and(|service| service.replicas[0].serving)
        };
        serving("orchestrator").then_some(now)
    })
    .await;
    assert_eq!((now.workers_alive, now.capacity, now.tasks_queued), (2, 16, 12));
    // What is over is told by the counters.
    assert_eq!(now.phases.iter().map(|count| count.count).collect::<Vec<_>>(), [3]);
    let expected = "12 tasks wait for a worker of charge-card in queue payments; none is connected";
    assert_eq!(now.findings, [expected]);
    assert!((now.success_ratio - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_and_comes_back_is_seen() {
    let mut scene = Scene::new().await;
    let client = scene.start().await;
    let address = scene.mesh().address().to_string();
    let condition = || async {
        let services = overview(&client).await.services;
        let orchestrator = services.into_iter().find(|service| service.name == "orchestrator");
        orchestrator.map(|service| service.replicas[0].clone())
    };
    let up = eventually(|| async { condition().await.filter(|replica| replica.serving) }).await;
    assert_eq!(up.address, address);
    scene.mesh().stop().await;
    let down = eventually(|| async { condition().await.filter(|it| !it.serving) }).await;
    assert!(down.detail.contains("does not answer"), "{}", down.detail);
    let findings = overview(&client).await.findings;
    let expected = format!("orchestrator at {address} does not answer since ");
    assert!(findings[0].starts_with(&expected), "{findings:?}");
    scene.mesh().restart().await;
    let up = eventually(|| async { condition().await.filter(|replica| replica.serving) }).await;
    assert!(up.since.unwrap().seconds >= down.since.unwrap().seconds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_overview_comes_when_it_changes_and_is_asked_for_once_for_all() {
    let mut scene = Scene::new().await;
    scene.config.statistics_interval_ms = 3_600_000;
    // The first checks would be changes too.
    scene.config.services.clear();
    let client = scene.start().await;
    let interval = Some(Duration { seconds: 0, nanos: 100_000_000 });
    let mut watches = Vec::new();
    for _ in 0..20 {
        let request = WatchOverviewRequest { interval };
        watches.push(client.clone().watch_overview(request).await.unwrap().into_inner());
    }
    for watch in &mut watches {
        watch.message().await.unwrap().unwrap();
    }
    // Without workflows that ended: a rate falls from look to look, which is a change too.
    let changed = GetStatisticsResponse { workflows_completed: 0, ..statistics() };
    scene.mesh().state().statistics = changed;
    let changed = async {
        for watch in &mut watches {
            while watch.message().await.unwrap().unwrap().overview.unwrap().tasks_queued != 12 {}
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
    // Nothing changes any more, so nothing comes; but all keep looking.
    let before = scene.mesh().state().statistics_calls;
    let look = scene.mesh().wait_until(|state| state.statistics_calls >= before + 3);
    tokio::select! {
        _ = watches[0].message() => panic!("nothing had changed"),
        looked = tokio::time::timeout(PATIENCE, look) => looked.unwrap(),
    }
    drop(watches);
}
