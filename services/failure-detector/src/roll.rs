//! What is known of the workers beyond their life: for people, and for the next answer.

use std::collections::BTreeMap;

use planaria_kernel::liveness::{Cause, Roster};
use planaria_proto::failure_detector::v1::{
    HeartbeatRequest, HeartbeatResponse, RunningAttempt, Worker, WorkerFacts,
};
use planaria_proto::orchestrator::v1::observe_sessions_response::Answer;

use crate::clock::Clock;
use crate::convert;

/// Below that, phi is not worth telling.
const PHI_TOLD_MIN: f64 = 0.5;

/// One row per worker of the roster.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    rows: BTreeMap<String, Row>,
    version: u64,
}

#[derive(Debug, Default)]
struct Row {
    session_id: String,
    incarnation: String,
    facts: Option<WorkerFacts>,
    /// Without checkpoints: those are for the orchestrators alone.
    attempts: Vec<RunningAttempt>,
    connected_ms: u64,
    last_beat_ms: u64,
    draining: bool,
    drain_asked: bool,
    cause: Option<Cause>,
    /// Of the roll, when the row last changed.
    changed: u64,
    news: News,
}

/// What the orchestrators said since the last answer to the worker.
#[derive(Debug, Default)]
struct News {
    lease_until_ms: Option<u64>,
    abandon: Vec<String>,
    session_gone: bool,
}

impl Roll {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The row of a worker whose session is new.
    pub(crate) fn join(&mut self, request: &HeartbeatRequest, now: u64) {
        let before = self.rows.remove(&request.worker_id);
        let same_start = before.filter(|before| before.incarnation == request.incarnation);
        let (facts, drain_asked) =
            same_start.map(|before| (before.facts, before.drain_asked)).unwrap_or_default();
        let row = Row {
            session_id: request.session_id.clone(),
            incarnation: request.incarnation.clone(),
            facts,
            drain_asked,
            connected_ms: now,
            ..Row::default()
        };
        self.rows.insert(request.worker_id.clone(), row);
        self.touch(&request.worker_id);
    }

    /// Enters a heartbeat of the row's session; takes what the orchestrators said since the last.
    pub(crate) fn beat(&mut self, request: HeartbeatRequest, now: u64) -> HeartbeatResponse {
        let HeartbeatRequest { worker_id, sequence, attempts, draining, facts, .. } = request;
        let Some(row) = self.rows.get_mut(&worker_id) else {
            return HeartbeatResponse { sequence, ..HeartbeatResponse::default() };
        };
        row.last_beat_ms = now;
        let news = std::mem::take(&mut row.news);
        let drain = row.drain_asked;
        let facts_changed = facts.is_some() && facts != row.facts;
        let changed = facts_changed || row.draining != draining || row.attempts != attempts;
        if changed {
            row.facts = facts.or(row.facts.take());
            row.draining = draining;
            row.attempts = attempts;
            self.touch(&worker_id);
        }
        let left_ms = news.lease_until_ms.map(|until| until.saturating_sub(now));
        HeartbeatResponse {
            sequence,
            lease: left_ms.filter(|left| *left > 0).map(convert::duration),
            abandon: news.abandon,
            drain,
            session_gone: news.session_gone,
        }
    }

    /// Keeps what an orchestrator said for the worker's next heartbeat.
    pub(crate) fn answered(&mut self, worker_id: &str, session_id: &str, answer: Answer, now: u64) {
        let row = self.rows.get_mut(worker_id).filter(|row| row.session_id == session_id);
        let Some(row) = row else { return };
        if let Some(lease_ms) = answer.lease.and_then(convert::milliseconds) {
            row.news.lease_until_ms = Some(now + lease_ms);
        }
        // Each answer is about the whole inventory, so the latest says all.
        row.news.abandon = answer.abandon;
        row.news.session_gone |= answer.session_gone;
    }

    /// Whether the worker is there to be told.
    pub(crate) fn ask_to_drain(&mut self, worker_id: &str) -> bool {
        let Some(row) = self.rows.get_mut(worker_id) else { return false };
        row.drain_asked = true;
        true
    }

    /// What speaks against the worker changed.
    pub(crate) fn set_cause(&mut self, worker_id: &str, cause: Option<Cause>) {
        if let Some(row) = self.rows.get_mut(worker_id) {
            row.cause = cause;
            self.touch(worker_id);
        }
    }

    pub(crate) fn remove(&mut self, worker_id: &str) {
        self.rows.remove(worker_id);
    }

    /// The workers that changed after a version, and those that grow suspicious.
    pub(crate) fn list(&self, after: u64, roster: &Roster, clock: Clock) -> Vec<Worker> {
        let now = clock.now_ms();
        let mut workers = Vec::new();
        for (id, row) in &self.rows {
            let Some(member) = roster.members().get(id) else { continue };
            let phi = roster.phi(id, now);
            if row.changed <= after && phi < PHI_TOLD_MIN {
                continue;
            }
            workers.push(Worker {
                id: id.clone(),
                incarnation: member.incarnation.clone(),
                session_id: member.session_id.clone(),
                liveness: convert::liveness(&member.liveness).into(),
                // JSON has no infinity.
                phi: phi.min(1_000.0),
                last_beat_at: Some(clock.wall(row.last_beat_ms)),
                connected_at: Some(clock.wall(row.connected_ms)),
                draining: row.draining || row.drain_asked,
                facts: row.facts.clone(),
                attempts: row.attempts.clone(),
                cause: row.cause.map(Cause::words).unwrap_or_default().to_owned(),
            });
        }
        workers
    }

    fn touch(&mut self, worker_id: &str) {
        self.version += 1;
        if let Some(row) = self.rows.get_mut(worker_id) {
            row.changed = self.version;
        }
    }
}
