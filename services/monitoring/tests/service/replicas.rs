//! Two replicas on one database: one writes, both tell.

use planaria_fake_mesh::{eventually, healing, record_at, workflow_events};
use planaria_proto::monitoring::v1::{GetSeriesRequest, Metric, WatchHealingsRequest};
use planaria_proto::types::v1::Healing;
use planaria_proto::workflow::v1::WorkflowStarted;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_runtime::{StoreSettings, clock};
use planaria_store::testing::TestDatabase;

use crate::scene::{Client, Scene, overview};

async fn started(client: &Client) -> f64 {
    let metrics = vec![Metric::WorkflowsStarted.into()];
    let request = GetSeriesRequest { metrics, ..GetSeriesRequest::default() };
    let series = client.clone().get_series(request).await.unwrap().into_inner().series;
    series[0].points.iter().map(|point| point.value).sum()
}

fn workflow_starts(scene: &Scene) {
    let started = [Event::WorkflowStarted(WorkflowStarted::default())];
    scene.mesh().push_all([record_at(workflow_events("w", 1, started), clock::now_ms())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_goes_on_where_one_died_and_counts_nothing_twice() {
    let database = TestDatabase::create().await;
    let mut scene = Scene::new().await;
    scene.store = StoreSettings { url: database.url.clone(), ..StoreSettings::default() };
    // One that dies without a word is replaced soon.
    scene.config.lease_ms = 300;
    scene.config.watch_look_ms = 20;
    let first = scene.start().await;
    let second = scene.start().await;
    for round in 1..=20 {
        workflow_starts(&scene);
        if round == 10 {
            eventually(|| async { (started(&first).await >= 5.0).then_some(()) }).await;
            scene.kill().await;
        }
    }
    eventually(|| async { (started(&second).await >= 20.0).then_some(()) }).await;
    assert!((started(&second).await - 20.0).abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn healings_are_told_by_the_replica_that_does_not_write() {
    let database = TestDatabase::create().await;
    let mut scene = Scene::new().await;
    scene.store = StoreSettings { url: database.url.clone(), ..StoreSettings::default() };
    scene.config.watch_look_ms = 20;
    let mut watches = Vec::new();
    for mut client in [scene.start().await, scene.start().await] {
        let watch = client.watch_healings(WatchHealingsRequest {}).await.unwrap().into_inner();
        watches.push((client, watch));
    }
    let now = prost_types::Timestamp {
        seconds: i64::try_from(clock::now_ms() / 1_000).unwrap(),
        nanos: 0,
    };
    let one = Healing { id: "h".into(), detected_at: Some(now), ..Healing::default() };
    scene.mesh().push(healing(one));
    for (client, watch) in &mut watches {
        let told = watch.message().await.unwrap().unwrap().healings;
        assert_eq!((told[0].id.as_str(), told[0].namespace.as_str()), ("h", "default"));
        assert_eq!(overview(client).await.healings_open, 1);
    }
}
