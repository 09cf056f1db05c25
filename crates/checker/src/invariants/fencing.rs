//! Of all attempts of a task one result counts.

use std::collections::{BTreeMap, BTreeSet};

use planaria_proto::workflow::v1::history_event::Event;

use crate::evidence::{End, Evidence, end_of};
use crate::journal::Entry;
use crate::report::Finding;

/// As the contract has it.
const ACCEPTED: &str = "ACCEPTANCE_ACCEPTED";
/// What waited for a process or a network is handed on so long after that is back.
const WAKING_MS: u64 = 3_000;

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    let (ends, current) = histories(evidence);
    vec![
        ends,
        current,
        repetitions(evidence),
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

/// How the attempts of a task ended by the history: workflow, task and attempt to the end.
type Ends<'a> = BTreeMap<(&'a str, &'a str, u32), End>;

fn ends(evidence: &Evidence) -> Ends<'_> {
    let mut ends = Ends::new();
    for (id, story) in &evidence.stories {
        let mut tasks = BTreeMap::new();
        for event in &story.history {
            if let Some(Event::TaskStarted(started)) = event.event.as_ref() {
                tasks.insert(started.frame, started.task.as_str());
            }
            let Some((frame, execution, end)) = end_of(event) else { continue };
            if let Some(task) = tasks.get(&frame) {
                ends.insert((id, task, execution.attempt), end);
            }
        }
    }
    ends
}

fn repetitions(evidence: &Evidence) -> Finding {
    let name = "a result that is reported again is accepted if it counts, and only then";
    let mut finding = Finding::new("7", name);
    let ends = ends(evidence);
    let again = evidence.ledger.iter().filter(|entry| entry.what == "again" && !entry.released);
    for entry in again.filter(|entry| evidence.stories.contains_key(&entry.workflow)) {
        let Entry { workflow, task, attempt, acceptance, .. } = entry;
        let end = ends.get(&(workflow.as_str(), task.as_str(), *attempt));
        let counts = matches!(end, Some(End::Completed | End::Failed));
        finding.check(counts == (acceptance == ACCEPTED), || {
            format!("{workflow} {task} attempt {attempt}: {end:?} in the history, {acceptance}")
        });
    }
    finding
}

/// What may hold an assignment back without anybody's fault: while its worker, or the gateway that
/// it comes through, was stopped or cut off, its attempt was given up; now it arrives.
fn was_held_back(evidence: &Evidence, late: &Entry, newer_ms: u64) -> bool {
    let gateway = evidence.meta["gateway_of"][&late.worker].as_str();
    evidence.faults.iter().filter(|fault| fault.bitten).any(|fault| {
        let way = match fault.kind.as_str() {
            "stop" if fault.target == late.worker => {
                fault.pid.is_some_and(|pid| pid.to_string() == late.incarnation)
            }
            "blackhole" if fault.target == late.worker => true,
            "stop" | "blackhole" => gateway == Some(&fault.target),
            _ => false,
        };
        let over_ms = fault.back_ms.unwrap_or(fault.until_ms);
        way && fault.at_ms <= newer_ms && late.at_ms <= over_ms + WAKING_MS
    })
}

fn attempts(evidence: &Evidence) -> Finding {
    let name = "an attempt's number is executed by one worker, once, and rises; but for what was \
                held back, and does not count";
    let mut finding = Finding::new("8", name);
    let ends = ends(evidence);
    let mut started: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "start") {
        started.entry(&entry.key).or_default().push(entry);
    }
    for (key, mut starts) in started {
        starts.sort_unstable_by_key(|start| (start.attempt, start.at_ms));
        let once = starts.windows(2).all(|pair| pair[0].attempt < pair[1].attempt);
        let rises = starts.iter().enumerate().all(|(place, start)| {
            // Clocks of one machine: they may show the same millisecond, not an earlier one.
            let newer = starts[place + 1..].iter().map(|newer| newer.at_ms).min();
            let Some(newer_ms) = newer.filter(|newer_ms| *newer_ms < start.at_ms) else {
                return true;
            };
            let end = ends.get(&(start.workflow.as_str(), start.task.as_str(), start.attempt));
            let counts = matches!(end, Some(End::Completed | End::Failed));
            !counts && was_held_back(evidence, start, newer_ms)
        });
        finding.check(once && rises, || {
            let told = starts.iter().map(|s| (s.attempt, s.at_ms, &s.worker, &s.incarnation));
            format!("{key}: {:?}", told.collect::<Vec<_>>())
        });
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
