//! What the kernel's decisions lead to: verdicts, answers to workers, and words to people.

use planaria_kernel::liveness::{
    Cause, Death, RosterEffect, RosterEvent, SessionEffect, SessionLiveness,
};
use planaria_proto::failure_detector::v1::{HeartbeatRequest, HeartbeatResponse};
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::types::v1::Signal;

use super::Detector;
use crate::observations::Observed;
use crate::{Error, convert};

impl Detector {
    pub(super) fn beat(
        &mut self,
        mut request: HeartbeatRequest,
        stream: u64,
        first: bool,
        now: u64,
    ) -> Result<HeartbeatResponse, Error> {
        self.meters.heartbeats.inc();
        let beat = convert::beat(&request, stream, first);
        let effects = self.roster.apply(RosterEvent::Beat(beat), now);
        let full = effects.contains(&RosterEffect::Full);
        let refused = effects.iter().any(|effect| {
            matches!(effect, RosterEffect::Session { effect: SessionEffect::Refused, .. })
        });
        let joined = effects.iter().any(|effect| matches!(effect, RosterEffect::Joined { .. }));
        // The word on the session before comes first: it is about the row before.
        self.carry_out(effects, now);
        if full {
            return Err(Error::TooManyWorkers);
        }
        if refused {
            let sequence = request.sequence;
            let gone = HeartbeatResponse { sequence, session_gone: true, ..Default::default() };
            return Ok(gone);
        }
        if joined {
            self.roll.join(&request, now);
        }
        let observation = convert::observation(&mut request, self.clock.wall(now));
        self.observations.add(Observed { worker_id: request.worker_id.clone(), observation });
        let answer = self.roll.beat(request, now);
        Ok(answer)
    }

    pub(super) fn drain(&mut self, worker_id: String) -> Result<(), Error> {
        let member = self.roster.members().get(&worker_id);
        let there = member.is_some_and(|member| member.liveness.watch().is_some());
        if !there || !self.roll.ask_to_drain(&worker_id) {
            return Err(Error::WorkerNotFound(worker_id));
        }
        tracing::info!(worker_id, "worker is asked to drain");
        Ok(())
    }

    pub(super) fn carry_out_one(&mut self, effect: RosterEffect, now: u64) {
        match effect {
            RosterEffect::Joined { worker_id } => tracing::info!(worker_id, "worker connected"),
            RosterEffect::Session { worker_id, session_id, effect } => {
                self.carry_out_for_session(&worker_id, session_id, effect);
            }
            RosterEffect::Full => tracing::warn!("worker refused: too many are watched"),
            RosterEffect::Removed { worker_id } => {
                self.roll.remove(&worker_id);
                tracing::debug!(worker_id, "worker forgotten");
            }
            RosterEffect::Held { silent, watched } => {
                self.meters.holds.inc();
                let hold_ms = self.config.hold_ms;
                tracing::warn!(silent, watched, hold_ms, "verdicts held: too many silent at once");
            }
            RosterEffect::Stalled { lag_ms } => {
                let until_ms = now + self.config.observe_only_ms;
                tracing::warn!(lag_ms, until_ms, "this detector was stopped, it looks on first");
            }
        }
    }

    fn carry_out_for_session(
        &mut self,
        worker_id: &str,
        session_id: String,
        effect: SessionEffect,
    ) {
        match effect {
            SessionEffect::Suspected(cause) => {
                self.roll.set_cause(worker_id, Some(cause));
                tracing::warn!(worker_id, session_id, cause = cause.words(), "worker suspect");
            }
            SessionEffect::Recovered(silent_ms) => {
                self.roll.set_cause(worker_id, None);
                tracing::info!(worker_id, session_id, silent_ms, "worker back");
            }
            SessionEffect::Died(death) => self.died(worker_id, session_id, death),
            SessionEffect::Left => {
                self.roll.set_cause(worker_id, None);
                tracing::info!(worker_id, session_id, "worker left");
            }
            SessionEffect::Stalled(attempt_id, since_ms) => {
                self.meters.stalled_attempts.inc();
                tracing::warn!(worker_id, session_id, attempt_id, "attempt stalled");
                self.verdicts.add(Verdict {
                    session_id,
                    detail: format!("worker {worker_id} beats, but {attempt_id} does not progress"),
                    attempt_id,
                    signal: Signal::Stalled.into(),
                    signal_at: Some(self.clock.wall(since_ms)),
                    worker_id: worker_id.to_owned(),
                });
            }
            SessionEffect::Refused => {
                tracing::debug!(worker_id, session_id, "heartbeat of a session that is over");
            }
        }
    }

    fn died(&mut self, worker_id: &str, session_id: String, death: Death) {
        self.meters.died(death);
        self.roll.set_cause(worker_id, Some(death.cause));
        let detected_after_ms = death.at_ms.saturating_sub(death.signal_ms);
        let cause = death.cause.words();
        tracing::warn!(worker_id, session_id, cause, detected_after_ms, "worker dead");
        self.observations.forget(&session_id);
        if let Some(signal) = convert::signal(death.cause) {
            self.verdicts.add(Verdict {
                session_id,
                attempt_id: String::new(),
                signal: signal.into(),
                signal_at: Some(self.clock.wall(death.signal_ms)),
                worker_id: worker_id.to_owned(),
                detail: format!("worker {worker_id} is dead: {cause}"),
            });
        } else {
            debug_assert_eq!(death.cause, Cause::SessionEnded, "only that is no verdict of ours");
        }
    }

    pub(super) fn count_workers(&self) {
        let mut counts = [("alive", 0), ("suspect", 0), ("dead", 0), ("left", 0)];
        for member in self.roster.members().values() {
            let index = match member.liveness {
                SessionLiveness::Alive(_) => 0,
                SessionLiveness::Suspect(_, _) => 1,
                SessionLiveness::Dead(_) => 2,
                SessionLiveness::Left { .. } => 3,
            };
            counts[index].1 += 1;
        }
        for (liveness, count) in counts {
            self.meters.workers(liveness, count);
        }
    }
}
