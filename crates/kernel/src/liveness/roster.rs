//! All workers together: one session each, what many of them do at once, and the own health.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AttemptReport, Cause, Conditions, Death, Loss, OwnHealth, Policy, SessionEffect, SessionEvent,
    SessionLiveness, Verdict,
};

mod mass;

#[cfg(test)]
mod tests;

/// A death that is pronounced this much later than planned waits a little longer once: what would
/// have prevented it may lie unread.
const LATE_MS: u64 = 50;

/// Every worker that is watched, or was until a while ago, by its id.
#[derive(Debug, Clone)]
pub struct Roster {
    policy: Policy,
    members: BTreeMap<String, Member>,
    /// The workers' ids by their sessions.
    sessions: BTreeMap<String, String>,
    /// When each member is to be looked at again.
    agenda: BTreeSet<(u64, String)>,
    own_health: OwnHealth,
    hold_until_ms: u64,
    /// Until then, resets of streams are taken for those of a proxy.
    mass_reset_until_ms: u64,
    /// The conditions that the agenda was made for.
    conditions: Conditions,
}

/// One worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its latest start.
    pub incarnation: String,
    /// Its latest session.
    pub session_id: String,
    /// The life of that session.
    pub liveness: SessionLiveness,
    /// The session before, of the same incarnation: late heartbeats of it are refused.
    previous_session_id: Option<String>,
    /// When it is to be looked at again, as the agenda has it.
    due_ms: u64,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Whose.
    pub worker_id: String,
    /// Of which start; higher is later.
    pub incarnation: String,
    /// Of which session.
    pub session_id: String,
    /// The number of the stream it came on; higher is newer.
    pub stream: u64,
    /// Whether it is the very first of the worker's incarnation.
    pub first: bool,
    /// The inventory.
    pub attempts: Vec<AttemptReport>,
}

