//! Work goes on, in time.

use std::collections::BTreeMap;

use planaria_proto::types::v1::Signal;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::task_started::Detail;
use serde_json::Value;

use super::history::word;
use super::retry::is_held;
use crate::evidence::{End, Evidence, end_of, ms};
use crate::figures;
use crate::journal::{Call, Fault, Outcome};
use crate::report::Finding;

/// The lease, a sweep, and what a busy machine adds.
const LEASE_MS: u64 = 11_000;
/// A fault may show so long after it was over: leases, retries of calls, recovery.
const ECHO_MS: u64 = 20_000;
const LATE_MS: u64 = 250;
const STRANDED_MS: u64 = 1_000;
/// Everybody is back at PostgreSQL so long after it accepts.
const BACK_MS: u64 = 5_000;
const OUTAGE_MS_MIN: u64 = 500;

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    vec![
        recoveries(evidence),
        outcomes(evidence),
        nothing_open(evidence),
        timers(evidence),
        false_deaths(evidence),
        stranded(evidence),
        backlogs(evidence),
    ]
}

/// Who was lost before waits for its trial, and for the trials of others, however fast it is taken
/// from its worker.
fn recoveries(evidence: &Evidence) -> Finding {
    let name =
        "what a lost worker had is taken from it within the lease (11 s), and runs elsewhere";
    let mut finding = Finding::new("11", name);
    for recovery in figures::recoveries(evidence).iter().filter(|recovery| recovery.bound) {
        let taken_ms = recovery.taken_ms.filter(|_| recovery.was_lost_before);
        let (what, ms) = match taken_ms {
            Some(taken_ms) => ("taken from it", taken_ms),
            None => ("elsewhere", recovery.took_ms),
        };
        finding.check(ms <= LEASE_MS, || {
            format!("{} after {}: {what} after {ms} ms", recovery.key, recovery.cause)
        });
    }
    finding
}

fn outcomes(evidence: &Evidence) -> Finding {
    let name = "every accepted workflow comes to its expected end within 60 s after the last fault";
    let mut finding = Finding::new("12", name);
    for promise in &evidence.promises {
        let Some(story) = evidence.stories.get(&promise.workflow) else {
            finding.check(false, || format!("{} is lost", promise.workflow));
            continue;
        };
        let phase = word(story.workflow.phase());
        let output = story.workflow.output.as_ref().map(|output| output.data.as_ref());
        let output: Value =
            output.and_then(|data| serde_json::from_slice(data).ok()).unwrap_or_default();
        let right = phase == promise.phase && (phase != "completed" || output == promise.output);
        finding.check(right, || {
            let Promised { kind, phase: expected, wanted } =
                Promised { kind: &promise.kind, phase: &promise.phase, wanted: &promise.output };
            let id = &promise.workflow;
            format!("{id} ({kind}): {phase} with {output}, expected {expected} with {wanted}")
        });
    }
    finding
}

/// For messages.
struct Promised<'a> {
    kind: &'a str,
    phase: &'a str,
    wanted: &'a Value,
}

fn nothing_open(evidence: &Evidence) -> Finding {
    let name = "after the load nothing is open: no workflow, task, timer or listener";
    let database = match &evidence.database {
        Ok(database) => database,
        Err(error) => return Finding::skipped("13", name, error),
    };
    let mut finding = Finding::new("13", name);
    for (what, count) in [
        ("workflows", database.open_workflows),
        ("timers", database.open_timers),
        ("listeners", database.open_listeners),
    ] {
        finding.check(count == 0, || format!("{count} {what} are open"));
    }
    finding
}

fn timers(evidence: &Evidence) -> Finding {
    let name = "a timer fires once, never early, and in calm within 250 ms (p99)";
    let mut finding = Finding::new("14", name);
    let mut late = Vec::new();
    for (id, story) in &evidence.stories {
        let mut due: BTreeMap<u32, u64> = BTreeMap::new();
        for event in &story.history {
            match event.event.as_ref() {
                Some(Event::TaskStarted(started)) => {
                    if let Some(Detail::Wait(wait)) = &started.detail {
                        due.insert(started.frame, ms(wait.until.as_ref()));
                    }
                }
                Some(Event::TaskCompleted(completed)) => {
                    let Some(due_ms) = due.get(&completed.frame) else { continue };
                    let at_ms = ms(event.at.as_ref());
                    finding.check(at_ms >= *due_ms, || {
                        format!("{id} frame {}: {} ms early", completed.frame, due_ms - at_ms)
                    });
                    if evidence.calm(due_ms.saturating_sub(ECHO_MS), at_ms, |_| false) {
                        late.push(at_ms.saturating_sub(*due_ms));
                    }
                }
                _ => (),
            }
        }
    }
    let percentile = figures::percentile(&mut late, 99);
    if let Some(late_ms) = percentile {
        finding.check(late_ms <= LATE_MS, || format!("p99 in calm is {late_ms} ms late"));
    }
    finding
}

