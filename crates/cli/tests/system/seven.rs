//! Seven processes are one mesh.

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_sdk::Start;
use serde_json::{Value, json};

use crate::ask;
use crate::processes::{Processes, SERVICES};

const ORDER: &str = r"
document: { dsl: '1.0.3', namespace: system, name: order, version: '1.0.0' }
do:
  - reserve: { call: simulate, with: { sleep: PT0.05S, output: '${ .value + 1 }' } }
  - split:
      fork:
        branches:
          - charge: { call: simulate, with: { fail: 1, output: '${ . * 2 }' } }
          - pack: { call: simulate, with: { sleep: PT0.1S, output: '${ . * 3 }' } }
  - join: { set: { value: '${ .[0] + .[1] }' } }
  - pause: { wait: PT0.2S }
  - tell:
      emit:
        event:
          with:
            source: https://planaria.dev/system
            type: system.packed
            data: { value: '${ .value }' }
  - hear: { listen: { to: { one: { with: { type: system.sent } } } } }
  - done: { set: { parcels: '${ .[0].parcels }' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn seven_processes_serve_a_workflow_end_to_end() {
    let processes = Processes::start(&["worker-1"]).await;
    let client = &processes.client;
    processes.alive(&["worker-1"]).await;
    ask::put(client, ORDER).await;
    let start = Start::new("system", "order").input(&json!({ "value": 4 })).unwrap();
    let id = client.start(start).await.unwrap().workflow_id;

    let waits = async || {
        let workflow = ask::get(client, &id).await;
        let hears = workflow.tasks.iter().any(|task| task.name == "hear");
        hears.then_some(workflow)
    };
    let workflow = ask::until("the workflow listens", waits).await;
    assert_eq!(workflow.phase(), Phase::Waiting);
    assert!(client.signal(&id, "system.sent", &json!({ "parcels": 2 })).await.unwrap());

    let ended = ask::ended(client, &id).await;
    assert_eq!(ended.phase(), Phase::Completed);
    let output: Value = serde_json::from_slice(&ended.output.unwrap().data).unwrap();
    assert_eq!(output, json!({ "parcels": 2 }));
    let charge = ended.tasks.iter().find(|task| task.name == "charge").unwrap();
    assert_eq!((charge.attempts, charge.failures, charge.losses), (2, 1, 0));
    let history = ask::history(client, &id).await;
    let emitted = history.iter().find_map(|event| match event.event.as_ref()? {
        Event::EventEmitted(emitted) => Some(&emitted.event),
        _ => None,
    });
    let emitted: Value = serde_json::from_slice(emitted.unwrap()).unwrap();
    assert_eq!(emitted["data"], json!({ "value": 25 }));

    // Monitoring finds all seven at their addresses.
    let request = planaria_proto::monitoring::v1::GetOverviewRequest {};
    let all_serve = async || {
        let overview = ask::ask(async || client.monitoring_service().get_overview(request).await);
        let services = overview.await.overview?.services;
        let serves = |name: &&str| {
            let found = services.iter().find(|service| service.name == *name);
            found.is_some_and(|service| service.replicas.iter().all(|replica| replica.serving))
        };
        SERVICES.iter().chain(&["worker"]).all(serves).then_some(())
    };
    ask::until("every service serves", all_serve).await;
}
