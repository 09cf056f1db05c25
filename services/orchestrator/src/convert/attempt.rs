//! Attempts and retry policies on the wire.

use planaria_kernel::retry::RetryPolicy;
use planaria_kernel::workflow::{Execution, LossCause};
use planaria_proto::types::v1::{self as types, Signal};
use planaria_proto::workflow::v1 as wire;

use super::{duration, duration_ms, milliseconds, timestamp};

/// An attempt.
#[must_use]
pub(crate) fn execution(execution: &Execution) -> wire::Execution {
    wire::Execution {
        attempt: execution.attempt,
        worker_id: execution.worker.clone(),
        session_id: execution.session.clone(),
        started_at: Some(timestamp(execution.started_at_ms)),
        function: execution.function.clone(),
        destination: execution.destination.clone().unwrap_or_default(),
        failures: execution.failures,
    }
}

/// An attempt.
#[must_use]
pub(crate) fn execution_from(execution: Option<wire::Execution>) -> Execution {
    let execution = execution.unwrap_or_default();
    Execution {
        attempt: execution.attempt,
        worker: execution.worker_id,
        session: execution.session_id,
        started_at_ms: milliseconds(execution.started_at.as_ref()),
        function: execution.function,
        destination: Some(execution.destination).filter(|destination| !destination.is_empty()),
        failures: execution.failures,
    }
}

/// How a loss was known.
#[must_use]
pub(crate) const fn signal(cause: LossCause) -> Signal {
    match cause {
        LossCause::StreamLost => Signal::StreamLost,
        LossCause::HeartbeatsStopped => Signal::HeartbeatsStopped,
        LossCause::LeaseExpired => Signal::LeaseExpired,
        LossCause::NewIncarnation => Signal::NewIncarnation,
        LossCause::LostDelivery => Signal::LostDelivery,
        LossCause::Stalled => Signal::Stalled,
        LossCause::Drained => Signal::Drained,
    }
}

/// How a loss was known; what is not a loss counts as an expired lease, the most general.
#[must_use]
pub(crate) const fn cause(signal: Signal) -> LossCause {
    match signal {
        Signal::StreamLost => LossCause::StreamLost,
        Signal::HeartbeatsStopped => LossCause::HeartbeatsStopped,
        Signal::NewIncarnation => LossCause::NewIncarnation,
        Signal::LostDelivery => LossCause::LostDelivery,
        Signal::Stalled => LossCause::Stalled,
        Signal::Drained => LossCause::Drained,
        Signal::LeaseExpired | Signal::Reconciler | Signal::Unspecified => LossCause::LeaseExpired,
    }
}

/// A retry policy.
#[must_use]
pub(crate) fn policy(policy: &RetryPolicy) -> types::RetryPolicy {
    types::RetryPolicy {
        delay: Some(duration(policy.base_ms)),
        factor: policy.factor,
        delay_max: Some(duration(policy.cap_ms)),
        attempts_max: policy.attempts_max,
    }
}

/// A retry policy; what is not said is the default's.
#[must_use]
pub(crate) fn policy_from(policy: Option<&types::RetryPolicy>) -> RetryPolicy {
    let default = RetryPolicy::default();
    let Some(policy) = policy else { return default };
    RetryPolicy {
        base_ms: policy.delay.as_ref().map_or(default.base_ms, duration_ms),
        factor: if policy.factor >= 1.0 { policy.factor } else { default.factor },
        cap_ms: policy.delay_max.as_ref().map_or(default.cap_ms, duration_ms),
        attempts_max: if policy.attempts_max == 0 {
            default.attempts_max
        } else {
            policy.attempts_max
        },
    }
}
