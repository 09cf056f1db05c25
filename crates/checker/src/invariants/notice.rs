//! Events tell what was committed, all of it, in order.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Evidence, terminal};
use crate::report::Finding;

const STARTED: &str = "io.serverlessworkflow.workflow.started.v1";
const WORKFLOW: &str = "io.serverlessworkflow.workflow.";

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    vec![delivered(evidence), ordered(evidence), numbered(evidence)]
}

/// The workflow that an event is about.
fn subject<'a>(evidence: &Evidence, subject: &'a str) -> Option<&'a str> {
    subject.split('/').find(|part| evidence.stories.contains_key(*part))
}

fn delivered(evidence: &Evidence) -> Finding {
    let name = "a reader gets the start and the end of every workflow; ids are told once a place";
    let events = match &evidence.events {
        Ok(events) => events,
        Err(error) => return Finding::skipped("28", name, error),
    };
    let mut finding = Finding::new("28", name);
    let mut told: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.r#type.starts_with(WORKFLOW)) {
        if let Some(id) = subject(evidence, &event.subject) {
            told.entry(id).or_default().insert(&event.r#type);
        }
    }
    for (id, story) in &evidence.stories {
        let types = told.get(id.as_str());
        let has = |kind: &str| types.is_some_and(|types| types.contains(kind));
        let end = story.history.last().and_then(terminal);
        let ended = end.is_none_or(|end| has(&format!("{WORKFLOW}{end}.v1")));
        finding.check(has(STARTED) && ended, || format!("{id} ({end:?}): only {types:?}"));
    }
    finding
}

fn ordered(evidence: &Evidence) -> Finding {
    let name = "events of a workflow come in the order of its history, and of known workflows only";
    let events = match &evidence.events {
        Ok(events) => events,
        Err(error) => return Finding::skipped("29", name, error),
    };
    let mut finding = Finding::new("29", name);
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events.iter().filter(|event| event.r#type.starts_with(WORKFLOW)) {
        let id = subject(evidence, &event.subject);
        let Some(id) = id else {
            // Starts whose answer was lost are known to the database only.
            let known = evidence.database.as_ref().is_ok_and(|database| {
                event.subject.split('/').any(|part| database.ids.contains(part))
            });
            finding.check(known, || format!("{} of nobody: {}", event.r#type, event.subject));
            continue;
        };
        let sequence = event.extensions.get("sequence").and_then(|text| text.parse().ok());
        let Some(sequence) = sequence else { continue };
        let before = last.insert(id, sequence).unwrap_or_default();
        finding.check(sequence >= before, || format!("{id}: {sequence} after {before}"));
    }
    finding
}

fn numbered(evidence: &Evidence) -> Finding {
    let name = "the log, which is the outbox, has no gap: what is committed is read";
    let database = match &evidence.database {
        Ok(database) => database,
        Err(error) => return Finding::skipped("30", name, error),
    };
    let mut finding = Finding::new("30", name);
    for (log, first, last, count) in &database.logs {
        finding.check(last - first + 1 == *count, || {
            format!("log {log} has {count} entries from {first} to {last}")
        });
    }
    finding
}
