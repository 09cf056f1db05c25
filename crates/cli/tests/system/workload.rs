//! Workflows of several kinds whose outputs are known, and the check of what became of them.

use std::collections::BTreeMap;

use planaria_proto::types::v1::Payload;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{HistoryEvent, StartWorkflowsRequest, WorkflowStart};
use planaria_sdk::Client;
use planaria_sdk::contract::types::v1::DefinitionReference;
use serde_json::{Value, json};

use crate::ask;

/// A kind of workflow; `n` is in its input, and `pause` is how long its tasks take.
struct Kind {
    name: &'static str,
    tasks: &'static str,
    /// Runs of tasks that end, the outermost `do` included.
    runs: usize,
    output: fn(u64) -> Value,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "sequence",
        tasks: r"
  - first: { call: simulate, with: { sleep: '${ $workflow.input.pause }', output: '${ .n + 1 }' } }
  - second: { call: simulate, with: { sleep: '${ $workflow.input.pause }', output: '${ . + 1 }' } }
  - third: { call: simulate, with: { sleep: '${ $workflow.input.pause }', output: '${ . + 1 }' } }
",
        runs: 4,
        output: |n| json!(n + 3),
    },
    Kind {
        name: "fork",
        tasks: r"
  - first: { call: simulate, with: { sleep: '${ $workflow.input.pause }', output: '${ .n }' } }
  - both:
      fork:
        branches:
          - left: { call: simulate, with: { sleep: PT0.05S, output: '${ . * 2 }' } }
          - middle: { call: simulate, with: { output: '${ . * 3 }' } }
          - right:
              call: simulate
              with: { sleep: '${ $workflow.input.pause }', output: '${ . * 4 }' }
  - join: { set: { sum: '${ .[0] + .[1] + .[2] }' } }
",
        runs: 7,
        output: |n| json!({ "sum": n * 9 }),
    },
    Kind {
        name: "retried",
        tasks: r"
  - first:
      call: simulate
      with: { sleep: '${ $workflow.input.pause }', fail: 1, output: '${ .n + 10 }' }
  - second: { call: simulate, with: { sleep: PT0.05S, output: '${ . + 1 }' } }
",
        runs: 3,
        output: |n| json!(n + 11),
    },
    Kind {
        name: "pausing",
        tasks: r"
  - first: { call: simulate, with: { sleep: '${ $workflow.input.pause }', output: '${ .n + 20 }' } }
  - pause: { wait: PT0.2S }
  - second: { call: simulate, with: { sleep: PT0.05S, output: '${ . + 1 }' } }
",
        runs: 4,
        output: |n| json!(n + 21),
    },
];

/// What a checked workflow went through.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    pub(crate) failures: usize,
    pub(crate) losses: usize,
}

pub(crate) async fn publish(client: &Client) {
    for Kind { name, tasks, .. } in KINDS {
        let document = format!(
            "document: {{ dsl: '1.0.3', namespace: system, name: {name}, version: '1.0.0' }}\n\
             do:{tasks}"
        );
        ask::put(client, &document).await;
    }
}

fn kind(n: usize) -> &'static Kind {
    &KINDS[n % KINDS.len()]
}

/// Starts so many, a few at a time; the n-th of the ids is the n-th workflow's.
pub(crate) async fn start(client: &Client, count: usize, seed: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let starts: Vec<_> = (0..count).map(|n| one(n, seed, &mut random)).collect();
    let mut ids = Vec::new();
    for few in starts.chunks(20) {
        let request = StartWorkflowsRequest { starts: few.to_vec() };
        let answer =
            ask::ask(async || client.workflow_service().start_workflows(request.clone()).await);
        for outcome in answer.await.outcomes {
            assert_eq!(outcome.error_reason, "", "{}", outcome.error_message);
            ids.push(outcome.workflow_id);
        }
    }
    ids
}

/// The start of the n-th workflow.
pub(crate) fn one(n: usize, seed: u64, random: &mut fastrand::Rng) -> WorkflowStart {
    let pause = format!("PT0.{:03}S", random.u32(50..=300));
    let data = json!({ "n": n, "pause": pause }).to_string().into();
    let definition = DefinitionReference {
        namespace: "system".into(),
        name: kind(n).name.into(),
        version: String::new(),
    };
    WorkflowStart {
        definition: Some(definition),
        input: Some(Payload { data, ..Payload::default() }),
        idempotency_key: format!("{seed}-{n}"),
    }
}

/// The n-th workflow completed with the right output, each task of it exactly once, and its
/// history has no gap.
pub(crate) fn check(n: usize, history: &[HistoryEvent]) -> Troubles {
    let kind = kind(n);
    let story = || format!("workflow {n}, a {}: {history:#?}", kind.name);
    let mut troubles = Troubles::default();
    let mut runs: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    let mut references = Vec::new();
    let mut ends = 0;
    for (seq, event) in (1..).zip(history) {
        assert_eq!(event.seq, seq, "{}", story());
        match event.event.as_ref().unwrap() {
            Event::TaskStarted(started) => {
                runs.entry(started.frame).or_default().0 += 1;
                references.push(started.task.as_str());
            }
            Event::TaskCompleted(completed) => runs.entry(completed.frame).or_default().1 += 1,
            Event::AttemptFailed(_) => troubles.failures += 1,
            Event::AttemptLost(_) => troubles.losses += 1,
            Event::WorkflowCompleted(completed) => {
                let output: Value = serde_json::from_slice(&completed.output).unwrap();
                assert_eq!(output, (kind.output)(n as u64), "{}", story());
                ends += 1;
            }
            Event::WorkflowStarted(_) => assert_eq!(seq, 1, "{}", story()),
            other => panic!("{other:?} in {}", story()),
        }
    }
    assert!(runs.values().all(|run| *run == (1, 1)), "{runs:?} in {}", story());
    references.sort_unstable();
    references.dedup();
    assert_eq!((references.len(), runs.len()), (kind.runs, kind.runs), "{}", story());
    let last = history.last().and_then(|event| event.event.as_ref());
    assert!(ends == 1 && matches!(last, Some(Event::WorkflowCompleted(_))), "{}", story());
    troubles
}
