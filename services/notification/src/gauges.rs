//! What notification counts.

use planaria_runtime::Metrics;
use planaria_runtime::metrics::{Counter, Family, Gauge, Histogram, Labels};

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    pub(crate) subscribers: Gauge,
    pub(crate) delivered: Counter,
    pub(crate) caught_up: Counter,
    pub(crate) fell_behind: Counter,
    pub(crate) lookups: Counter,
    pub(crate) holder: Gauge,
    pub(crate) derived: Counter,
    pub(crate) log_gaps: Counter,
    attempts: Family<Labels, Counter>,
    attempt_seconds: Histogram,
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
            holder: metrics
                .gauge("holder", "Whether this replica derives the deliveries of webhooks"),
            derived: metrics.counter("webhook_deliveries", "Deliveries derived from the log"),
            log_gaps: metrics.counter("log_gaps", "Times the log was trimmed before it was read"),
            attempts: metrics
                .counters("webhook_attempts", "Tries of deliveries, by whether they succeeded"),
            attempt_seconds: metrics
                .seconds("webhook_attempt_seconds", "Time until a receiver had answered"),
        }
    }

    /// A try of a delivery ended.
    pub(crate) fn attempted(&self, delivered: bool, took_ms: u64) {
        let labels = vec![("delivered", delivered.to_string())];
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.observe(std::time::Duration::from_millis(took_ms).as_secs_f64());
    }
}
