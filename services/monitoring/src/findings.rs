//! What is wrong, in words, the worst first. Each says what to look at or do next.

use std::time::Duration;

use planaria_proto::orchestrator::v1::GetStatisticsResponse;
use planaria_proto::retry::v1::{Breaker, BreakerPhase};

use crate::convert;
use crate::health::{Condition, Conditions};
use crate::objective::{Alarm, Ended};

/// What findings are made from.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) now_ms: u64,
    pub(crate) services: &'a Conditions,
    /// The orchestrator's counts and how old they are.
    pub(crate) statistics: Option<(&'a GetStatisticsResponse, Duration)>,
    /// The orchestrator cannot reach its database.
    pub(crate) database_away: bool,
    /// Monitoring cannot reach its own.
    pub(crate) store_away: bool,
    /// Breakers that hold something back.
    pub(crate) breakers: &'a [Breaker],
    /// Alarms of the objective, and what ended in their window.
    pub(crate) alarms: &'a [(Alarm, Ended)],
    /// The part of the workflows that must complete.
    pub(crate) objective: f64,
    pub(crate) dead_letters_open: u64,
    pub(crate) healings_open: u64,
    /// Statistics older than this are a finding.
    pub(crate) statistics_age_max: Duration,
    /// A queued task that waits longer than this is a finding.
    pub(crate) queued_max: Duration,
}

/// Empty if all is well.
pub(crate) fn findings(seen: &Seen<'_>) -> Vec<String> {
    let mut found = services(seen);
    let orchestrator_told = found.iter().any(|text| text.starts_with("orchestrator "));
    found.extend(databases(seen));
    found.extend(objective(seen));
    match seen.statistics {
        Some((statistics, age)) => {
            if age > seen.statistics_age_max && !orchestrator_told {
                found.push(format!("the orchestrator's counts are {} old", words(age)));
            }
            found.extend(queues(seen, statistics));
        }
        None if !orchestrator_told => {
            found.push("the orchestrator has not told its counts yet".to_owned());
        }
        None => {}
    }
    found.extend(seen.breakers.iter().map(|breaker| self::breaker(breaker, seen.now_ms)));
    found.extend(letters(seen.dead_letters_open));
    found.extend(healings(seen.healings_open));
    found
}

fn services(seen: &Seen<'_>) -> Vec<String> {
    let replicas = seen.services.iter().flat_map(|(name, replicas)| {
        let serving = replicas.values().filter(|replica| replica.serving).count();
        let of = (serving, replicas.len());
        replicas.iter().map(move |(address, replica)| (of, name, address, replica))
    });
    let mut down: Vec<_> = replicas.filter(|(_, _, _, replica)| !replica.serving).collect();
    // A service that is gone as a whole is worse than one of several replicas.
    down.sort_by_key(|((serving, _), _, _, replica)| (*serving > 0, replica.since_ms));
    let text = |(of, name, address, replica): ((usize, usize), &String, &String, &Condition)| {
        let since = Duration::from_millis(seen.now_ms.saturating_sub(replica.since_ms));
        let consequence = match of {
            (0, _) => consequence(name).to_owned(),
            (serving, all) => format!("; {serving} of {all} replicas serve"),
        };
        format!("{name} at {address} {} since {}{consequence}", replica.detail, words(since))
    };
    down.into_iter().map(text).collect()
}

/// What it means that no replica of a service is there.
fn consequence(service: &str) -> &'static str {
    match service {
        "gateway" => "; clients and workers cannot reach the mesh",
        "orchestrator" => "; workflows wait, nothing is lost",
        "worker" => "; calls of the built-in functions wait",
        "failure-detector" => "; dead workers are found by their leases, in about 10 s",
        "retry-engine" => "; failed tasks are tried again by default policy, and late",
        "notification" => "; events and webhooks come later",
        _ => "",
    }
}

fn databases(seen: &Seen<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if seen.database_away {
        let text = "the orchestrator cannot reach its database; calls are refused, nothing is lost";
        found.push(text.to_owned());
    }
    if seen.store_away {
        let text = "monitoring cannot reach its database; healings and objective are not shown";
        found.push(text.to_owned());
    }
    found
}

