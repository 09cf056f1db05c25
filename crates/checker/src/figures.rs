//! How many, how often, how long.

use std::collections::{BTreeMap, BTreeSet};

use planaria_proto::workflow::v1::history_event::Event;
use serde_json::{Value, json};

use crate::evidence::{End, Evidence, end_of, ms};
use crate::journal::{Entry, Fault, Outcome};

/// What is looked at after a fault, to see work going on.
const AFTER_MS: u64 = 15_000;
/// Completions in a second after PostgreSQL is back, as a share of the rate, that count as steady.
const STEADY: f64 = 0.8;
const STEP_MS: u64 = 100;
/// What was broken is over, and its echo too, so long after it is back.
const BEFORE_MS: u64 = 6_000;
const DETECTOR: &str = "failure-detector";
const DETECTORS: usize = 2;
/// Without these everything goes on, if later.
const BESIDE: [&str; 5] = [DETECTOR, "retry-engine", "notification", "monitoring", "redis"];

/// The number within which so many percent lie (nearest rank).
pub(crate) fn percentile(numbers: &mut [u64], percent: usize) -> Option<u64> {
    numbers.sort_unstable();
    let index = (numbers.len() * percent).div_ceil(100).max(1) - 1;
    numbers.get(index).copied()
}

/// An attempt that was lost with its worker and ran elsewhere.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) key: String,
    /// `kill`, `crash of itself`, `stop`, `blackhole`, `reset`.
    pub(crate) cause: String,
    pub(crate) took_ms: u64,
    /// How long until it was taken from its worker, as far as the history tells.
    pub(crate) taken_ms: Option<u64>,
    pub(crate) company: Company,
    /// It was lost before with another worker: unless it was acquitted since, the engine tries it
    /// apart, as what may have killed both.
    pub(crate) was_lost_before: bool,
    /// Nothing was broken but the worker itself and services that only make things faster.
    pub(crate) bound: bool,
}

/// What else was broken when a worker vanished, until what it had ran elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    Nothing,
    /// Every failure detector, and nothing else.
    Detectors,
    More,
}

/// When a worker vanished: the worker, its incarnation if it is over, when, and why.
struct Vanished<'a> {
    worker: &'a str,
    at_ms: u64,
    cause: String,
}

