//! Counts of one engine, and of several together.

use planaria_proto::orchestrator::v1::GetStatisticsResponse;
use planaria_proto::orchestrator::v1::get_statistics_response::WaitingFunction;
use planaria_runtime::clock::now_ms;

use super::internal::position;
use crate::convert::duration;
use crate::engine::Statistics;
use crate::store::{Position, Shard};

/// The counts of an engine as they are told.
pub(super) fn statistics(
    counts: Statistics,
    (shard, log_end): (Shard, Position),
) -> GetStatisticsResponse {
    let waiting = counts.waiting.into_iter();
    let waiting = waiting.map(|waits| WaitingFunction {
        function: waits.function,
        queue: waits.queue,
        count: waits.count,
        has_worker: waits.has_worker,
        held: waits.held,
    });
    let age = |since_ms| duration(now_ms().saturating_sub(since_ms));
    GetStatisticsResponse {
        phases: Vec::new(),
        tasks_queued: counts.queued,
        tasks_running: counts.running,
        tasks_retrying: counts.retrying,
        sessions: counts.sessions,
        capacity: counts.capacity,
        workflows_started: counts.started,
        workflows_completed: counts.completed,
        workflows_faulted: counts.faulted,
        workflows_cancelled: counts.cancelled,
        oldest_queued: counts.oldest_queued_ms.map(age),
        waiting: waiting.collect(),
        log_end: Some(position(shard, log_end)),
    }
}

/// Adds the counts of one engine to those of others.
pub(super) fn add(all: &mut GetStatisticsResponse, one: GetStatisticsResponse) {
    all.tasks_queued += one.tasks_queued;
    all.tasks_running += one.tasks_running;
    all.tasks_retrying += one.tasks_retrying;
    all.sessions += one.sessions;
    all.capacity += one.capacity;
    all.workflows_started += one.workflows_started;
    all.workflows_completed += one.workflows_completed;
    all.workflows_faulted += one.workflows_faulted;
    all.workflows_cancelled += one.workflows_cancelled;
    let ages = all.oldest_queued.into_iter().chain(one.oldest_queued);
    all.oldest_queued = ages.max_by_key(|age| (age.seconds, age.nanos));
    for waits in one.waiting {
        let same = |other: &&mut WaitingFunction| {
            other.function == waits.function && other.queue == waits.queue
        };
        match all.waiting.iter_mut().find(same) {
            Some(known) => {
                known.count += waits.count;
                known.held += waits.held;
                known.has_worker |= waits.has_worker;
            }
            None => all.waiting.push(waits),
        }
    }
    all.log_end = all.log_end.or(one.log_end);
}
