//! The load: so many workflows open at any time, each started when another one ended.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use planaria_proto::types::v1::{DefinitionReference, Payload, Phase};
use planaria_proto::workflow::v1::{PutDefinitionRequest, RunWorkflowRequest, WorkflowStart};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Arguments, FUNCTION, STEPS};
use crate::Error;
use crate::client::{Client, Gateway, call};
use crate::output::Output;

/// After a failed call, so that a mesh in trouble is not hammered.
const PAUSE_MS: u64 = 50;

const NAMESPACE: &str = "planaria";
const NAME: &str = "bench";
const VERSION: &str = "1.0.0";

/// How much load, for how long.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) in_flight: u32,
    pub(super) connections: u32,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) payload_bytes: usize,
}

impl Plan {
    pub(super) fn new(arguments: &Arguments, in_flight: u32, connections: u32) -> Self {
        Self {
            in_flight,
            connections: connections.min(in_flight),
            warmup: arguments.warmup,
            duration: arguments.duration,
            payload_bytes: arguments.payload_bytes,
        }
    }
}

/// What came of it, while it was measured.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The time from call to answer of each workflow that completed, in microseconds.
    pub(super) latencies_us: Vec<u64>,
    /// Calls that failed and workflows that did not complete, by why.
    pub(super) failures: BTreeMap<String, u64>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
    }
}

/// Publishes the workflow of the benchmark.
pub(super) async fn publish(client: &Client) -> Result<(), Error> {
    let mut source = format!(
        "document: {{ dsl: '1.0.3', namespace: {NAMESPACE}, name: {NAME}, version: {VERSION} }}\n\
         do:\n"
    );
    for step in 1..=STEPS {
        source.push_str(&format!("  - step{step}: {{ call: {FUNCTION} }}\n"));
    }
    let request = call(PutDefinitionRequest { source: source.into() });
    let result = client.definitions().put_definition(request).await;
    result.map(drop).map_err(|status| client.refused("the workflow was not published", status))
}

/// Runs the load from `start`; what ends between warm-up and end counts.
pub(super) async fn run(
    gateway: &Gateway,
    plan: &Plan,
    start: Instant,
    output: Output,
) -> Result<Outcome, Error> {
    let input = serde_json::to_vec(&serde_json::json!({ "data": "x".repeat(plan.payload_bytes) }))
        .map_err(|error| Error::input(error.to_string(), ""))?;
    let input = Bytes::from(input);
    let measured = (start + plan.warmup, start + plan.warmup + plan.duration);
    let mut lanes = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..plan.connections {
        clients.push(Client::open(gateway, output)?);
    }
    for (_, client) in (0..plan.in_flight).zip(clients.iter().cycle()) {
        lanes.spawn(lane(client.workflows(), input.clone(), measured));
    }
    let mut outcome = Outcome::default();
    while let Some(ended) = lanes.join_next().await {
        outcome.add(ended.map_err(|error| Error::input(error.to_string(), ""))?);
    }
    Ok(outcome)
}

type Workflows = planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient<
    planaria_sdk::Channel,
>;

/// One workflow after the other until the end.
async fn lane(mut workflows: Workflows, input: Bytes, measured: (Instant, Instant)) -> Outcome {
    let definition = DefinitionReference {
        namespace: NAMESPACE.into(),
        name: NAME.into(),
        version: VERSION.into(),
    };
    let start = WorkflowStart {
        definition: Some(definition),
        input: Some(Payload { content_type: String::new(), data: input }),
        idempotency_key: String::new(),
    };
    let mut outcome = Outcome::default();
    while Instant::now() < measured.1 {
        let called = Instant::now();
        let request = call(RunWorkflowRequest { start: Some(start.clone()) });
        let result = workflows.run_workflow(request).await;
        let counts = (measured.0..measured.1).contains(&Instant::now());
        let failure = match result {
            Ok(response) if response.get_ref().phase() == Phase::Completed => {
                if counts {
                    let latency = u64::try_from(called.elapsed().as_micros());
                    outcome.latencies_us.push(latency.unwrap_or(u64::MAX));
                }
                continue;
            }
            Ok(response) => response.get_ref().phase().as_str_name().to_owned(),
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
        };
        if counts {
            *outcome.failures.entry(failure).or_default() += 1;
        }
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
    outcome
}