/// Every attempt that was open when its worker vanished and began elsewhere later.
pub(crate) fn recoveries(evidence: &Evidence) -> Vec<Recovery> {
    const LONG_MS: u64 = 2_000;
    let mut vanished = Vec::new();
    for fault in evidence.faults.iter().filter(|f| f.service == "worker" && f.bitten) {
        let long = fault.until_ms.saturating_sub(fault.at_ms) >= LONG_MS;
        if fault.kind == "kill" || long && fault.kind != "terminate" {
            let (worker, at_ms, cause) = (fault.target.as_str(), fault.at_ms, fault.kind.clone());
            vanished.push(Vanished { worker, at_ms, cause });
        }
    }
    for entry in &evidence.ledger {
        if entry.task.ends_with("/poison") {
            let cause = "abort".to_owned();
            vanished.push(Vanished { worker: &entry.worker, at_ms: entry.at_ms, cause });
        }
    }
    let mut attempts: BTreeMap<(&str, u32), (&Entry, Option<u64>)> = BTreeMap::new();
    for entry in &evidence.ledger {
        let attempt = (entry.key.as_str(), entry.attempt);
        if entry.what == "start" {
            attempts.entry(attempt).or_insert((entry, None));
        } else if let Some((_, end)) = attempts.get_mut(&attempt) {
            end.get_or_insert(entry.at_ms);
        }
    }
    let (taken, lost) = (taken(evidence), lost_attempts(evidence));
    let mut recoveries = Vec::new();
    for Vanished { worker, at_ms, cause } in &vanished {
        for (start, end) in attempts.values() {
            let begun =
                start.worker == *worker && start.at_ms <= *at_ms && start.at_ms + AFTER_MS > *at_ms;
            if !begun || end.is_some_and(|end| end <= at_ms + 1_000) {
                continue;
            }
            let later = attempts.range((start.key.as_str(), start.attempt + 1)..);
            let next = later.map(|(_, (next, _))| next).find(|next| next.key == start.key);
            let Some(next) = next.filter(|next| next.at_ms >= *at_ms) else { continue };
            let own = |fault: &Fault| fault.target == *worker;
            let from_ms = at_ms.saturating_sub(BEFORE_MS);
            let calm = |allowed: &dyn Fn(&Fault) -> bool| {
                evidence.calm(from_ms, next.at_ms, |fault| own(fault) || allowed(fault))
            };
            let company = if calm(&|_| false) {
                Company::Nothing
            } else if blind(evidence, *at_ms) && calm(&|fault| fault.service == DETECTOR) {
                Company::Detectors
            } else {
                Company::More
            };
            let earlier =
                attempts.range((start.key.as_str(), 0)..(start.key.as_str(), start.attempt));
            // The ledger does not know what was lost on its way to the worker.
            let charged = lost.range((start.key.clone(), 0)..(start.key.clone(), start.attempt));
            let never_ended = earlier.map(|(_, (_, end))| end).any(Option::is_none);
            recoveries.push(Recovery {
                was_lost_before: never_ended || charged.count() > 0,
                key: start.key.clone(),
                cause: cause.clone(),
                took_ms: next.at_ms - at_ms,
                taken_ms: taken.get(&(&start.workflow, &start.worker, start.attempt)).and_then(
                    |times| times.range(*at_ms..).next().map(|taken_ms| taken_ms - at_ms),
                ),
                company,
                bound: calm(&|fault| BESIDE.contains(&fault.service.as_str())),
            });
        }
    }
    recoveries
}

/// When attempts were taken away: by workflow, worker and number, for the tasks of a workflow that
/// have the same in common.
fn taken(evidence: &Evidence) -> BTreeMap<(&str, &str, u32), BTreeSet<u64>> {
    let mut taken: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    for (id, story) in &evidence.stories {
        for event in &story.history {
            if let Some((_, execution, End::Lost)) = end_of(event) {
                let attempt = (id.as_str(), execution.worker_id.as_str(), execution.attempt);
                taken.entry(attempt).or_default().insert(ms(event.at.as_ref()));
            }
        }
    }
    taken
}

/// The attempts that were lost and charged, by the key of their task.
fn lost_attempts(evidence: &Evidence) -> BTreeSet<(String, u32)> {
    let mut lost = BTreeSet::new();
    for (id, story) in &evidence.stories {
        for event in story.history.iter().filter_map(|event| event.event.as_ref()) {
            let Event::AttemptLost(loss) = event else { continue };
            let attempt = loss.execution.as_ref().filter(|_| loss.losses > 0);
            lost.extend(attempt.map(|of| (format!("{id}/{}", loss.frame), of.attempt)));
        }
    }
    lost
}

/// Whether every failure detector was away.
fn blind(evidence: &Evidence, at_ms: u64) -> bool {
    let away = |fault: &&Fault| {
        let over_ms = fault.back_ms.unwrap_or(fault.until_ms);
        fault.service == DETECTOR && fault.at_ms <= at_ms && at_ms <= over_ms
    };
    let away = evidence.faults.iter().filter(away).map(|fault| &fault.target);
    away.collect::<BTreeSet<_>>().len() >= DETECTORS
}

