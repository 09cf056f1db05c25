//! What is counted over time is counted once, and tells how the objective stands.

use planaria_fake_mesh::{eventually, record_at, workflow_events};
use planaria_proto::monitoring::v1::{
    GetDistributionRequest, GetSeriesRequest, Metric, Series, Spread,
};
use planaria_proto::orchestrator::v1::GetStatisticsResponse;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{
    AttemptLost, WorkflowCompleted, WorkflowFaulted, WorkflowStarted,
};
use planaria_runtime::clock;
use prost_types::Duration;
use tonic_types::StatusExt;

use crate::scene::{Client, Scene, overview};

fn started() -> Event {
    Event::WorkflowStarted(WorkflowStarted::default())
}

fn completed() -> Event {
    Event::WorkflowCompleted(WorkflowCompleted::default())
}

fn faulted() -> Event {
    Event::WorkflowFaulted(WorkflowFaulted::default())
}

/// An id as workflows have it, of one that started then.
fn id(started_at_ms: u64) -> String {
    let time = format!("{started_at_ms:012x}");
    format!("{}-{}-7000-8000-000000000000", &time[..8], &time[8..])
}

async fn series(client: &Client, metrics: &[Metric]) -> Vec<Series> {
    let request = GetSeriesRequest {
        metrics: metrics.iter().map(|metric| (*metric).into()).collect(),
        window: Some(Duration { seconds: 600, nanos: 0 }),
        ..GetSeriesRequest::default()
    };
    client.clone().get_series(request).await.unwrap().into_inner().series
}

fn sum(series: &Series) -> f64 {
    series.points.iter().map(|point| point.value).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fact_is_counted_once_over_any_restart() {
    let mut scene = Scene::new().await;
    let now_ms = clock::now_ms();
    let metrics = [
        Metric::WorkflowsStarted,
        Metric::WorkflowsCompleted,
        Metric::AttemptsLost,
        Metric::SuccessRatio,
        Metric::WorkflowLatencyP50,
        Metric::TasksQueued,
    ];
    scene.mesh().state().statistics =
        GetStatisticsResponse { tasks_queued: 12, ..GetStatisticsResponse::default() };
    for round in 1..=3_u32 {
        let client = scene.start().await;
        for number in 0..20 {
            let lost = Event::AttemptLost(AttemptLost::default());
            let end = if number % 10 == 0 { faulted() } else { completed() };
            let body = workflow_events(&id(now_ms - 1_500), 1, [started(), lost, end]);
            scene.mesh().push_all([record_at(body, now_ms)]);
        }
        let all = f64::from(round * 20);
        let told = eventually(|| async {
            let told = series(&client, &metrics).await;
            (sum(&told[0]) >= all && sum(&told[5]) > 0.0).then_some(told)
        })
        .await;
        assert_eq!(told[0].points.len(), 10, "a point for each minute");
        assert_eq!((sum(&told[0]), sum(&told[2])), (all, all));
        assert_eq!(sum(&told[1]), f64::from(round * 18));
        assert_eq!(told[3].points.iter().map(|point| point.value).collect::<Vec<_>>(), [0.9]);
        let latency = told[4].points[0].value;
        assert!((1.5..1.6).contains(&latency), "{latency}");
        scene.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spread_of_latencies_is_told_with_its_quantiles() {
    let mut scene = Scene::new().await;
    let mut client = scene.start().await;
    let now_ms = clock::now_ms();
    for latency_ms in [10, 20, 30, 5_000] {
        let body = workflow_events(&id(now_ms - latency_ms), 1, [completed()]);
        scene.mesh().push_all([record_at(body, now_ms)]);
    }
    let request =
        || GetDistributionRequest { spread: Spread::WorkflowLatency.into(), ..Default::default() };
    let told = eventually(|| async {
        let told = client.clone().get_distribution(request()).await.unwrap().into_inner();
        (told.count == 4).then_some(told)
    })
    .await;
    assert_eq!(told.buckets.iter().map(|bucket| bucket.count).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!(told.p50, Some(Duration { seconds: 0, nanos: 20_000_000 }));
    assert_eq!(told.max.unwrap().seconds, 5);
    let refused = async |request: GetDistributionRequest, client: &mut Client| {
        let status = client.get_distribution(request).await.unwrap_err();
        status.get_details_error_info().unwrap().reason
    };
    let nothing = GetDistributionRequest::default();
    assert_eq!(refused(nothing, &mut client).await, "METRIC_INVALID");
    let window = Some(Duration { seconds: -1, nanos: 0 });
    let past = GetDistributionRequest { window, ..request() };
    assert_eq!(refused(past, &mut client).await, "WINDOW_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_burns_is_a_finding() {
    let mut scene = Scene::new().await;
    scene.config.services.clear();
    let now_ms = clock::now_ms();
    for number in 0..40 {
        let end = if number % 4 == 0 { faulted() } else { completed() };
        let body = workflow_events(&id(now_ms), 1, [end]);
        scene.mesh().push_all([record_at(body, now_ms)]);
    }
    let client = scene.start().await;
    let metrics = [Metric::WorkflowsCompleted];
    eventually(|| async { (sum(&series(&client, &metrics).await[0]) == 30.0).then_some(()) }).await;
    let now = overview(&client).await;
    let objective = now.objective.unwrap();
    assert_eq!((objective.completed, objective.faulted), (30, 10));
    assert!(objective.budget_left < -200.0, "{}", objective.budget_left);
    assert!(objective.burns.iter().all(|burn| (burn.rate - 250.0).abs() < 1.0));
    let finding = "10 workflows have faulted in the last 60 min, of 40 that ended: the error \
                   budget of 0.1 % is used 250 times too fast";
    assert!(now.findings.iter().any(|found| found == finding), "{:?}", now.findings);
}
