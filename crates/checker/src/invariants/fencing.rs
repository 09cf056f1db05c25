//! Of all attempts of a task one result counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{End, Evidence, end_of};
use crate::report::Finding;

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    let (ends, current) = histories(evidence);
    let retransmitted = "workers do not tell when they report a result again";
    vec![
        ends,
        current,
        Finding::skipped("7", "a repeated result gets the same answer", retransmitted),
        attempts(evidence),
        intervals(evidence),
        keys(evidence),
    ]
}

/// Invariants 5 and 6.
fn histories(evidence: &Evidence) -> (Finding, Finding) {
    let once = "an attempt ends once, and a task completes once";
    let (mut ends, mut current) = (Finding::new("5", once), {
        Finding::new("6", "only the current attempt's result counts: none that was lost before")
    });
    for (id, story) in &evidence.stories {
        let mut ended: BTreeMap<(u32, u32), End> = BTreeMap::new();
        let mut completed = BTreeSet::new();
        let mut highest: BTreeMap<u32, u32> = BTreeMap::new();
        for (frame, execution, end) in story.history.iter().filter_map(end_of) {
            let attempt = execution.attempt;
            let former = ended.insert((frame, attempt), end);
            let again = end == End::Completed && !completed.insert(frame);
            ends.check(former.is_none() && !again, || {
                format!("{id} frame {frame} attempt {attempt}: {former:?}, then {end:?}")
            });
            let before = highest.insert(frame, attempt).unwrap_or_default();
            current.check(attempt > before, || {
                format!("{id} frame {frame}: {end:?} of attempt {attempt} after {before}")
            });
        }
    }
    (ends, current)
}

fn attempts(evidence: &Evidence) -> Finding {
    let name = "an attempt's number is executed by one worker, once, and rises";
    let mut finding = Finding::new("8", name);
    let mut started: BTreeMap<&str, Vec<(u32, u64, &str)>> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "start") {
        let starts = started.entry(&entry.key).or_default();
        starts.push((entry.attempt, entry.at_ms, &entry.incarnation));
    }
    for (key, mut starts) in started {
        starts.sort_unstable();
        let mut rising = starts.windows(2);
        // Clocks of one machine: they may show the same millisecond, not an earlier one.
        let holds = rising.all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        finding.check(holds, || format!("{key}: {starts:?}"));
    }
    finding
}

/// The accepted attempt began after everything before it was given up.
fn intervals(evidence: &Evidence) -> Finding {
    let name = "what was accepted does not overlap: a frame has one accepted attempt";
    let mut finding = Finding::new("9", name);
    for (id, story) in &evidence.stories {
        let mut accepted: BTreeMap<u32, u32> = BTreeMap::new();
        for (frame, ..) in story.history.iter().filter_map(end_of).filter(|e| e.2 == End::Completed)
        {
            *accepted.entry(frame).or_default() += 1;
        }
        for (frame, count) in accepted {
            finding.check(count == 1, || format!("{id} frame {frame}: {count} accepted"));
        }
    }
    finding
}

fn keys(evidence: &Evidence) -> Finding {
    let name = "all attempts of a task have the same idempotency key, and no other task has it";
    let mut finding = Finding::new("10", name);
    let mut by_task: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for entry in &evidence.ledger {
        let task = (entry.workflow.as_str(), entry.task.as_str());
        by_task.entry(task).or_default().insert(&entry.key);
        by_key.entry(&entry.key).or_default().insert(task);
    }
    // No workflow of the load runs a task twice, so a task has one key.
    for (task, keys) in by_task {
        finding.check(keys.len() == 1, || format!("{task:?} has {keys:?}"));
    }
    for (key, tasks) in by_key {
        finding.check(tasks.len() == 1, || format!("{key} is of {tasks:?}"));
    }
    finding
}
