//! What records of the log mean for monitoring, gathered until it is saved.

use std::collections::BTreeMap;

use planaria_proto::orchestrator::v1::{
    GetStatisticsResponse, LogRecord, WorkflowRecord, log_record,
};
use planaria_proto::types::v1::{Healing, Signal};
use planaria_proto::workflow::v1::history_event::Event;

use crate::convert;
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};

/// Where a value belongs: what, whose, and in which minute (Unix seconds of its beginning).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place<M> {
    pub(crate) metric: M,
    /// Of the definition; empty for what is the mesh's.
    pub(crate) namespace: String,
    pub(crate) minute_s: u64,
}

/// A healing, and the namespace of its workflow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamespaceHealing {
    pub(crate) namespace: String,
    pub(crate) healing: Healing,
}

/// What is saved at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Harvest {
    pub(crate) healings: Vec<NamespaceHealing>,
    pub(crate) values: BTreeMap<Place<Metric>, u64>,
    pub(crate) spreads: BTreeMap<Place<Spread>, Histogram>,
}

impl Harvest {
    pub(crate) fn is_empty(&self) -> bool {
        self.healings.is_empty() && self.values.is_empty() && self.spreads.is_empty()
    }

    pub(crate) fn record(&mut self, record: LogRecord) {
        let at_ms = convert::milliseconds(record.at).unwrap_or(0);
        match record.body {
            Some(log_record::Body::Workflow(workflow)) => {
                let definition = workflow.definition.as_ref();
                let namespace =
                    definition.map_or(&record.namespace, |definition| &definition.namespace);
                self.workflow(&workflow, namespace, at_ms);
            }
            Some(log_record::Body::Healing(healing)) => {
                self.healing(healing, record.namespace, at_ms);
            }
            Some(log_record::Body::Session(_)) | None => {}
        }
    }

    /// What the orchestrators count now. Nothing is noted of what is zero.
    pub(crate) fn levels(&mut self, statistics: &GetStatisticsResponse, now_ms: u64) {
        let oldest_ms = convert::span_milliseconds(statistics.oldest_queued).unwrap_or(0);
        for (metric, level) in [
            (Metric::TasksQueued, statistics.tasks_queued),
            (Metric::TasksRunning, statistics.tasks_running),
            (Metric::TasksRetrying, statistics.tasks_retrying),
            (Metric::Workers, statistics.sessions.into()),
            (Metric::OldestQueuedMs, oldest_ms),
        ] {
            if level > 0 {
                self.note(metric, "", now_ms, level);
            }
        }
    }

    fn workflow(&mut self, workflow: &WorkflowRecord, namespace: &str, record_at_ms: u64) {
        let events = workflow.record.iter().flat_map(|record| &record.events);
        for event in events {
            let at_ms = convert::milliseconds(event.at).unwrap_or(record_at_ms);
            let metric = match &event.event {
                Some(Event::WorkflowStarted(_)) => Metric::WorkflowsStarted,
                Some(Event::WorkflowCompleted(_)) => {
                    if let Some(started_ms) = started_at_ms(&workflow.workflow_id) {
                        let latency_ms = at_ms.saturating_sub(started_ms);
                        self.spread(Spread::WorkflowLatency, namespace, at_ms, latency_ms);
                    }
                    Metric::WorkflowsCompleted
                }
                Some(Event::WorkflowFaulted(_)) => Metric::WorkflowsFaulted,
                Some(Event::WorkflowCancelled(_)) => Metric::WorkflowsCancelled,
                Some(Event::TaskCompleted(task)) if task.execution.is_some() => {
                    Metric::TasksCompleted
                }
                Some(Event::AttemptFailed(failed)) => {
                    if failed.retryable {
                        self.note(Metric::Retries, namespace, at_ms, 1);
                    }
                    Metric::AttemptsFailed
                }
                // What was handed back was not lost.
                Some(Event::AttemptLost(lost)) if lost.signal() != Signal::Drained => {
                    Metric::AttemptsLost
                }
                _ => continue,
            };
            self.note(metric, namespace, at_ms, 1);
        }
    }

    fn healing(&mut self, mut healing: Healing, of_record: String, record_at_ms: u64) {
        if healing.namespace.is_empty() {
            healing.namespace = of_record;
        }
        let namespace = healing.namespace.clone();
        if healing.healed_at.is_some() {
            let at_ms = convert::milliseconds(healing.healed_at).unwrap_or(record_at_ms);
            self.note(Metric::Healings, &namespace, at_ms, 1);
            for (spread, span) in [
                (Spread::DetectedAfter, healing.detected_after),
                (Spread::HealedAfter, healing.healed_after),
            ] {
                if let Some(span_ms) = convert::span_milliseconds(span) {
                    self.spread(spread, &namespace, at_ms, span_ms);
                }
            }
        }
        self.healings.push(NamespaceHealing { namespace, healing });
    }

    fn note(&mut self, metric: Metric, namespace: &str, at_ms: u64, value: u64) {
        let known = self.values.entry(place(metric, namespace, at_ms)).or_default();
        *known = metric.join(*known, value);
    }

    fn spread(&mut self, spread: Spread, namespace: &str, at_ms: u64, span_ms: u64) {
        self.spreads.entry(place(spread, namespace, at_ms)).or_default().add(span_ms);
    }
}

