//! What notification counts.

use planaria_runtime::Metrics;
use planaria_runtime::metrics::{Counter, Gauge};

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    pub(crate) subscribers: Gauge,
    pub(crate) delivered: Counter,
    pub(crate) caught_up: Counter,
    pub(crate) fell_behind: Counter,
    pub(crate) lookups: Counter,
}

impl Gauges {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            subscribers: metrics.gauge("subscribers", "Open subscriptions"),
            delivered: metrics.counter("events_delivered", "Events given to readers"),
            caught_up: metrics
                .counter("subscriptions_caught_up", "Readers that joined the shared reading"),
            fell_behind: metrics
                .counter("subscriptions_fell_behind", "Readers that left the shared reading"),
            lookups: metrics.counter("task_lookups", "Workflows asked for to name a task"),
        }
    }
}
