//! What was acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};

use planaria_proto::workflow::v1::history_event::Event;
use serde_json::Value;

use crate::evidence::Evidence;
use crate::journal::Outcome;
use crate::report::Finding;

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    vec![starts(evidence), signals(evidence), completions(evidence), commits(evidence)]
}

fn starts(evidence: &Evidence) -> Finding {
    let name = "an acknowledged start is in the database and has a history, once for each key";
    let mut finding = Finding::new("1", name);
    let mut by_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for promise in &evidence.promises {
        by_key.entry(&promise.key).or_default().insert(&promise.workflow);
        let story = evidence.stories.get(&promise.workflow);
        let told = story.is_some_and(|story| !story.history.is_empty());
        let kept = match &evidence.database {
            Ok(database) => database.ids.contains(&promise.workflow),
            Err(_) => true,
        };
        finding.check(told && kept, || {
            format!("{} ({}): history {told}, row {kept}", promise.workflow, promise.key)
        });
    }
    for (key, ids) in by_key {
        finding.check(ids.len() == 1, || format!("the key {key} started {ids:?}"));
    }
    // Starts of which nobody knows may be there, but never twice.
    for (key, ids) in evidence.database.iter().flat_map(|database| &database.workflows) {
        finding.check(key.is_empty() || ids.len() == 1, || format!("key {key} has {ids:?}"));
    }
    finding
}

fn signals(evidence: &Evidence) -> Finding {
    let name = "an acknowledged signal or cancel is in the history exactly once";
    let mut finding = Finding::new("2", name);
    let mut seen = BTreeSet::new();
    for call in evidence.calls.iter().filter(|call| call.outcome == Outcome::Ok) {
        let wanted = matches!(call.call.as_str(), "signal" | "cancel");
        if !wanted || !seen.insert((&call.call, &call.workflow)) {
            continue;
        }
        let history = evidence.stories.get(&call.workflow).map(|story| &story.history);
        let counts = |event: &Event| match event {
            Event::EventReceived(event) => call.call == "signal" && event.id == call.event,
            Event::WorkflowCancelled(_) => call.call == "cancel",
            _ => false,
        };
        let events = history.into_iter().flatten().filter_map(|event| event.event.as_ref());
        let count = events.filter(|event| counts(event)).count();
        finding.check(count == 1, || format!("{} of {}: {count} times", call.call, call.workflow));
    }
    finding
}

/// A result names who made it: `worker:incarnation:attempt`.
fn completions(evidence: &Evidence) -> Finding {
    let name = "a result in the history is the one that its worker's ledger has, once";
    let mut finding = Finding::new("3", name);
    let mut finished: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "finish") {
        let by = format!("{}:{}:{}", entry.worker, entry.incarnation, entry.attempt);
        *finished.entry((&entry.workflow, format!("{}#{by}", entry.task))).or_default() += 1;
    }
    for (id, story) in &evidence.stories {
        let mut tasks = BTreeMap::new();
        for event in story.history.iter().filter_map(|event| event.event.as_ref()) {
            if let Event::TaskStarted(started) = event {
                tasks.insert(started.frame, started.task.as_str());
            }
            let Event::TaskCompleted(completed) = event else { continue };
            let Some(execution) = &completed.execution else { continue };
            let output = completed.output.as_deref().unwrap_or_default();
            let output: Value = serde_json::from_slice(output).unwrap_or_default();
            let by = output["by"].as_str().unwrap_or_default();
            let task = tasks.get(&completed.frame).copied().unwrap_or_default();
            let ends = format!(":{}", execution.attempt);
            let own = by.starts_with(&format!("{}:", execution.worker_id)) && by.ends_with(&ends);
            let count = finished.get(&(id.as_str(), format!("{task}#{by}"))).copied();
            finding.check(own && count == Some(1), || {
                format!(
                    "{id} {task}: `{by}` for attempt {} of {}, {count:?} in the ledger",
                    execution.attempt, execution.worker_id
                )
            });
        }
    }
    finding
}

/// What was acknowledged just before an orchestrator or PostgreSQL died is there.
fn commits(evidence: &Evidence) -> Finding {
    const BEFORE_MS: u64 = 1_000;
    let name = "nothing is acknowledged before it is on disk (starts in the second before a crash)";
    let mut finding = Finding::new("4", name);
    let crash = |service: &str, kind: &str| {
        matches!((service, kind), ("orchestrator", "kill") | ("postgres", "crash" | "kill"))
    };
    for fault in evidence.faults.iter().filter(|fault| crash(&fault.service, &fault.kind)) {
        let before = fault.at_ms.saturating_sub(BEFORE_MS)..=fault.at_ms;
        for promise in evidence.promises.iter().filter(|p| before.contains(&p.accepted_ms)) {
            let there = evidence.stories.contains_key(&promise.workflow);
            finding.check(there, || format!("{} is gone after {}", promise.workflow, fault.how));
        }
    }
    finding
}
