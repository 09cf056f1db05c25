//! What is measured.

use planaria_kernel::liveness::{Cause, Death};
use planaria_runtime::Metrics;
use planaria_runtime::metrics::{Counter, Family, Gauge, Histogram, Labels};

/// The metrics of the detector.
#[derive(Debug, Clone)]
pub(crate) struct Meters {
    pub(crate) heartbeats: Counter,
    pub(crate) stalled_attempts: Counter,
    pub(crate) holds: Counter,
    pub(crate) call_failures: Counter,
    pub(crate) verdicts_waiting: Gauge,
    pub(crate) loop_lag: Histogram,
    deaths: Family<Labels, Counter>,
    detection: Histogram,
    workers: Family<Labels, Gauge>,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            heartbeats: metrics.counter("heartbeats", "Heartbeats received, after merging"),
            stalled_attempts: metrics.counter("stalled_attempts", "Attempts found stalled"),
            holds: metrics.counter("verdict_holds", "Times that verdicts for silence were held"),
            call_failures: metrics
                .counter("orchestrator_call_failures", "Calls to orchestrators that failed"),
            verdicts_waiting: metrics
                .gauge("verdicts_waiting", "Verdicts that no orchestrator has accepted yet"),
            loop_lag: metrics.seconds("detector_lag_seconds", "Lateness of the detector's loop"),
            deaths: metrics.counters("sessions_dead", "Sessions found dead, by cause"),
            detection: metrics
                .seconds("detection_seconds", "From the first evidence to the verdict"),
            workers: metrics.gauges("workers", "Workers by liveness"),
        }
    }

    pub(crate) fn died(&self, death: Death) {
        let cause = match death.cause {
            Cause::StreamReset => "stream_reset",
            Cause::StreamClosed => "stream_closed",
            Cause::ConnectionLost => "connection_lost",
            Cause::HeartbeatsStopped => "heartbeats_stopped",
            Cause::HopLost => "hop_lost",
            Cause::NewIncarnation => "new_incarnation",
            Cause::SessionEnded => "session_ended",
        };
        self.deaths.get_or_create(&vec![("cause", cause.into())]).inc();
        if death.cause != Cause::SessionEnded {
            self.detection.observe((death.at_ms.saturating_sub(death.signal_ms)) as f64 / 1_000.0);
        }
    }

    pub(crate) fn workers(&self, liveness: &'static str, count: i64) {
        self.workers.get_or_create(&vec![("liveness", liveness.into())]).set(count);
    }
}
