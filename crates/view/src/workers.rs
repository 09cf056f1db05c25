//! Workers and what waits for them.

use std::collections::BTreeMap;

use planaria_proto::failure_detector::v1::{Liveness, Worker};
use planaria_proto::workflow::v1::Workflow;

use crate::words::millis;

/// From this suspicion on a worker is suspect, and from this one on dead.
pub const PHI_SUSPECT: f64 = 3.0;
/// See [`PHI_SUSPECT`].
pub const PHI_DEAD: f64 = 8.0;

/// The verdict on a worker in words.
#[must_use]
pub fn liveness(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Unspecified => "unknown",
        Liveness::Alive => "alive",
        Liveness::Suspect => "suspect",
        Liveness::Dead => "dead",
        Liveness::Left => "left",
    }
}

/// What a running attempt is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The workflow's id.
    pub workflow: String,
    /// The run of the task.
    pub frame: u32,
    /// The number of the attempt.
    pub attempt: u32,
}

/// Reads the name of an attempt: `<workflow>/<frame>/<attempt>`.
#[must_use]
pub fn attempt(id: &str) -> Option<Attempt> {
    let mut parts = id.split('/');
    let workflow = parts.next().filter(|part| !part.is_empty())?.to_owned();
    let frame = parts.next()?.parse().ok()?;
    let attempt = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some(Attempt { workflow, frame, attempt })
}

/// Where a suspicion is on its gauge, which ends where a worker is dead: 0 to 1.
#[must_use]
pub fn gauge(phi: f64) -> f64 {
    if phi.is_nan() { 0.0 } else { (phi / PHI_DEAD).clamp(0.0, 1.0) }
}

/// How much of a capacity is used: 0 to 1.
#[must_use]
pub fn load(running: usize, capacity: u32) -> f64 {
    if capacity == 0 {
        return 0.0;
    }
    (running as f64 / f64::from(capacity)).clamp(0.0, 1.0)
}

/// Puts told workers into those that are known; `all` replaces them. Those that are here come
/// first, and each kind is in the order of their names.
pub fn merge(known: &mut Vec<Worker>, told: Vec<Worker>, all: bool) {
    if all {
        known.clear();
    }
    for worker in told {
        match known.iter_mut().find(|it| it.id == worker.id) {
            Some(it) => *it = worker,
            None => known.push(worker),
        }
    }
    known.sort_by(|one, other| {
        let gone = |it: &Worker| matches!(it.liveness(), Liveness::Dead | Liveness::Left);
        gone(one).cmp(&gone(other)).then_with(|| natural(&one.id).cmp(&natural(&other.id)))
    });
}

/// Sorts `worker-2` before `worker-10`.
fn natural(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
    let number = name.get(stem.len()..).unwrap_or_default().parse().unwrap_or(0);
    (stem.to_owned(), number)
}

/// Workflows that wait for the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// What they wait for, in words.
    pub what: String,
    /// How many of them there are.
    pub count: u64,
    /// The one that was started first: its id and when.
    pub oldest: (String, Option<i64>),
    /// Nobody who could do it is connected.
    pub nobody: bool,
}

/// Groups workflows by what they wait for; what nobody can do first, then the most.
#[must_use]
pub fn waiting(workflows: &[Workflow]) -> Vec<Waiting> {
    let mut groups: BTreeMap<&str, Waiting> = BTreeMap::new();
    for workflow in workflows {
        let started = workflow.started_at.as_ref().map(millis);
        let group = groups.entry(&workflow.waiting_for).or_insert_with(|| Waiting {
            what: workflow.waiting_for.clone(),
            count: 0,
            oldest: (workflow.id.clone(), started),
            nobody: workflow.waiting_for.contains("none is connected"),
        });
        group.count += 1;
        if started < group.oldest.1 {
            group.oldest = (workflow.id.clone(), started);
        }
    }
    let mut groups: Vec<_> = groups.into_values().filter(|it| !it.what.is_empty()).collect();
    groups.sort_by_key(|it| (!it.nobody, u64::MAX - it.count));
    groups
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn the_name_of_an_attempt_tells_its_workflow() {
        let read = attempt("0199-ab/7/3");
        assert_eq!(read, Some(Attempt { workflow: "0199-ab".into(), frame: 7, attempt: 3 }));
        for wrong in ["", "x", "x/1", "x/1/2/3", "x/a/2", "/1/2"] {
            assert_eq!(attempt(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn workers_that_are_here_come_first_and_numbers_are_numbers() {
        let worker = |id: &str, liveness: Liveness| Worker {
            id: id.into(),
            liveness: liveness as i32,
            ..Worker::default()
        };
        let mut known = Vec::new();
        let told = ["worker-10", "worker-2", "worker-1"].map(|id| worker(id, Liveness::Alive));
        merge(&mut known, told.to_vec(), true);
        merge(&mut known, vec![worker("worker-1", Liveness::Dead)], false);
        let ids: Vec<_> = known.iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["worker-2", "worker-10", "worker-1"]);
        merge(&mut known, vec![worker("a", Liveness::Alive)], true);
        assert_eq!(known.len(), 1);
    }

    #[test]
    fn gauges_end_where_they_end() {
        assert_eq!(gauge(4.0), 0.5);
        assert_eq!(gauge(f64::INFINITY), 1.0);
        assert_eq!(gauge(f64::NAN), 0.0);
        assert_eq!(load(32, 64), 0.5);
        assert_eq!(load(3, 0), 0.0);
    }

    #[test]
    fn what_waits_for_the_same_is_counted_and_what_nobody_can_do_comes_first() {
        let workflow = |id: &str, what: &str, seconds| Workflow {
            id: id.into(),
            waiting_for: what.into(),
            started_at: Some(Timestamp { seconds, nanos: 0 }),
            ..Workflow::default()
        };
        let free = "a free worker of charge in queue q";
        let none = "a worker of ask in queue q; none is connected";
        let all = [workflow("a", free, 9), workflow("b", free, 5), workflow("c", none, 7)];
        let groups = waiting(&all);
        assert_eq!(groups.len(), 2);
        assert_eq!((groups[0].what.as_str(), groups[0].nobody), (none, true));
        assert_eq!((groups[1].count, groups[1].oldest.clone()), (2, ("b".into(), Some(5000))));
    }
}
