//! What the retry engine counts.

use planaria_runtime::Metrics;
use planaria_runtime::metrics::{Counter, Family, Gauge, Histogram, Labels};

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Gauges {
    decisions: Family<Labels, Counter>,
    repairs: Family<Labels, Counter>,
    pub(crate) lateness: Histogram,
    pub(crate) hand_off_failures: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) dead_letters_open: Gauge,
    pub(crate) retries_waiting: Gauge,
    pub(crate) log_gaps: Counter,
    pub(crate) deferrals: Counter,
    pub(crate) breakers_held: Gauge,
    breaker_changes: Family<Labels, Counter>,
}

impl Gauges {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let decisions = metrics.counters("decisions", "Decisions about failures");
        // There from the start: the first decision would otherwise be no increase of anything.
        for decision in ["RETRY", "EXHAUSTED", "NOT_RETRYABLE"] {
            let _at_zero = decisions.get_or_create(&decision_labels(decision));
        }
        Self {
            decisions,
            repairs: metrics.counters("repairs", "Repairs of the retry engine's own records"),
            lateness: metrics
                .seconds("retry_lateness_seconds", "From a retry's due time to its hand-off"),
            hand_off_failures: metrics
                .counter("hand_off_failures", "Calls that handed decisions over and failed"),
            dead_letters: metrics.counter("dead_letters", "Dead letters written"),
            dead_letters_open: metrics.gauge("dead_letters_open", "Dead letters that are open"),
            retries_waiting: metrics.gauge("retries_waiting", "Decisions not handed over yet"),
            deferrals: metrics
                .counter("retries_deferred", "Retries put off because their budget was empty"),
            breakers_held: metrics.gauge("breakers_held", "Breakers that hold something back"),
            breaker_changes: metrics
                .counters("breaker_changes", "Changes of breakers, by what they became"),
            log_gaps: metrics.counter("log_gaps", "Times the log was trimmed before it was read"),
        }
    }

    pub(crate) fn decided(&self, give_up_reason: &str) {
        let decision = if give_up_reason.is_empty() { "RETRY" } else { give_up_reason };
        self.decisions.get_or_create(&decision_labels(decision)).inc();
    }

    pub(crate) fn breaker_changed(&self, to: &str) {
        let to = to.trim_start_matches("BREAKER_PHASE_").to_owned();
        self.breaker_changes.get_or_create(&vec![("to", to)]).inc();
    }

    pub(crate) fn repaired(&self, kind: &str) {
        self.repairs.get_or_create(&vec![("kind", kind.to_owned())]).inc();
    }
}

fn decision_labels(decision: &str) -> Labels {
    vec![("decision", decision.to_owned())]
}
