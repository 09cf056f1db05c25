//! What the retry engine mends in its own records, from what is and not from what was said.
//!
//! The records follow the orchestrator's log; these repairs catch what a lost log, a restored
//! store or a mistake left behind. Planning needs no order and no memory: a repair that was done
//! is not planned again.

use std::collections::BTreeSet;

/// A part of both sides' records: all workflows whose id is in one stretch of the order of ids.
///
/// Read the own records first, then the orchestrator's: what it says is then at least as new.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Workflows that are faulted, and since when (Unix milliseconds).
    pub faulted: Vec<(String, u64)>,
    /// Workflows with an open dead letter: (workflow, dead letter).
    pub dead_letters: Vec<(String, String)>,
    /// Tasks whose retry is awaited: (workflow, frame, failed attempt).
    pub retries: Vec<(String, u32, u32)>,
    /// Workflows of `retries` that are known to be over.
    pub over: BTreeSet<String>,
}

/// One repair; executing it chooses nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// The workflow is faulted and nothing tells its story: write its dead letter.
    WriteDeadLetter {
        /// The faulted workflow.
        workflow: String,
    },
    /// The workflow is not faulted any more: the dead letter is settled.
    ResolveDeadLetter {
        /// The dead letter.
        dead_letter: String,
    },
    /// The workflow is over or faulted: nobody waits for this retry.
    DropRetry {
        /// The workflow.
        workflow: String,
        /// The task's frame.
        frame: u32,
        /// The attempt that failed: a later one's retry stays.
        attempt: u32,
    },
}

/// What to mend. A workflow that faulted less than `grace_ms` ago is left to the log, which is
/// about to tell.
#[must_use]
pub fn plan(observed: &Observed, now_ms: u64, grace_ms: u64) -> Vec<Repair> {
    let told: BTreeSet<&str> = observed.dead_letters.iter().map(|(id, _)| id.as_str()).collect();
    let faulted: BTreeSet<&str> = observed.faulted.iter().map(|(id, _)| id.as_str()).collect();
    let untold = observed
        .faulted
        .iter()
        .filter(|(id, at_ms)| {
            !told.contains(id.as_str()) && at_ms.saturating_add(grace_ms) <= now_ms
        })
        .map(|(id, _)| Repair::WriteDeadLetter { workflow: id.clone() });
    let settled = observed
        .dead_letters
        .iter()
        .filter(|(id, _)| !faulted.contains(id.as_str()))
        .map(|(_, dead_letter)| Repair::ResolveDeadLetter { dead_letter: dead_letter.clone() });
    let dropped = observed
        .retries
        .iter()
        .filter(|(id, _, _)| faulted.contains(id.as_str()) || observed.over.contains(id))
        .map(|(id, frame, attempt)| Repair::DropRetry {
            workflow: id.clone(),
            frame: *frame,
            attempt: *attempt,
        });
    untold.chain(settled).chain(dropped).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 100_000;
    const GRACE: u64 = 5_000;

    fn observed() -> impl Strategy<Value = Observed> {
        let id = || "[a-f]";
        (
            prop::collection::btree_map(id(), 90_000..NOW + 1_000, 0..6),
            prop::collection::btree_map(id(), "dead-[0-9]{6}", 0..6),
            prop::collection::btree_set((id(), 0..3_u32, 1..3_u32), 0..6),
            prop::collection::btree_set(id(), 0..6),
        )
            .prop_map(|(faulted, dead_letters, retries, over)| Observed {
                faulted: faulted.into_iter().collect(),
                dead_letters: dead_letters.into_iter().collect(),
                retries: retries.into_iter().collect(),
                over,
            })
    }

    /// What executing the repairs makes of the records.
    fn execute(mut observed: Observed, repairs: &[Repair]) -> Observed {
        for repair in repairs {
            match repair {
                Repair::WriteDeadLetter { workflow } => {
                    let dead_letter = format!("new-{workflow}");
                    observed.dead_letters.push((workflow.clone(), dead_letter));
                }
                Repair::ResolveDeadLetter { dead_letter } => {
                    observed.dead_letters.retain(|(_, id)| id != dead_letter);
                }
                Repair::DropRetry { workflow, frame, attempt } => {
                    let dropped = (workflow.clone(), *frame, *attempt);
                    observed.retries.retain(|retry| *retry != dropped);
                }
            }
        }
        observed
    }

    #[test]
    fn each_kind_of_disorder_has_its_repair() {
        let observed = Observed {
            faulted: vec![("fresh".into(), NOW - 1), ("told".into(), 0), ("untold".into(), 0)],
            dead_letters: vec![("ran-on".into(), "d1".into()), ("told".into(), "d2".into())],
            retries: vec![("told".into(), 3, 1), ("runs".into(), 4, 1), ("done".into(), 5, 2)],
            over: BTreeSet::from(["done".to_owned()]),
        };
        let repairs = plan(&observed, NOW, GRACE);
        let expected = [
            Repair::WriteDeadLetter { workflow: "untold".into() },
            Repair::ResolveDeadLetter { dead_letter: "d1".into() },
            Repair::DropRetry { workflow: "told".into(), frame: 3, attempt: 1 },
            Repair::DropRetry { workflow: "done".into(), frame: 5, attempt: 2 },
        ];
        assert_eq!(repairs, expected);
    }

    proptest! {
        #[test]
        fn repairs_settle_everything_at_once(observed in observed()) {
            let repaired = execute(observed.clone(), &plan(&observed, NOW, GRACE));
            prop_assert_eq!(plan(&repaired, NOW, GRACE), []);
            // After the grace, exactly the faulted workflows have a dead letter.
            let repaired = execute(repaired.clone(), &plan(&repaired, NOW * 2, GRACE));
            let told: BTreeSet<_> = repaired.dead_letters.iter().map(|(id, _)| id).collect();
            let faulted: BTreeSet<_> = repaired.faulted.iter().map(|(id, _)| id).collect();
            prop_assert_eq!(told, faulted);
        }
    }
}
