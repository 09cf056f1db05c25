//! Which incidents somebody wants to see.

use planaria_proto::types::v1::{HealingAction, Signal};

use super::Incident;
use crate::names;

/// How far one looks back: name in the address, and seconds.
pub type Window = (&'static str, i64);

/// The windows that one can choose.
pub const WINDOWS: &[Window] =
    &[("1h", 3600), ("6h", 21_600), ("24h", 86_400), ("7d", 604_800), ("30d", 2_592_000)];

/// Signals that are chosen from.
pub const SIGNALS: &[Signal] = &[
    Signal::StreamLost,
    Signal::HeartbeatsStopped,
    Signal::LeaseExpired,
    Signal::NewIncarnation,
    Signal::LostDelivery,
    Signal::Stalled,
    Signal::Drained,
    Signal::Reconciler,
];

/// Actions that are chosen from.
pub const ACTIONS: &[HealingAction] = &[
    HealingAction::Rerun,
    HealingAction::Quarantined,
    HealingAction::RetryQueued,
    HealingAction::TimerFired,
    HealingAction::WorkflowAdvanced,
    HealingAction::Removed,
    HealingAction::DeadLetterMended,
    HealingAction::Rebuilt,
    HealingAction::Frozen,
    HealingAction::Repeated,
];

/// What an incident must have; what is empty does not matter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// One of its healings has the signal with this name.
    pub signal: String,
    /// One of its healings has the action with this name.
    pub action: String,
    /// It was lost, or it took over.
    pub worker: String,
    /// One of its healings is of this workflow.
    pub workflow: String,
    /// Only this incident.
    pub incident: String,
    /// Something of it is under way.
    pub open: bool,
}

impl Filter {
    /// Whether the incident is wanted. What is open is wanted however old it is, the others if they
    /// were detected at `since_ms` or later.
    #[must_use]
    pub fn wants(&self, incident: &Incident, since_ms: i64) -> bool {
        let any = |holds: &dyn Fn(&planaria_proto::types::v1::Healing) -> bool| {
            incident.healings.iter().any(holds)
        };
        let open = incident.open() > 0;
        (open || (!self.open && incident.detected_at().is_some_and(|at| at >= since_ms)))
            && (self.incident.is_empty() || incident.id == self.incident)
            && (self.signal.is_empty() || any(&|it| names::signal(it.signal()) == self.signal))
            && (self.action.is_empty() || any(&|it| names::action(it.action()) == self.action))
            && (self.workflow.is_empty() || any(&|it| it.workflow_id.contains(&self.workflow)))
            && (self.worker.is_empty()
                || any(&|it| {
                    it.lost_worker.contains(&self.worker) || it.new_worker.contains(&self.worker)
                }))
    }

    /// Whether it leaves out nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use planaria_proto::types::v1::Healing;
    use prost_types::Timestamp;

    use super::*;

    fn incident(healed: bool) -> Incident {
        let healing = Healing {
            signal: Signal::Stalled as i32,
            action: HealingAction::Rerun as i32,
            lost_worker: "worker-2".into(),
            new_worker: "worker-1".into(),
            workflow_id: "wf-7".into(),
            detected_at: Some(Timestamp { seconds: 10, nanos: 0 }),
            healed_at: healed.then_some(Timestamp { seconds: 11, nanos: 0 }),
            ..Healing::default()
        };
        Incident { id: "s".into(), healings: vec![healing] }
    }

    #[test]
    fn each_member_that_is_set_must_hold() {
        let set = |change: fn(&mut Filter)| {
            let mut filter = Filter::default();
            change(&mut filter);
            filter.wants(&incident(true), 0)
        };
        assert!(set(|_| ()));
        assert!(set(|it| it.signal = "stalled".into()));
        assert!(!set(|it| it.signal = "drained".into()));
        assert!(set(|it| it.action = "ran again elsewhere".into()));
        assert!(!set(|it| it.action = "frozen".into()));
        assert!(set(|it| it.worker = "worker-1".into()));
        assert!(!set(|it| it.worker = "worker-3".into()));
        assert!(set(|it| it.workflow = "wf-7".into()));
        assert!(!set(|it| it.open = true));
        assert!(!set(|it| it.incident = "other".into()));
    }

    #[test]
    fn what_is_open_is_shown_however_old_it_is() {
        assert!(Filter::default().wants(&incident(false), 99_000));
        assert!(!Filter::default().wants(&incident(true), 99_000));
    }
}