fn place<M>(metric: M, namespace: &str, at_ms: u64) -> Place<M> {
    Place { metric, namespace: namespace.to_owned(), minute_s: at_ms / 60_000 * 60 }
}

/// When a workflow was started, by its id: a UUID of version 7 begins with the time.
fn started_at_ms(workflow: &str) -> Option<u64> {
    let (high, rest) = workflow.split_once('-')?;
    let (low, rest) = rest.split_once('-')?;
    if high.len() != 8 || low.len() != 4 || !rest.starts_with('7') {
        return None;
    }
    u64::from_str_radix(&format!("{high}{low}"), 16).ok()
}

#[cfg(test)]
mod tests {
    use planaria_fake_mesh::{attempt_failed, healing, record_at, workflow_events};
    use planaria_proto::workflow::v1::{
        AttemptLost, Execution, TaskCompleted, WorkflowCompleted, WorkflowFaulted, WorkflowStarted,
    };
    use prost_types::{Duration, Timestamp};

    use super::*;

    /// 2023-11-14T22:13:20Z, 20 s into its minute.
    const AT: u64 = 1_700_000_000_000;
    const MINUTE: u64 = 1_699_999_980;

    fn value(harvest: &Harvest, metric: Metric, namespace: &str, minute_s: u64) -> u64 {
        let place = Place { metric, namespace: namespace.to_owned(), minute_s };
        harvest.values.get(&place).copied().unwrap_or(0)
    }

    #[test]
    fn facts_are_counted_in_their_minute_and_namespace() {
        // Started 1.5 s before.
        let started = format!("{:012x}", AT - 1_500);
        let workflow = format!("{}-{}-7000-8000-000000000000", &started[..8], &started[8..]);
        let executed = Some(Execution::default());
        let events = [
            Event::WorkflowStarted(WorkflowStarted::default()),
            Event::TaskCompleted(TaskCompleted { execution: executed, ..Default::default() }),
            Event::TaskCompleted(TaskCompleted::default()),
            Event::AttemptFailed(attempt_failed(1, 1, true)),
            Event::AttemptFailed(attempt_failed(1, 2, false)),
            Event::AttemptLost(AttemptLost::default()),
            Event::AttemptLost(AttemptLost {
                signal: Signal::Drained.into(),
                ..AttemptLost::default()
            }),
            Event::WorkflowCompleted(WorkflowCompleted::default()),
        ];
        let mut harvest = Harvest::default();
        harvest.record(record_at(workflow_events(&workflow, 1, events), AT));
        let faulted = [Event::WorkflowFaulted(WorkflowFaulted::default())];
        harvest.record(record_at(workflow_events("w", 1, faulted), AT + 60_000));
        for (metric, expected) in [
            (Metric::WorkflowsStarted, 1),
            (Metric::WorkflowsCompleted, 1),
            (Metric::WorkflowsFaulted, 0),
            (Metric::TasksCompleted, 1),
            (Metric::AttemptsFailed, 2),
            (Metric::Retries, 1),
            (Metric::AttemptsLost, 1),
        ] {
            assert_eq!(value(&harvest, metric, "shop", MINUTE), expected, "{metric:?}");
        }
        assert_eq!(value(&harvest, Metric::WorkflowsFaulted, "shop", MINUTE + 60), 1);
        let (place, latency) = harvest.spreads.first_key_value().unwrap();
        assert_eq!(place.metric, Spread::WorkflowLatency);
        assert!((1_500..1_600).contains(&latency.quantile(500).unwrap()));
    }

    #[test]
    fn a_healing_counts_when_it_is_healed() {
        let mut one = Healing { id: "h".into(), ..Healing::default() };
        let mut harvest = Harvest::default();
        harvest.record(record_at(healing(one.clone()), AT));
        assert!(harvest.values.is_empty() && harvest.spreads.is_empty());
        one.healed_at = Some(Timestamp { seconds: 1_700_000_000, nanos: 0 });
        one.healed_after = Some(Duration { seconds: 0, nanos: 20_000_000 });
        harvest.record(record_at(healing(one), AT));
        assert_eq!(value(&harvest, Metric::Healings, "default", MINUTE), 1);
        assert_eq!((harvest.spreads.len(), harvest.healings.len()), (1, 2));
        assert_eq!(harvest.healings[0].healing.namespace, "default");
    }

    #[test]
    fn levels_are_the_highest_that_were_seen() {
        let mut harvest = Harvest::default();
        for tasks_queued in [0, 7, 3] {
            let statistics = GetStatisticsResponse { tasks_queued, ..Default::default() };
            harvest.levels(&statistics, AT);
        }
        assert_eq!(value(&harvest, Metric::TasksQueued, "", MINUTE), 7);
        assert_eq!(harvest.values.len(), 1);
    }

    #[test]
    fn only_ids_that_begin_with_their_time_tell_it() {
        assert_eq!(started_at_ms("018bcfe5-6800-7abc-8def-0123456789ab"), Some(AT));
        for id in ["w1", "", "018bcfe5-6800-4abc-8def-0123456789ab", "zzzzzzzz-6800-7abc-8"] {
            assert_eq!(started_at_ms(id), None, "{id}");
        }
    }
}