pub(crate) fn of(evidence: &Evidence) -> Value {
    let accepted: BTreeSet<_> = evidence.promises.iter().map(|promise| &promise.key).collect();
    let quiet_ms = evidence.number("quiet_ms").saturating_sub(evidence.number("healed_ms"));
    let mut figures = json!({
        "workflows_accepted": accepted.len(),
        "workflows_lost": lost(evidence),
        "attempts_begun": evidence.ledger.iter().filter(|entry| entry.what == "start").count(),
        "faults": evidence.faults.iter().filter(|fault| !fault.skipped).count(),
        "faults_by_kind": by_kind(evidence),
        "open_after_the_deadline": evidence.number("open"),
        "quiet_after_s": quiet_ms / 1_000,
    });
    calls(evidence, &mut figures);
    zombies(evidence, &mut figures);
    let mut by_cause: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for recovery in recoveries(evidence) {
        let company = match recovery.company {
            Company::Nothing => "alone",
            Company::Detectors => "no failure detector",
            Company::More => "among others",
        };
        let whom = if recovery.was_lost_before { ", lost before" } else { "" };
        let cause = format!("{}, {company}{whom}", recovery.cause);
        by_cause.entry(cause).or_default().push(recovery.took_ms);
    }
    for (cause, times) in by_cause {
        figures[format!("worker {cause}: runs elsewhere, ms")] = summary(times);
    }
    figures["orchestrator kill: results committed, ms"] = summary(decisions(evidence));
    figures["postgres back: steady after, ms"] = summary(steady(evidence));
    figures
}

fn summary(mut times: Vec<u64>) -> Value {
    json!({
        "count": times.len(),
        "p50": percentile(&mut times, 50),
        "p99": percentile(&mut times, 99),
        "max": times.last(),
    })
}

fn lost(evidence: &Evidence) -> usize {
    let gone = |id: &String| !evidence.stories.contains_key(id);
    evidence.promises.iter().filter(|promise| gone(&promise.workflow)).count()
}

fn by_kind(evidence: &Evidence) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for fault in evidence.faults.iter().filter(|fault| !fault.skipped) {
        *counts.entry(format!("{} {}", fault.service, fault.kind)).or_default() += 1;
    }
    counts
}

/// Calls of clients, apart from those while PostgreSQL was away.
fn calls(evidence: &Evidence, figures: &mut Value) {
    let outages = evidence.outages();
    let (mut ok, mut unknown, mut refused, mut during) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut during_ok, mut reasons) = (0_u64, BTreeMap::<String, u64>::new());
    for call in &evidence.calls {
        let answered_ms = call.answered_ms.max(call.at_ms);
        if outages.iter().any(|(from, to)| call.at_ms <= *to && answered_ms >= *from) {
            during += 1;
            during_ok += u64::from(call.outcome == Outcome::Ok);
            continue;
        }
        match call.outcome {
            Outcome::Ok => ok += 1,
            Outcome::Fail => refused += 1,
            Outcome::Unknown => unknown += 1,
        }
        if call.outcome != Outcome::Ok {
            let reason = call.reason.chars().take(90).collect::<String>();
            *reasons.entry(format!("{} {reason}", call.call)).or_default() += 1;
        }
    }
    let all = ok + unknown;
    figures["client_calls"] = all.into();
    figures["client_calls_without_success"] = unknown.into();
    figures["client_calls_refused_for_good"] = refused.into();
    figures["client_success_percent"] =
        if all == 0 { Value::Null } else { json!(ok as f64 * 100.0 / all as f64) };
    figures["client_calls_while_postgres_was_away"] = json!({ "all": during, "ok": during_ok });
    figures["client_reasons"] = json!(reasons);
}

