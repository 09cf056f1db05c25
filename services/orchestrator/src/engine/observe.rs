//! What the failure detector says, and the counts.

use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::command::{Attempted, Reply, Statistics, VerdictItem, Waits};
use super::entry::{Evidence, Loss, Mail, MailKind};
use super::telling::{About, tell};
use crate::error::Error;
use crate::store::{TaskKey, Write};
use crate::token::attempt_id;
use planaria_kernel::workflow::{FrameId, LossCause};

/// A worker that was heard of within this is not silent. Two heartbeats: of several detectors, only
/// one has its heart, and one that had it before must not take its silence for death.
const HEARD_MS: u64 = 1_000;

/// A detector misses a worker that was heard of.
pub(crate) struct Doubt {
    since_ms: u64,
    signal_at_ms: u64,
    detail: String,
}

impl Engine {
    /// What a worker has: its lease is renewed, lost deliveries are found. Answers the attempts it
    /// must abandon; `None` = there is no such session.
    pub(super) fn observed(&mut self, seen: Attempted) -> Option<Vec<String>> {
        let now_ms = now_ms();
        let (lease_ms, renewal_ms, delivery_ms) = {
            let config = &self.parts.config;
            (config.lease_ms, config.renewal_ms, config.delivery_ms_max)
        };
        let session = self.sessions.get_mut(&seen.session)?;
        if !seen.worker.is_empty() && seen.worker != session.worker {
            return None;
        }
        session.lease_until_ms = now_ms + lease_ms;
        session.heard_ms = now_ms;
        if session.draining && !seen.draining {
            self.hungry.insert(seen.session);
        }
        session.draining = seen.draining;
        if session.lease_until_ms >= session.lease_stored_ms + renewal_ms {
            session.lease_stored_ms = session.lease_until_ms;
            let (ids, until_ms) = (vec![seen.session], session.lease_until_ms);
            self.gathering.writes.push(Write::Renewed { ids, until_ms });
        }
        for (key, attempt, said) in seen.progress {
            if session.running.get(&key).is_some_and(|running| running.attempt == attempt) {
                session.progress.insert(key, said);
            }
        }
        let mut lost = Vec::new();
        for (key, running) in &mut session.running {
            let has = seen.attempts.contains(&(*key, running.attempt));
            let due = running.since_ms.saturating_add(delivery_ms) < seen.at_ms.min(now_ms);
            running.missed = if has || !due { 0 } else { running.missed + 1 };
            if running.missed >= 2 && running.attempt != 0 {
                lost.push((*key, running.attempt, running.since_ms));
            }
        }
        // Of its own attempts alone: whose else are, it could only have guessed.
        let is_its_own = |key: &TaskKey, attempt: u32| {
            session.running.get(key).is_some_and(|running| running.attempt == attempt)
        };
        let mut checkpoints = seen.checkpoints;
        checkpoints.retain(|(key, attempt, _)| is_its_own(key, *attempt));
        let not_its_own = seen.attempts.iter().filter(|(key, attempt)| !is_its_own(key, *attempt));
        let abandon = not_its_own.map(|(key, attempt)| attempt_id(*key, *attempt)).collect();
        let worker = session.worker.clone();
        for (key, attempt, since_ms) in lost {
            let detail = "the worker's inventory does not have it".to_owned();
            let told = (LossCause::LostDelivery, since_ms, detail);
            self.lose(seen.session, &worker, (key, attempt), told);
        }
        for (key, attempt, checkpoint) in checkpoints {
            let kind = MailKind::Checkpoint { frame: key.frame, attempt, checkpoint };
            self.mail.push_back((key.workflow, Mail::quiet(kind)));
        }
        Some(abandon)
    }

    fn lose(
        &mut self,
        session: Uuid,
        worker: &str,
        (key, attempt): (TaskKey, u32),
        (cause, signal_at_ms, detail): (LossCause, u64, String),
    ) {
        let progress = self.sessions.get(&session).map(|session| session.progress_of(key));
        let progress = progress.unwrap_or_default();
        let loss = Loss {
            frame: key.frame,
            attempt,
            session,
            worker: worker.to_owned(),
            cause,
            signal_at_ms,
            detail,
            progress,
            checkpoint: None,
            reply_released: false,
            // It is judged for what it did itself.
            evidence: Evidence::Against,
        };
        self.mail.push_back((key.workflow, Mail::quiet(MailKind::Lost(loss))));
    }

