//! Events of the mesh: healings and workers.

use planaria_proto::orchestrator::v1::SessionChange;
use planaria_proto::types::v1::{Healing, Signal};
use prost_types::Duration;
use serde_json::{Value, json};

use super::draft::Made;
use super::kind;

pub(super) fn healing(healing: &Healing) -> Made {
    let healed = healing.healed_at.is_some();
    let time = |at: &Option<prost_types::Timestamp>| at.map(|at| at.to_string());
    let action = healing.action().as_str_name().trim_start_matches("HEALING_ACTION_");
    let data = json!({
        "id": healing.id,
        "incident": healing.incident,
        "signal": signal(healing.signal()),
        "action": action,
        "summary": healing.summary,
        "workflowId": healing.workflow_id,
        "task": healing.task,
        "lostAttempt": healing.lost_attempt,
        "lostWorker": healing.lost_worker,
        "newAttempt": healing.new_attempt,
        "newWorker": healing.new_worker,
        "signalAt": time(&healing.signal_at),
        "detectedAt": time(&healing.detected_at),
        "healedAt": time(&healing.healed_at),
        "detectedAfterMs": milliseconds(healing.detected_after),
        "healedAfterMs": milliseconds(healing.healed_after),
    });
    Made::Ours {
        kind: if healed { kind::HEALING_HEALED } else { kind::HEALING_DETECTED },
        subject: healing.id.clone(),
        data: without_nothing(data),
        frame: None,
        at: healing.healed_at.or(healing.detected_at),
        seq: None,
    }
}

pub(super) fn session(change: &SessionChange) -> Made {
    let kind = match change.signal() {
        _ if change.opened => kind::WORKER_JOINED,
        Signal::Unspecified | Signal::Drained => kind::WORKER_LEFT,
        _ => kind::WORKER_LOST,
    };
    let data = json!({
        "worker": change.worker_id,
        "session": change.session_id,
        "detail": change.detail,
        "signal": signal(change.signal()),
    });
    Made::Ours {
        kind,
        subject: change.worker_id.clone(),
        data: without_nothing(data),
        frame: None,
        at: None,
        seq: None,
    }
}

/// A signal's name without what all of them have in common; empty if there is none.
pub(super) fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Unspecified => "",
        signal => signal.as_str_name().trim_start_matches("SIGNAL_"),
    }
}

fn milliseconds(span: Option<Duration>) -> Option<i64> {
    span.map(|span| {
        span.seconds.saturating_mul(1_000).saturating_add(i64::from(span.nanos / 1_000_000))
    })
}

/// Leaves out what is not set.
fn without_nothing(mut data: Value) -> Value {
    if let Value::Object(members) = &mut data {
        members.retain(|_, value| !matches!(value, Value::Null) && *value != json!(""));
    }
    data
}
