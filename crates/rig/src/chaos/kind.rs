//! The kinds of workflows of the load, and what each must come to.

use fastrand::Rng;
use serde_json::{Value, json};

/// The namespace of all of them.
pub(super) const NAMESPACE: &str = "chaos";
/// The type of the event that workflows of the kind `signal` wait for.
pub(super) const SIGNAL: &str = "chaos.signal";

/// A kind of workflow. Inputs have a number `n`, a pause `ms`, and until when `chaos-down` fails.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// So many of a thousand workflows are of it.
    permille: u16,
    tasks: &'static str,
    /// The phase it ends in, and its output if it completes.
    pub(super) expected: fn(i64) -> (&'static str, Option<Value>),
}

const STEP: &str = "call: chaos-step, with: { n: '${ .n }', ms: '${ $workflow.input.ms }' }";

/// All kinds; the share of the first is what the others leave.
pub(super) const KINDS: [Kind; 9] = [
    Kind {
        name: "linear",
        permille: 365,
        tasks: "
  - first: { STEP }
  - second: { STEP }
  - third: { STEP }
",
        expected: |n| ("completed", Some(json!(n + 3))),
    },
    Kind {
        name: "fork",
        permille: 200,
        tasks: "
  - all:
      fork:
        branches:
          - left: { STEP }
          - middle: { STEP }
          - right: { STEP }
  - join: { set: { n: '${ .[0].n + .[1].n + .[2].n }' } }
",
        expected: |n| ("completed", Some(json!(3 * (n + 1)))),
    },
    Kind {
        name: "flaky",
        permille: 200,
        tasks: "
  - first: { call: chaos-flaky, with: { n: '${ .n }' } }
  - second: { call: chaos-flaky, with: { n: '${ .n }' } }
",
        expected: |n| ("completed", Some(json!(n + 2))),
    },
    Kind {
        name: "timer",
        permille: 120,
        tasks: "
  - first: { STEP }
  - pause: { wait: { milliseconds: 700 } }
  - second: { STEP }
",
        expected: |n| ("completed", Some(json!(n + 2))),
    },
    Kind {
        name: "signal",
        permille: 50,
        tasks: "
  - first: { STEP }
  - listening: { listen: { to: { one: { with: { type: chaos.signal } } } } }
  - taken: { set: { n: '${ .[0].n }' } }
",
        expected: |n| ("completed", Some(json!(n * 7))),
    },
    Kind {
        name: "cancel",
        permille: 30,
        tasks: "
  - first: { STEP }
  - pause: { wait: PT1H }
",
        expected: |_| ("cancelled", None),
    },
    Kind {
        name: "down",
        permille: 20,
        tasks: "
  - down: { call: chaos-down, with: { n: '${ .n }', until_ms: '${ $workflow.input.until_ms }' } }
",
        expected: |n| ("completed", Some(json!(n + 1))),
    },
    Kind {
        name: "poison",
        permille: 10,
        tasks: "
  - first: { STEP }
  - poison: { call: chaos-poison, with: { n: '${ .n }' } }
",
        expected: |_| ("faulted", None),
    },
    Kind {
        name: "hang",
        permille: 5,
        tasks: "
  - hang:
      call: chaos-hang
      with: { n: '${ .n }' }
      metadata: { planaria: { heartbeat: PT2S } }
",
        expected: |n| ("completed", Some(json!(n + 1))),
    },
];

impl Kind {
    /// Its definition.
    pub(super) fn document(&self) -> String {
        let Self { name, tasks, .. } = self;
        let tasks = tasks.replace("STEP", STEP);
        format!(
            "document: {{ dsl: '1.0.3', namespace: {NAMESPACE}, name: {name}, version: '1.0.0' }}\n\
             do:{tasks}output: {{ as: '${{ .n }}' }}\n"
        )
    }

    /// Draws one by its share; of the gentle ones, if only those are wanted.
    pub(super) fn draw(random: &mut Rng, gentle: bool) -> &'static Self {
        let mut drawn = random.u16(..KINDS.iter().map(|kind| kind.permille).sum::<u16>());
        for kind in &KINDS {
            if drawn < kind.permille {
                let misbehaves = matches!(kind.name, "down" | "poison" | "hang");
                return if gentle && misbehaves { &KINDS[0] } else { kind };
            }
            drawn -= kind.permille;
        }
        &KINDS[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_a_thousand_and_are_drawn_so() {
        assert_eq!(KINDS.iter().map(|kind| kind.permille).sum::<u16>(), 1_000);
        let mut random = Rng::with_seed(1);
        let drawn: Vec<_> = (0..10_000).map(|_| Kind::draw(&mut random, false).name).collect();
        let count = |name| drawn.iter().filter(|drawn| **drawn == name).count();
        assert!((3_300..4_000).contains(&count("linear")) && (10..110).contains(&count("hang")));
    }
}
