//! Between the contract's messages and the kernel's.

use std::time::Duration;

use planaria_kernel::liveness::{AttemptReport, Beat, Cause, SessionLiveness};
use planaria_proto::failure_detector::v1::{HeartbeatRequest, Liveness};
use planaria_proto::orchestrator::v1::observe_sessions_request::{Checkpoint, Observation};
use planaria_proto::types::v1::Signal;
use prost_types::Timestamp;

/// A heartbeat for the kernel.
pub(crate) fn beat(request: &HeartbeatRequest, stream: u64, first: bool) -> Beat {
    let attempts = request.attempts.iter().map(|attempt| AttemptReport {
        attempt_id: attempt.attempt_id.clone(),
        progress_count: attempt.progress_count,
        progress_timeout_ms: attempt.progress_timeout.and_then(milliseconds),
    });
    Beat {
        worker_id: request.worker_id.clone(),
        incarnation: request.incarnation.clone(),
        session_id: request.session_id.clone(),
        stream,
        first,
        attempts: attempts.collect(),
    }
}

/// A heartbeat for the orchestrators; takes the checkpoints out of it.
pub(crate) fn observation(request: &mut HeartbeatRequest, at: Timestamp) -> Observation {
    let mut checkpoints = Vec::new();
    for attempt in &mut request.attempts {
        let checkpoint = attempt.checkpoint.take();
        if checkpoint.is_some() || !attempt.progress.is_empty() {
            checkpoints.push(Checkpoint {
                attempt_id: attempt.attempt_id.clone(),
                checkpoint,
                progress: attempt.progress.clone(),
            });
        }
    }
    Observation {
        session_id: request.session_id.clone(),
        attempt_ids: request.attempts.iter().map(|attempt| attempt.attempt_id.clone()).collect(),
        at: Some(at),
        checkpoints,
        draining: request.draining,
        worker_id: request.worker_id.clone(),
    }
}

/// Milliseconds of a duration that is not negative.
pub(crate) fn milliseconds(duration: prost_types::Duration) -> Option<u64> {
    let duration = Duration::try_from(duration).ok()?;
    u64::try_from(duration.as_millis()).ok()
}

pub(crate) fn duration(ms: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
    }
}

pub(crate) fn liveness(state: &SessionLiveness) -> Liveness {
    match state {
        SessionLiveness::Alive(_) => Liveness::Alive,
        SessionLiveness::Suspect(_, _) => Liveness::Suspect,
        SessionLiveness::Dead(_) => Liveness::Dead,
        SessionLiveness::Left { .. } => Liveness::Left,
    }
}

/// The signal of a verdict; `None` for what is no verdict of a detector.
pub(crate) fn signal(cause: Cause) -> Option<Signal> {
    match cause {
        Cause::StreamReset | Cause::StreamClosed | Cause::ConnectionLost => {
            Some(Signal::StreamLost)
        }
        Cause::HeartbeatsStopped => Some(Signal::HeartbeatsStopped),
        Cause::NewIncarnation => Some(Signal::NewIncarnation),
        Cause::HopLost | Cause::SessionEnded => None,
    }
}
