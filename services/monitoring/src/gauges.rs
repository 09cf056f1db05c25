//! What monitoring counts.

use planaria_proto::types::v1::Healing;
use planaria_runtime::Metrics;
use planaria_runtime::metrics::{Counter, Family, Gauge, Histogram, Labels};

use crate::convert;

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    serving: Family<Labels, Gauge>,
    healings: Family<Labels, Counter>,
    detected_after: Histogram,
    healed_after: Histogram,
    pub(crate) log_gaps: Counter,
    pub(crate) saved: Counter,
    pub(crate) holder: Gauge,
}

impl Gauges {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            serving: metrics.gauges("replica_serving", "Whether a replica serves, by its address"),
            healings: metrics.counters("healings", "Healings completed, by signal and action"),
            detected_after: metrics
                .seconds("healing_detected_after_seconds", "From the signal to its detection"),
            healed_after: metrics
                .seconds("healing_healed_after_seconds", "From the signal to the repair"),
            log_gaps: metrics.counter("log_gaps", "Times the log was trimmed before it was read"),
            saved: metrics.counter("saved", "Times that what was gathered was saved"),
            holder: metrics.gauge("holder", "Whether this replica is the one that writes"),
        }
    }

    pub(crate) fn serving(&self, service: &str, address: &str, serving: bool) {
        let labels = vec![("name", service.to_owned()), ("address", address.to_owned())];
        self.serving.get_or_create(&labels).set(i64::from(serving));
    }

    pub(crate) fn gone(&self, service: &str, address: &str) {
        let labels = vec![("name", service.to_owned()), ("address", address.to_owned())];
        self.serving.remove(&labels);
    }

    /// A healing that was just completed.
    pub(crate) fn healed(&self, healing: &Healing) {
        let labels = vec![
            ("signal", healing.signal().as_str_name().to_owned()),
            ("action", healing.action().as_str_name().to_owned()),
        ];
        self.healings.get_or_create(&labels).inc();
        for (histogram, span) in [
            (&self.detected_after, healing.detected_after),
            (&self.healed_after, healing.healed_after),
        ] {
            if let Some(span_ms) = convert::span_milliseconds(span) {
                histogram.observe(std::time::Duration::from_millis(span_ms).as_secs_f64());
            }
        }
    }
}