/// The fastest alarm alone: the slower ones say the same.
fn objective(seen: &Seen<'_>) -> Option<String> {
    let (alarm, ended) = seen.alarms.first()?;
    let faulted = counted(ended.faulted, "workflow has", "workflows have");
    Some(format!(
        "{faulted} faulted in the last {}, of {} that ended: the error budget of {} % is used \
         {:.0} times too fast",
        words(Duration::from_millis(alarm.long_ms)),
        ended.all(),
        percent(1.0 - seen.objective),
        ended.burn_rate(seen.objective).min(f64::from(u32::MAX)),
    ))
}

/// Without the noise of binary fractions.
fn percent(part: f64) -> f64 {
    (part * 100.0 * 1e6).round() / 1e6
}

fn breaker(breaker: &Breaker, now_ms: u64) -> String {
    let key = breaker.key.clone().unwrap_or_default();
    let to = match key.destination.as_str() {
        "" => String::new(),
        destination => format!(" to {destination}"),
    };
    let since_ms = convert::milliseconds(breaker.since).unwrap_or(now_ms);
    let since = words(Duration::from_millis(now_ms.saturating_sub(since_ms)));
    let state = match breaker.phase() {
        BreakerPhase::HalfOpen => "is being tried again",
        _ => "is held back",
    };
    format!("{}{to} {state} since {since}, because it fails: planaria breaker list", key.function)
}

fn queues(seen: &Seen<'_>, statistics: &GetStatisticsResponse) -> Vec<String> {
    let mut found = Vec::new();
    for waiting in &statistics.waiting {
        if waiting.has_worker || waiting.count == 0 {
            continue;
        }
        let tasks = counted(waiting.count, "task waits", "tasks wait");
        found.push(format!(
            "{tasks} for a worker of {} in queue {}; none is connected",
            waiting.function, waiting.queue
        ));
    }
    let oldest = statistics.oldest_queued.and_then(|age| Duration::try_from(age).ok());
    if let Some(oldest) = oldest.filter(|oldest| *oldest > seen.queued_max)
        && statistics.waiting.iter().all(|waiting| waiting.has_worker)
    {
        let held: u64 = statistics.waiting.iter().map(|waiting| waiting.held).sum();
        let held = if held == 0 {
            String::new()
        } else {
            format!(", {held} of them held back: planaria limit list, planaria breaker list")
        };
        found.push(format!(
            "the oldest queued task waits since {}; {} of {} run, {} queued{held}",
            words(oldest),
            statistics.tasks_running,
            statistics.capacity,
            statistics.tasks_queued
        ));
    }
    found
}

fn letters(open: u64) -> Option<String> {
    let letters = counted(open, "dead letter is", "dead letters are");
    (open > 0).then(|| format!("{letters} open: planaria dead-letter list"))
}