/// Whether a fault can be why a worker was pronounced dead.
fn explains(fault: &Fault, worker: &str, at_ms: u64) -> bool {
    let over_ms = fault.back_ms.unwrap_or(fault.until_ms).max(fault.until_ms) + ECHO_MS;
    let touches = fault.target == worker
        || matches!(
            fault.service.as_str(),
            "gateway" | "orchestrator" | "failure-detector" | "postgres"
        );
    touches && fault.at_ms <= at_ms && at_ms <= over_ms
}

fn false_deaths(evidence: &Evidence) -> Finding {
    let name = "no attempt is taken from a worker that nothing happened to";
    let mut finding = Finding::new("15", name);
    let poison: Vec<_> =
        evidence.ledger.iter().filter(|entry| entry.task.ends_with("/poison")).collect();
    for (id, story) in &evidence.stories {
        for event in &story.history {
            if end_of(event).is_some_and(|(_, _, end)| end != End::Lost) {
                finding.check(true, String::new);
            }
            let Some(Event::AttemptLost(lost)) = event.event.as_ref() else { continue };
            let Some(execution) = &lost.execution else { continue };
            let at_ms = ms(event.at.as_ref());
            let worker = execution.worker_id.as_str();
            let crashed = poison.iter().any(|entry| {
                entry.worker == worker && entry.at_ms <= at_ms && at_ms <= entry.at_ms + ECHO_MS
            });
            // The load has tasks that hang; they are taken away because they do.
            let stalled = lost.signal() == Signal::Stalled;
            let explained = stalled
                || crashed
                || evidence.faults.iter().any(|fault| explains(fault, worker, at_ms));
            finding.check(explained, || {
                format!(
                    "{id}: lost with {worker} by {}: {}",
                    lost.signal().as_str_name(),
                    lost.detail
                )
            });
        }
    }
    finding
}

fn stranded(evidence: &Evidence) -> Finding {
    let name = "in calm a task starts within 1 s (p99)";
    let mut finding = Finding::new("16", name);
    let mut first: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "start") {
        first.entry((&entry.workflow, &entry.task)).or_insert(entry.at_ms);
    }
    let mut waited = Vec::new();
    for (id, story) in &evidence.stories {
        for event in &story.history {
            let Some(Event::TaskStarted(started)) = event.event.as_ref() else { continue };
            let begun = first.get(&(id.as_str(), started.task.as_str()));
            // Its breaker may hold it back.
            let waits = !matches!(started.detail, Some(Detail::Call(_))) || is_held(&started.task);
            let (false, Some(begun_ms)) = (waits, begun) else {
                continue;
            };
            let at_ms = ms(event.at.as_ref());
            if evidence.calm(at_ms.saturating_sub(ECHO_MS), *begun_ms, |_| false) {
                waited.push(begun_ms.saturating_sub(at_ms));
            }
        }
    }
    if let Some(waited_ms) = figures::percentile(&mut waited, 99) {
        for _ in 1..waited.len() {
            finding.check(true, String::new);
        }
        finding.check(waited_ms <= STRANDED_MS, || format!("p99 in calm is {waited_ms} ms"));
    }
    finding
}

/// Starts that PostgreSQL's absence held up: those that were waiting when it came back, or came in
/// the seconds after, are answered as fast as it took it to leave and come back.
fn backlogs(evidence: &Evidence) -> Finding {
    let name = "starts that an outage of PostgreSQL held up are answered within its length and 5 s";
    let mut finding = Finding::new("17", name);
    let answered = |call: &&Call| call.call == "start" && call.outcome == Outcome::Ok;
    let starts: Vec<_> = evidence.calls.iter().filter(answered).collect();
    for fault in evidence.faults.iter().filter(|fault| fault.service == "postgres") {
        let Some(back_ms) = fault.back_ms else { continue };
        let length_ms = back_ms.saturating_sub(fault.at_ms);
        let limit_ms = back_ms + length_ms + BACK_MS;
        let beside = |other: &Fault| {
            other.service == "postgres" && other.at_ms == fault.at_ms
                || !["postgres", "orchestrator", "gateway"].contains(&other.service.as_str())
        };
        if length_ms < OUTAGE_MS_MIN || !evidence.calm(fault.at_ms, limit_ms, beside) {
            continue;
        }
        let held = starts.iter().filter(|start| {
            start.at_ms >= fault.at_ms && start.at_ms <= back_ms && start.answered_ms > back_ms
        });
        for start in held {
            finding.check(start.answered_ms <= limit_ms, || {
                let late_ms = start.answered_ms - back_ms;
                format!("{} after an outage of {length_ms} ms: {late_ms} ms", start.workflow)
            });
        }
    }
    finding
}
