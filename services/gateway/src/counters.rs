//! What the gateway counts.

use planaria_runtime::Metrics;
use planaria_runtime::metrics::{Counter, Family, Gauge, Labels};

use crate::refusal::Refusal;

#[derive(Debug)]
pub(crate) struct Counters {
    /// Calls and streams under way.
    pub(crate) open: Gauge,
    /// Open connections of clients.
    pub(crate) connections: Gauge,
    refused: Family<Labels, Counter>,
}

impl Counters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let refused = metrics.counters(
            "gateway_refusals",
            "Calls that the gateway itself answered with an error, by reason",
        );
        // There from the start: the first refusal would otherwise be no increase of anything.
        for reason in ["UPSTREAM_UNAVAILABLE", "GATEWAY_OVERLOADED", "RATE_LIMITED"] {
            let _at_zero = refused.get_or_create(&labels(reason));
        }
        Self {
            open: metrics.gauge("gateway_open_calls", "Calls and streams under way"),
            connections: metrics.gauge("gateway_connections", "Open connections of clients"),
            refused,
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.refused.get_or_create(&labels(refusal.reason())).inc();
    }
}

fn labels(reason: &str) -> Labels {
    vec![("reason", reason.to_owned())]
}
