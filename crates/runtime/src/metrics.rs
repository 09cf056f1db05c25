//! The metrics of one service, served as text at `/metrics`.
//!
//! A registry belongs to a service, not to the process: several services can live in one.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;

pub use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Labels whose names are only known at run time; prefer a struct deriving [`EncodeLabelSet`]
/// (which needs `prometheus-client` as a direct dependency).
pub type Labels = Vec<(&'static str, String)>;

/// A registry whose names all start with `planaria_`; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// An empty registry; every metric carries the label `service`.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        let labels = [("service".into(), service.into())];
        let registry = Registry::with_prefix_and_labels("planaria", labels.into_iter());
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Registers any metric or family; the text form appends `_total` to counters.
    pub fn register<M>(&self, name: &str, help: &str, metric: M) -> M
    where
        M: prometheus_client::registry::Metric + Clone,
    {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register(name, help, metric.clone());
        metric
    }

    /// A count that only grows.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.register(name, help, Counter::default())
    }

    /// Counts by label values.
    pub fn counters(&self, name: &str, help: &str) -> Family<Labels, Counter> {
        self.register(name, help, Family::default())
    }

    /// A value that goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.register(name, help, Gauge::default())
    }

    /// Values by label values.
    pub fn gauges(&self, name: &str, help: &str) -> Family<Labels, Gauge> {
        self.register(name, help, Family::default())
    }

    /// Durations in seconds, from 0.5 ms to 16 s in doubling buckets.
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        self.register(name, help, Histogram::new(exponential_buckets(0.000_5, 2.0, 16)))
    }

    /// Durations as [`Metrics::seconds`] has them, by label values.
    pub fn seconds_by(
        &self,
        name: &str,
        help: &str,
    ) -> Family<Labels, Histogram, fn() -> Histogram> {
        let new: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        self.register(name, help, Family::new_with_constructor(new))
    }

    /// The registry in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &registry).is_err() {
            tracing::error!("a metric could not be written as text");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_with_prefix_and_service() {
        let metrics = Metrics::new("worker");
        metrics.counter("attempts", "Attempts started").inc_by(3);
        let errors = metrics.counters("errors", "Errors by reason");
        errors.get_or_create(&vec![("reason", "timeout".into())]).inc();
        metrics.seconds("commit_seconds", "Time of a commit").observe(0.002);
        let text = metrics.encode();
        for line in [
            "planaria_attempts_total{service=\"worker\"} 3",
            "planaria_errors_total{service=\"worker\",reason=\"timeout\"} 1",
            "planaria_commit_seconds_count{service=\"worker\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