/// Results of attempts that had been given up: none may count.
fn zombies(evidence: &Evidence, figures: &mut Value) {
    let (mut seen, mut accepted, mut doubles, mut overlap_ms) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut finished: BTreeMap<(&str, &str, u32), u64> = BTreeMap::new();
    for entry in evidence.ledger.iter().filter(|entry| entry.what == "finish") {
        finished.insert((&entry.workflow, &entry.worker, entry.attempt), entry.at_ms);
    }
    for (id, story) in &evidence.stories {
        let mut lost = BTreeMap::new();
        let mut completed = BTreeSet::new();
        for (event, (frame, execution, end)) in
            story.history.iter().filter_map(|event| Some((event, end_of(event)?)))
        {
            match end {
                End::Lost => {
                    lost.insert((frame, execution.attempt), ms(event.at.as_ref()));
                    let ledger = (id.as_str(), execution.worker_id.as_str(), execution.attempt);
                    if let Some(at_ms) = finished.get(&ledger) {
                        seen += 1;
                        overlap_ms += at_ms.saturating_sub(ms(event.at.as_ref()));
                    }
                }
                End::Completed => {
                    doubles += u64::from(!completed.insert(frame));
                    accepted += u64::from(lost.contains_key(&(frame, execution.attempt)));
                }
                End::Failed => (),
            }
        }
    }
    figures["results_applied_twice"] = doubles.into();
    figures["zombies_accepted"] = accepted.into();
    figures["results_after_their_attempt_was_given_up"] = seen.into();
    figures["overlap_ms"] = overlap_ms.into();
}

/// From a worker's finish to its commit, of what finished within two seconds after an orchestrator
/// was killed, while nothing else was broken.
fn decisions(evidence: &Evidence) -> Vec<u64> {
    const WINDOW_MS: u64 = 2_000;
    let mut committed: BTreeMap<(String, u32), u64> = BTreeMap::new();
    for (id, story) in &evidence.stories {
        for (event, (frame, execution, end)) in
            story.history.iter().filter_map(|event| Some((event, end_of(event)?)))
        {
            if end == End::Completed {
                let attempt = (format!("{id}/{frame}"), execution.attempt);
                committed.insert(attempt, ms(event.at.as_ref()));
            }
        }
    }
    let mut times = Vec::new();
    let kills = evidence.faults.iter().filter(|f| f.service == "orchestrator" && f.kind == "kill");
    for kill in kills {
        let window = kill.at_ms..kill.at_ms + WINDOW_MS;
        let alone =
            evidence.calm(kill.at_ms.saturating_sub(BEFORE_MS), kill.at_ms + WINDOW_MS, |f| {
                f.at_ms == kill.at_ms
            });
        let finishes = evidence.ledger.iter().filter(|entry| entry.what == "finish");
        for entry in finishes.filter(|entry| alone && window.contains(&entry.at_ms)) {
            let attempt = (entry.key.clone(), entry.attempt);
            if let Some(at_ms) = committed.get(&attempt) {
                times.push(at_ms.saturating_sub(entry.at_ms));
            }
        }
    }
    times
}

/// From the moment that PostgreSQL lets clients in until a second in which starts succeed as often
/// as they should.
fn steady(evidence: &Evidence) -> Vec<u64> {
    let rate = evidence.meta["rate"].as_f64().unwrap_or_default();
    let mut accepted: Vec<u64> =
        evidence.promises.iter().map(|promise| promise.accepted_ms).collect();
    accepted.sort_unstable();
    let between = |from: u64, to: u64| {
        accepted.partition_point(|at| *at < to) - accepted.partition_point(|at| *at < from)
    };
    let mut times = Vec::new();
    for fault in evidence.faults.iter().filter(|f| f.service == "postgres") {
        let Some(back_ms) = fault.back_ms else { continue };
        let steps = (0..AFTER_MS).step_by(usize::try_from(STEP_MS).unwrap_or(1));
        let found = steps
            .into_iter()
            .find(|step| between(back_ms + step, back_ms + step + 1_000) as f64 >= rate * STEADY);
        times.push(found.unwrap_or(AFTER_MS));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_nearest_ranks() {
        assert_eq!(percentile(&mut [], 50), None);
        assert_eq!(percentile(&mut [3, 1, 2], 50), Some(2));
        assert_eq!(percentile(&mut (1..=100).collect::<Vec<_>>(), 99), Some(99));
    }
}