/// What the roster is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterEvent {
    /// A heartbeat arrived.
    Beat(Beat),
    /// A heartbeat stream ended.
    StreamEnded {
        /// Of this session.
        session_id: String,
        /// The stream's number.
        stream: u64,
        /// How.
        loss: Loss,
    },
    /// An orchestrator ended the session.
    Ended {
        /// The session.
        session_id: String,
        /// By a goodbye.
        left: bool,
    },
    /// The own loop ran so much later than planned.
    Late {
        /// Milliseconds.
        lag_ms: u64,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterEffect {
    /// A session of a worker was seen for the first time.
    Joined {
        /// The worker.
        worker_id: String,
    },
    /// Something happened to the session of a worker.
    Session {
        /// The worker.
        worker_id: String,
        /// The session.
        session_id: String,
        /// What.
        effect: SessionEffect,
    },
    /// The heartbeat is not counted: there are too many workers.
    Full,
    /// The worker ended long ago and is listed no longer.
    Removed {
        /// The worker.
        worker_id: String,
    },
    /// Too many went silent at once: verdicts for silence wait.
    Held {
        /// How many.
        silent: usize,
        /// Of how many.
        watched: usize,
    },
    /// The own loop was stopped: all verdicts wait.
    Stalled {
        /// For how long, in milliseconds.
        lag_ms: u64,
    },
}

impl Roster {
    /// A roster after a start: it looks on before it judges what began before.
    #[must_use]
    pub fn new(policy: Policy, now: u64) -> Self {
        let own_health = OwnHealth::new(&policy, now);
        let conditions = Conditions {
            pause_factor: 1,
            observe_until_ms: own_health.observe_until_ms(),
            start_until_ms: own_health.start_until_ms(),
            hold_until_ms: 0,
            resume_ms: policy.resume_ms,
        };
        Self {
            policy,
            members: BTreeMap::new(),
            sessions: BTreeMap::new(),
            agenda: BTreeSet::new(),
            own_health,
            hold_until_ms: 0,
            mass_reset_until_ms: 0,
            conditions,
        }
    }

    /// All workers by id.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// How suspicious the silence of a worker is; 0 once its session is over.
    #[must_use]
    pub fn phi(&self, worker_id: &str, now: u64) -> f64 {
        let watch = self.members.get(worker_id).and_then(|member| member.liveness.watch());
        let factor = self.conditions.pause_factor;
        watch.map_or(0.0, |watch| watch.estimator.phi(&self.policy, factor, now))
    }

    /// When [`RosterEvent::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn wake_at_ms(&self, now: u64) -> Option<u64> {
        let (first, _) = self.agenda.first()?;
        let condition = self.condition_changes_ms(now);
        Some(condition.map_or(*first, |at| at.min(*first)))
    }

    /// Decides what an event means. `now` never falls.
    pub fn apply(&mut self, event: RosterEvent, now: u64) -> Vec<RosterEffect> {
        let mut effects = Vec::new();
        if let RosterEvent::Late { lag_ms } = event
            && self.own_health.late(&self.policy, lag_ms, now)
        {
            effects.push(RosterEffect::Stalled { lag_ms });
        }
        self.renew_conditions(now);
        match event {
            RosterEvent::Beat(beat) => self.beat(beat, now, &mut effects),
            RosterEvent::StreamEnded { session_id, stream, loss } => {
                let event = SessionEvent::StreamEnded { stream, loss };
                self.tell_session(&session_id, event, now, &mut effects);
                self.watch_for_mass_resets(now);
            }
            RosterEvent::Ended { session_id, left } => {
                self.tell_session(&session_id, SessionEvent::Ended { left }, now, &mut effects);
            }
            RosterEvent::Late { .. } | RosterEvent::Tick => self.tick(now, &mut effects),
        }
        effects
    }

    fn beat(&mut self, beat: Beat, now: u64, effects: &mut Vec<RosterEffect>) {
        let Beat { worker_id, incarnation, session_id, stream, first, attempts } = beat;
        if self.sessions.get(&session_id).is_some_and(|owner| *owner != worker_id) {
            let effect = SessionEffect::Refused;
            return effects.push(RosterEffect::Session { worker_id, session_id, effect });
        }
        let Some(member) = self.members.get(&worker_id) else {
            if self.members.len() >= self.policy.workers_max && !self.make_room(effects) {
                return effects.push(RosterEffect::Full);
            }
            let liveness = SessionLiveness::first(&self.policy, stream, attempts, first, now);
            return self.join(worker_id, incarnation, session_id, liveness, now, effects);
        };
        if member.session_id == session_id && member.incarnation == incarnation {
            let event = SessionEvent::Beat { stream, attempts };
            return self.tell(&worker_id, event, now, effects);
        }
        let superseded = incarnation < member.incarnation
            || member.previous_session_id.as_ref() == Some(&session_id);
        if superseded {
            let effect = SessionEffect::Refused;
            return effects.push(RosterEffect::Session { worker_id, session_id, effect });
        }
        self.tell(&worker_id, SessionEvent::Superseded, now, effects);
        let liveness = SessionLiveness::first(&self.policy, stream, attempts, first, now);
        self.join(worker_id, incarnation, session_id, liveness, now, effects);
    }

    fn join(
        &mut self,
        worker_id: String,
        incarnation: String,
        session_id: String,
        liveness: SessionLiveness,
        now: u64,
        effects: &mut Vec<RosterEffect>,
    ) {
        let before = self.remove(&worker_id);
        let previous_session_id = before
            .filter(|before| before.incarnation == incarnation)
            .map(|before| before.session_id);
        self.sessions.insert(session_id.clone(), worker_id.clone());
        let member =
            Member { incarnation, session_id, liveness, previous_session_id, due_ms: u64::MAX };
        self.agenda.insert((member.due_ms, worker_id.clone()));
        self.members.insert(worker_id.clone(), member);
        self.plan(&worker_id, now);
        effects.push(RosterEffect::Joined { worker_id });
    }

    /// Drops the worker that ended first, if one has ended.
    fn make_room(&mut self, effects: &mut Vec<RosterEffect>) -> bool {
        let over = |(_, id): &&(u64, String)| {
            self.members.get(id).is_some_and(|member| member.liveness.watch().is_none())
        };
        let Some((_, worker_id)) = self.agenda.iter().find(over).cloned() else { return false };
        self.remove(&worker_id);
        effects.push(RosterEffect::Removed { worker_id });
        true
    }

    fn remove(&mut self, worker_id: &str) -> Option<Member> {
        let member = self.members.remove(worker_id)?;
        self.sessions.remove(&member.session_id);
        self.agenda.remove(&(member.due_ms, worker_id.to_owned()));
        Some(member)
    }

    fn tell_session(
        &mut self,
        session_id: &str,
        event: SessionEvent,
        now: u64,
        effects: &mut Vec<RosterEffect>,
    ) {
        // Of a session whose heartbeats never came here, nothing is known and nothing is said.
        if let Some(worker_id) = self.sessions.get(session_id).cloned() {
            self.tell(&worker_id, event, now, effects);
        }
    }

    fn tell(
        &mut self,
        worker_id: &str,
        event: SessionEvent,
        now: u64,
        effects: &mut Vec<RosterEffect>,
    ) {
        let Some(member) = self.members.get_mut(worker_id) else { return };
        let state = std::mem::replace(&mut member.liveness, SessionLiveness::Left { at_ms: now });
        let step = state.apply(event, &self.policy, &self.conditions, now);
        member.liveness = step.next;
        let session_id = member.session_id.clone();
        effects.extend(step.effects.into_iter().map(|effect| RosterEffect::Session {
            worker_id: worker_id.to_owned(),
            session_id: session_id.clone(),
            effect,
        }));
        self.plan(worker_id, now);
    }

    /// Looks at everyone whose time has come.
    fn tick(&mut self, now: u64, effects: &mut Vec<RosterEffect>) {
        while let Some((due, worker_id)) = self.agenda.first().cloned() {
            if due > now {
                return;
            }
            let Some(member) = self.members.get(&worker_id) else { return };
            let Some(watch) = member.liveness.watch() else {
                self.remove(&worker_id);
                effects.push(RosterEffect::Removed { worker_id });
                continue;
            };
            let (verdict, cause, _) = watch.judge(&self.policy, &self.conditions, now);
            if verdict == Verdict::Dead && now - due > LATE_MS {
                // We are late ourselves: its heartbeat may wait to be read.
                self.enter(&worker_id, now + self.policy.resume_ms.max(1));
                continue;
            }
            if verdict == Verdict::Dead
                && cause == Cause::HeartbeatsStopped
                && let Some(held) = self.hold_for_mass_silence(now)
            {
                effects.push(held);
                continue;
            }
            self.tell(&worker_id, SessionEvent::Tick, now, effects);
        }
    }

    /// Enters into the agenda when the member is to be looked at again.
    fn plan(&mut self, worker_id: &str, now: u64) {
        let Some(member) = self.members.get(worker_id) else { return };
        let due_ms = match &member.liveness {
            SessionLiveness::Alive(watch) | SessionLiveness::Suspect(watch, _) => {
                watch.next_change_ms(&self.policy, &self.conditions, now).max(now + 1)
            }
            SessionLiveness::Dead(Death { at_ms, .. }) | SessionLiveness::Left { at_ms } => {
                at_ms + self.policy.ended_keep_ms
            }
        };
        self.enter(worker_id, due_ms);
    }

    fn enter(&mut self, worker_id: &str, due_ms: u64) {
        let Some(member) = self.members.get_mut(worker_id) else { return };
        if due_ms != member.due_ms {
            self.agenda.remove(&(member.due_ms, worker_id.to_owned()));
            member.due_ms = due_ms;
            self.agenda.insert((due_ms, worker_id.to_owned()));
        }
    }
}