fn healings(open: u64) -> Option<String> {
    let healings = counted(open, "healing is", "healings are");
    (open > 0).then(|| format!("{healings} under way: planaria healing list"))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A span as people say it.
fn words(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use planaria_proto::orchestrator::v1::get_statistics_response::WaitingFunction;
    use planaria_proto::retry::v1::BreakerKey;

    use super::*;
    use crate::objective::ALARMS;

    const NOW: u64 = 1_000_000;

    fn replica(address: &str, down_since_ms: Option<u64>) -> (String, Condition) {
        let condition = Condition {
            serving: down_since_ms.is_none(),
            detail: if down_since_ms.is_some() { "does not answer".into() } else { "".into() },
            since_ms: down_since_ms.unwrap_or(0),
        };
        (address.to_owned(), condition)
    }

    fn waiting(count: u64, has_worker: bool) -> WaitingFunction {
        let (function, queue) = ("charge-card".to_owned(), "payments".to_owned());
        WaitingFunction { function, queue, count, has_worker, held: 0 }
    }

    fn check(
        services: &Conditions,
        statistics: Option<&GetStatisticsResponse>,
        counts: (u64, u64),
        expected: &[&str],
    ) {
        let seen = Seen {
            now_ms: NOW,
            services,
            statistics: statistics.map(|it| (it, Duration::ZERO)),
            database_away: false,
            store_away: false,
            breakers: &[],
            alarms: &[],
            objective: 0.999,
            dead_letters_open: counts.0,
            healings_open: counts.1,
            statistics_age_max: Duration::from_secs(10),
            queued_max: Duration::from_secs(10),
        };
        assert_eq!(findings(&seen), expected);
    }

    #[test]
    fn nothing_is_said_when_all_is_well() {
        let services = vec![("gateway".to_owned(), BTreeMap::from([replica("a:1", None)]))];
        let mut statistics = GetStatisticsResponse::default();
        statistics.waiting.push(waiting(3, true));
        statistics.oldest_queued = Some(prost_types::Duration { seconds: 2, nanos: 0 });
        check(&services, Some(&statistics), (0, 0), &[]);
    }

    #[test]
    fn what_is_wrong_is_said_in_words_the_worst_first() {
        let services = vec![
            (
                "gateway".to_owned(),
                BTreeMap::from([replica("a:1", None), replica("b:1", Some(NOW - 400_000))]),
            ),
            ("orchestrator".to_owned(), BTreeMap::from([replica("a:2", Some(NOW - 4_000))])),
        ];
        let mut statistics = GetStatisticsResponse::default();
        statistics.waiting.push(waiting(12, false));
        check(
            &services,
            Some(&statistics),
            (3, 1),
            &[
                "orchestrator at a:2 does not answer since 4 s; workflows wait, nothing is lost",
                "gateway at b:1 does not answer since 6 min; 1 of 2 replicas serve",
                "12 tasks wait for a worker of charge-card in queue payments; none is connected",
                "3 dead letters are open: planaria dead-letter list",
                "1 healing is under way: planaria healing list",
            ],
        );
    }

    #[test]
    fn a_queue_that_grows_old_is_said_with_its_load() {
        let mut statistics = GetStatisticsResponse {
            tasks_queued: 40,
            tasks_running: 8,
            capacity: 8,
            ..GetStatisticsResponse::default()
        };
        statistics.oldest_queued = Some(prost_types::Duration { seconds: 11, nanos: 0 });
        let expected = "the oldest queued task waits since 11 s; 8 of 8 run, 40 queued";
        check(&Vec::new(), Some(&statistics), (0, 0), &[expected]);
        statistics.waiting.push(WaitingFunction { held: 39, ..waiting(40, true) });
        let expected = "the oldest queued task waits since 11 s; 8 of 8 run, 40 queued, 39 of them \
            held back: planaria limit list, planaria breaker list";
        check(&Vec::new(), Some(&statistics), (0, 0), &[expected]);
        let expected = "the orchestrator has not told its counts yet";
        check(&Vec::new(), None, (0, 0), &[expected]);
    }

    #[test]
    fn what_burns_and_what_is_held_back_is_said_with_its_figures() {
        let breaker = Breaker {
            key: Some(BreakerKey {
                function: "http:1.0.0".into(),
                destination: "shop.example:443".into(),
                ..BreakerKey::default()
            }),
            phase: BreakerPhase::Open.into(),
            since: Some(convert::timestamp(NOW - 5_000)),
            ..Breaker::default()
        };
        let ended = Ended { completed: 95, faulted: 5 };
        let statistics = GetStatisticsResponse::default();
        let seen = Seen {
            now_ms: NOW,
            services: &Vec::new(),
            statistics: Some((&statistics, Duration::ZERO)),
            database_away: true,
            store_away: true,
            breakers: &[breaker],
            alarms: &[(ALARMS[0], ended), (ALARMS[1], ended)],
            objective: 0.999,
            dead_letters_open: 0,
            healings_open: 0,
            statistics_age_max: Duration::from_secs(10),
            queued_max: Duration::from_secs(10),
        };
        let expected = [
            "the orchestrator cannot reach its database; calls are refused, nothing is lost",
            "monitoring cannot reach its database; healings and objective are not shown",
            "5 workflows have faulted in the last 60 min, of 100 that ended: the error budget of \
             0.1 % is used 50 times too fast",
            "http:1.0.0 to shop.example:443 is held back since 5 s, because it fails: planaria \
             breaker list",
        ];
        assert_eq!(findings(&seen), expected);
    }
}
