//! What a bus counts.

use planaria_runtime::Metrics;
use planaria_runtime::metrics::Counter;

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Hints that were given to the bus, or to the server behind it.
    pub published: Counter,
    /// Hints that were not: the server was away or full, the queue to it was full, or the body
    /// was too large.
    pub dropped: Counter,
    /// Hints that were given to subscribers.
    pub received: Counter,
    /// Hints that were dropped because a subscriber was too slow.
    pub missed: Counter,
    /// How often subscribers were told to look for themselves.
    pub gaps: Counter,
    /// Connections to the server that stood.
    pub connections: Counter,
}

impl Counters {
    /// Shows them among the metrics of a service.
    pub fn register(&self, metrics: &Metrics) {
        let all = [
            ("bus_hints_published", "Hints given to the bus", &self.published),
            ("bus_hints_dropped", "Hints that could not be published", &self.dropped),
            ("bus_hints_received", "Hints given to subscribers", &self.received),
            ("bus_hints_missed", "Hints dropped for slow subscribers", &self.missed),
            ("bus_gaps", "Times that subscribers were told to look for themselves", &self.gaps),
            ("bus_connections", "Connections to the server of the bus", &self.connections),
        ];
        for (name, help, counter) in all {
            metrics.register(name, help, counter.clone());
        }
    }
}