    /// Verdicts: a session is dead, or an attempt is stalled.
    pub(super) fn pronounce(&mut self, verdicts: Vec<VerdictItem>) {
        for verdict in verdicts {
            let VerdictItem { session, worker, attempt, cause, signal_at_ms, detail } = verdict;
            let found = self.sessions.get(&session).map(|session| &session.worker);
            if !worker.is_empty() && found.is_some_and(|found| *found != worker) {
                continue;
            }
            let Some(attempt) = attempt else {
                if cause == LossCause::HeartbeatsStopped && self.is_heard(session) {
                    self.doubts.insert(session, Doubt { since_ms: now_ms(), signal_at_ms, detail });
                } else {
                    self.end_session(session, cause, signal_at_ms, &detail);
                }
                continue;
            };
            let Some(worker) = self.sessions.get(&session).map(|session| session.worker.clone())
            else {
                continue;
            };
            self.lose(session, &worker, attempt, (cause, signal_at_ms, detail));
        }
    }

    /// Whether somebody told of a worker's heart a moment ago.
    fn is_heard(&self, session: Uuid) -> bool {
        let session = self.sessions.get(&session);
        session.is_some_and(|session| session.heard_ms + HEARD_MS > now_ms())
    }

    /// Verdicts that were doubted: the worker was heard of since, by another detector than the one
    /// that misses it, or it is dead.
    pub(super) fn settle_doubts(&mut self) {
        let now_ms = now_ms();
        for (session, doubt) in std::mem::take(&mut self.doubts) {
            let Some(heard_ms) = self.sessions.get(&session).map(|session| session.heard_ms) else {
                continue;
            };
            if heard_ms > doubt.since_ms {
                tracing::info!(%session, "its heart beats elsewhere: the verdict is not followed");
            } else if heard_ms + HEARD_MS > now_ms {
                self.doubts.insert(session, doubt);
            } else {
                let cause = LossCause::HeartbeatsStopped;
                self.end_session(session, cause, doubt.signal_at_ms, &doubt.detail);
            }
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        let running = self.sessions.values().map(|session| session.running.len() as u64).sum();
        let own = || self.sessions.values().filter(|session| session.lent.is_none());
        let capacity: usize = own().map(|session| session.capacity).sum();
        let mut functions: Vec<String> =
            self.sessions.values().flat_map(|s| s.functions.keys().cloned()).collect();
        functions.sort_unstable();
        functions.dedup();
        let waiting = self.routes.iter().filter(|(_, _, route)| route.waiting() > 0);
        let waiting = waiting.map(|(queue, function, route)| Waits {
            queue: queue.to_owned(),
            function: function.to_owned(),
            count: route.waiting() as u64,
            held: route.held() as u64,
            has_worker: !route.sessions.is_empty(),
        });
        let waiting: Vec<Waits> = waiting.collect();
        let oldest = self.routes.iter().filter_map(|(_, _, route)| route.oldest_ms());
        Statistics {
            queued: self.routes.waiting(),
            running,
            retrying: self.retrying.len() as u64,
            sessions: u32::try_from(own().count()).unwrap_or(u32::MAX),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            oldest_queued_ms: oldest.min(),
            waiting,
            functions,
            ..self.counters.clone()
        }
    }

    /// A report of an attempt that is not the current one: if it was accepted before, it gets the
    /// same answer again.
    pub(super) fn refuse_stale(
        &mut self,
        about: About,
        (frame, attempt, session): (FrameId, u32, Uuid),
        reply: Option<Reply<()>>,
    ) {
        let id = about.workflow;
        let Some(reply) = reply else { return };
        let (store, about) = (self.parts.store.clone(), About { attempt, ..about });
        let look = async move {
            let stale = Error::Stale(
                "the attempt is not the current one: it was lost, cancelled or replaced",
            );
            let outcome = match store.records(id, 0, u32::MAX).await {
                Ok(records) if was_accepted(&records, frame, attempt, session) => Ok(()),
                Ok(_) => {
                    tell!(warn, about, frame = frame.0, %session, "late result refused");
                    Err(stale)
                }
                Err(error) => Err(error.into()),
            };
            let _ = reply.send(outcome);
        };
        // The first report may be on its way to the store still.
        self.gathering.then(move || drop(tokio::spawn(look)));
    }
}

/// Whether the history has that very attempt's end, as its worker reported it.
fn was_accepted(records: &[bytes::Bytes], frame: FrameId, attempt: u32, session: Uuid) -> bool {
    use planaria_proto::types::v1::Signal;
    use planaria_proto::workflow::v1::history_event::Event;
    let events = crate::convert::history::events(records).unwrap_or_default();
    let session = session.to_string();
    events.into_iter().any(|event| {
        let (of, execution) = match event.event {
            Some(Event::TaskCompleted(done)) => (done.frame, done.execution),
            Some(Event::AttemptFailed(failed)) => (failed.frame, failed.execution),
            Some(Event::AttemptLost(lost)) if lost.signal() == Signal::Drained => {
                (lost.frame, lost.execution)
            }
            _ => return false,
        };
        of == frame.0
            && execution.is_some_and(|execution| {
                execution.attempt == attempt && execution.session_id == session
            })
    })
}
