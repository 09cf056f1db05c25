//! Retries: as many as the policy says, when it says.

use std::collections::{BTreeMap, BTreeSet};

use planaria_proto::retry::v1::{BreakerChange, BreakerPhase};
use planaria_proto::workflow::v1::HistoryEvent;
use planaria_proto::workflow::v1::history_event::Event;

use crate::evidence::{Evidence, ms};
use crate::journal::{Entry, Fault};
use crate::report::Finding;

/// What a hand-over and a busy machine may add to a delay.
const SLACK_MS: u64 = 2_000;
const ECHO_MS: u64 = 20_000;
/// Retries may be 20 % of first attempts, and 10 a second on top, with a burst of one second.
const WINDOW_MS: u64 = 10_000;
const SHARE: f64 = 0.2;
const FLOOR: f64 = 110.0;
const LOSSES_MIN: usize = 3;
/// On one worker alone.
const LOSSES_ALONE: usize = 6;
/// In company, where somebody else may be the culprit.
const LOSSES_MAX: usize = 10;
/// The function whose far side is away.
const HELD_FUNCTION: &str = "chaos-down";
/// How many a half-open breaker lets through.
const PROBES: usize = 5;
/// Until every orchestrator knows of a change, also one that has just begun.
const GATES_MS: u64 = 2_000;
/// They decide and tell of breakers, and obey them.
const TELLING: [&str; 3] = ["retry-engine", "orchestrator", "postgres"];

pub(super) fn all(evidence: &Evidence) -> Vec<Finding> {
    vec![
        delays(evidence),
        charged(evidence),
        budgets(evidence),
        breakers(evidence),
        poison(evidence),
    ]
}

/// Whether a task is of the function whose far side is away for a while: its breaker opens.
pub(super) fn is_held(task: &str) -> bool {
    task.ends_with("/down")
}

/// While a breaker is open none of its tasks begins, while it is half open as many as it probes.
fn breakers(evidence: &Evidence) -> Finding {
    let name = "an open breaker lets nothing through, a half-open one its probes";
    let changes = match &evidence.breakers {
        Ok(changes) => changes,
        Err(error) => return Finding::skipped("26", name, error),
    };
    let mut finding = Finding::new("26", name);
    let of_load = |change: &&BreakerChange| {
        change.key.as_ref().is_some_and(|key| key.function.starts_with(HELD_FUNCTION))
    };
    let changes: Vec<_> = changes.iter().filter(of_load).collect();
    for (place, change) in changes.iter().enumerate() {
        let from_ms = ms(change.at.as_ref()) + GATES_MS;
        let next = changes.get(place + 1).map_or(u64::MAX, |next| ms(next.at.as_ref()));
        let (limit, to_ms) = match change.to() {
            // Without a retry engine its word holds for its time, and no longer.
            BreakerPhase::Open => (0, next.min(ms(change.until.as_ref()))),
            BreakerPhase::HalfOpen => (PROBES, next),
            _ => continue,
        };
        // Who cannot hear of it goes by what was known before.
        let beside = |fault: &Fault| !TELLING.contains(&fault.service.as_str());
        if from_ms >= to_ms || !evidence.calm(from_ms.saturating_sub(GATES_MS), to_ms, beside) {
            continue;
        }
        let begun = evidence.ledger.iter().filter(|entry| {
            entry.what == "start" && is_held(&entry.task) && (from_ms..to_ms).contains(&entry.at_ms)
        });
        // What was lost with its worker was let through before.
        let begun: BTreeSet<_> = begun.map(|entry| &entry.key).collect();
        finding.check(begun.len() <= limit, || {
            format!("{} began while the breaker was {}", begun.len(), change.to().as_str_name())
        });
    }
    finding
}

/// When attempts of a key began.
fn starts(evidence: &Evidence) -> BTreeMap<(&str, &str), Vec<&Entry>> {
    let mut starts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "start") {
        starts.entry((entry.workflow.as_str(), entry.task.as_str())).or_default().push(entry);
    }
    starts
}

fn delays(evidence: &Evidence) -> Finding {
    let name = "a retry begins within the delay that its policy allows (in calm)";
    let mut finding = Finding::new("23", name);
    let starts = starts(evidence);
    for (id, story) in &evidence.stories {
        let mut tasks = BTreeMap::new();
        for event in &story.history {
            match event.event.as_ref() {
                Some(Event::TaskStarted(started)) => {
                    tasks.insert(started.frame, started.task.as_str());
                }
                Some(Event::AttemptFailed(failed)) => {
                    let Some(task) = tasks.get(&failed.frame) else { continue };
                    if is_held(task) {
                        continue;
                    }
                    let (Some(execution), Some(policy)) = (&failed.execution, &failed.policy)
                    else {
                        continue;
                    };
                    let all = starts.get(&(id.as_str(), *task)).into_iter().flatten();
                    let next = all
                        .filter(|entry| entry.attempt > execution.attempt)
                        .min_by_key(|e| e.attempt);
                    let at_ms = ms(event.at.as_ref());
                    let Some(next) = next else { continue };
                    if !evidence.calm(at_ms.saturating_sub(ECHO_MS), next.at_ms, |_| false) {
                        continue;
                    }
                    let in_ms = |duration: Option<&prost_types::Duration>| {
                        let duration = duration.copied().unwrap_or_default();
                        duration.seconds as f64 * 1_000.0 + f64::from(duration.nanos) / 1e6
                    };
                    let power = i32::try_from(failed.failure).unwrap_or(i32::MAX) - 1;
                    let longest = in_ms(policy.delay.as_ref()) * policy.factor.powi(power);
                    let longest = longest.min(in_ms(policy.delay_max.as_ref()));
                    let took_ms = next.at_ms.saturating_sub(at_ms);
                    let early = next.at_ms < at_ms;
                    finding.check(!early && took_ms as f64 <= longest + SLACK_MS as f64, || {
                        format!("{id} {task}: {took_ms} ms after failure {}", failed.failure)
                    });
                }
                _ => (),
            }
        }
    }
    finding
}

fn charged(evidence: &Evidence) -> Finding {
    let name =
        "failures are counted 1, 2, 3, … up to the policy's limit; losses are not among them";
    let mut finding = Finding::new("24", name);
    for (id, story) in &evidence.stories {
        let mut failures: BTreeMap<u32, u32> = BTreeMap::new();
        for event in &story.history {
            match event.event.as_ref() {
                Some(Event::AttemptFailed(failed)) => {
                    let count = failures.entry(failed.frame).or_default();
                    *count += 1;
                    let max = failed.policy.as_ref().map_or(u32::MAX, |policy| policy.attempts_max);
                    finding.check(failed.failure == *count && *count <= max, || {
                        format!("{id}: failure {} is the {count}. of {max}", failed.failure)
                    });
                }
                Some(Event::AttemptLost(lost)) => {
                    let fine =
                        usize::try_from(lost.losses).is_ok_and(|losses| losses <= LOSSES_MAX);
                    finding.check(fine, || format!("{id}: {} losses", lost.losses));
                }
                _ => (),
            }
        }
    }
    finding
}

fn budgets(evidence: &Evidence) -> Finding {
    let name = "in any 10 s retries are at most 20 % of first attempts and 10 a second";
    let mut finding = Finding::new("25", name);
    let failed: BTreeSet<(&str, u32)> = evidence
        .ledger
        .iter()
        .filter(|entry| entry.what == "fail")
        .map(|entry| (entry.key.as_str(), entry.attempt))
        .collect();
    let mut windows: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "start") {
        let (first, again) = windows.entry(entry.at_ms / WINDOW_MS).or_default();
        if entry.attempt == 1 {
            *first += 1.0;
        } else if (1..entry.attempt).any(|attempt| failed.contains(&(entry.key.as_str(), attempt)))
        {
            *again += 1.0;
        }
    }
    for (window, (first, again)) in windows {
        finding.check(again <= first * SHARE + FLOOR, || {
            format!("at {} s: {again} retries for {first} first attempts", window * 10)
        });
    }
    finding
}

/// Who lost a task, and how often it was lost: the task of that name alone, for the others of its
/// workflow are charged on their own.
fn losses_of(history: &[HistoryEvent], task: &str) -> (BTreeSet<String>, usize) {
    let (mut workers, mut losses) = (BTreeSet::new(), 0);
    let mut frames = BTreeSet::new();
    for event in history.iter().filter_map(|event| event.event.as_ref()) {
        match event {
            Event::TaskStarted(started) if started.task.ends_with(task) => {
                frames.insert(started.frame);
            }
            // Handed back, or lost without having been begun: that is nobody's fault.
            Event::AttemptLost(lost)
                if frames.contains(&lost.frame)
                    && usize::try_from(lost.losses).unwrap_or(usize::MAX) > losses =>
            {
                losses += 1;
                workers.extend(lost.execution.as_ref().map(|e| e.worker_id.clone()));
            }
            _ => (),
        }
    }
    (workers, losses)
}

fn poison(evidence: &Evidence) -> Finding {
    let name = "what kills its workers is given up after 3 losses on 2 workers, as a dead letter";
    let mut finding = Finding::new("27", name);
    for promise in evidence.promises.iter().filter(|promise| promise.kind == "poison") {
        let Some(story) = evidence.stories.get(&promise.workflow) else { continue };
        let (workers, losses) = losses_of(&story.history, "/poison");
        let enough = losses >= LOSSES_MIN && (workers.len() >= 2 || losses >= LOSSES_ALONE);
        let letter = match &evidence.dead_letters {
            Ok(letters) => letters.iter().any(|letter| letter.workflow_id == promise.workflow),
            Err(_) => true,
        };
        finding.check(enough && losses <= LOSSES_MAX && letter, || {
            let workers = workers.len();
            format!("{}: {losses} losses on {workers}, dead letter {letter}", promise.workflow)
        });
    }
    if let Err(error) = &evidence.dead_letters {
        finding.check(false, || format!("dead letters cannot be listed: {error}"));
    }
    finding
}
