//! Sessions: what workers offer, what they have, and how sessions begin and end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use planaria_kernel::retry::RetryPolicy;
use planaria_kernel::workflow::LossCause;
use planaria_proto::task::v1::{Assignment, OpenSessionRequest};
use planaria_runtime::clock::now_ms;
use prost::Message;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use uuid::Uuid;

use super::Engine;
use super::command::{EndedSession, Reply};
use super::entry::{Loss, Mail, MailKind};
use super::lane::Asked;
use crate::convert::attempt::{policy_from, signal};
use crate::error::Error;
use crate::store::{SessionRow, Shard, TaskKey, Trial, Write};
use crate::token::parse_attempt_id;

/// A worker's session.
pub(crate) struct Session {
    pub(crate) worker: String,
    pub(crate) incarnation: String,
    pub(crate) functions: HashMap<String, Offer>,
    pub(crate) queues: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) capacity: usize,
    /// The attempts it has, or that are on their way to it.
    pub(crate) running: HashMap<TaskKey, Running>,
    /// The last that functions said of their progress: evidence, if they kill their worker.
    pub(crate) progress: HashMap<TaskKey, String>,
    pub(crate) stream: Option<mpsc::Sender<Handed>>,
    /// Handed out while no stream was there; of attempts that it still has, and as many again.
    pub(crate) undelivered: Vec<Assignment>,
    pub(crate) draining: bool,
    /// Set if the worker's own session is in another shard.
    pub(crate) lent: Option<Lent>,
    /// Slots that are lent to other shards.
    pub(crate) out: HashMap<Shard, usize>,
    /// As the worker announced itself.
    pub(crate) announced: Arc<OpenSessionRequest>,
    pub(crate) lease_until_ms: u64,
    /// It tries suspects, or is kept for them: it takes nothing else.
    pub(crate) is_apart: bool,
    /// When anybody told of its heart last, in Unix milliseconds; 0 = nobody did yet.
    pub(crate) heard_ms: u64,
    /// The lease that the store has.
    pub(crate) lease_stored_ms: u64,
}

/// Messages that a worker's stream may be behind: more than it can have attempts, so that only who
/// does not read is let go.
pub(crate) const HANDED_MAX: usize = 16_384;

/// A function that a worker offers.
pub(crate) struct Offer {
    pub(crate) version: String,
    pub(crate) retry: Option<RetryPolicy>,
}

/// The commit that hands the attempt out is under way, however long that takes: nothing is sent
/// yet, and nothing can be lost.
pub(crate) const NOT_SENT: u64 = u64::MAX;

/// How long slots that were lent are used for one task after the other.
const LENT_MS: u64 = 500;

/// An attempt that a session has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    /// 0 while the task is only reserved for the session.
    pub(crate) attempt: u32,
    /// When it was handed out, in Unix milliseconds; [`NOT_SENT`] before.
    pub(crate) since_ms: u64,
    /// Inventories in a row that did not have it.
    pub(crate) missed: u8,
    /// Set if it may be what kills its workers: see [`crate::store::TaskRow::trial`].
    pub(crate) trial: Option<Trial>,
}

/// What goes to whoever follows a session.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// Attempts for the worker.
    pub(crate) assignments: Vec<Assignment>,
    /// Slots of a lent session that are not used any more.
    pub(crate) returned: usize,
    /// How many slots a lent session holds, where that must be said anew.
    pub(crate) held: Option<usize>,
}

/// A session that gets tasks only as slots are lent to it.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    /// Slots that are there and not used. What no task wants goes back at once.
    pub(crate) credit: usize,
    /// When slots were lent last, in Unix milliseconds.
    pub(crate) since_ms: u64,
}

impl Session {
    /// Hands something over, if it is followed. Who is [`HANDED_MAX`] messages behind is not: its
    /// stream ends, and it comes back for what it missed.
    pub(crate) fn hand(&mut self, handed: Handed) -> Result<(), Handed> {
        let Some(stream) = &self.stream else { return Err(handed) };
        stream.try_send(handed).map_err(|unsent| {
            self.stream = None;
            unsent.into_inner()
        })
    }

    /// Keeps what could not be handed over until somebody follows.
    pub(crate) fn keep(&mut self, unsent: Vec<Assignment>) {
        self.undelivered.extend(unsent);
        if self.undelivered.len() > 2 * self.capacity {
            let mut kept = std::mem::take(&mut self.undelivered);
            kept.retain(|assignment| {
                let named = parse_attempt_id(&assignment.attempt_id);
                named.is_some_and(|(key, attempt)| {
                    self.running.get(&key).is_some_and(|running| running.attempt == attempt)
                })
            });
            self.undelivered = kept;
        }
    }

    /// Whether it takes attempts at all.
    pub(super) fn is_up(&self) -> bool {
        !self.draining && self.stream.as_ref().is_some_and(|stream| !stream.is_closed())
    }

    /// How many attempts it could take now.
    pub(crate) fn free(&self) -> usize {
        if !self.is_up() {
            return 0;
        }
        match &self.lent {
            Some(lent) => lent.credit,
            None => {
                self.capacity.saturating_sub(self.running.len() + self.out.values().sum::<usize>())
            }
        }
    }

    /// Whether a slot is free that is not to go back to the shard that lent it.
    pub(crate) fn takes_more(&self) -> bool {
        let is_due = |lent: &Lent| now_ms() >= lent.since_ms + LENT_MS;
        self.free() > 0 && !self.lent.as_ref().is_some_and(is_due)
    }

    /// An attempt takes a slot, or goes on with the one that was reserved for it.
    pub(crate) fn occupy(&mut self, key: TaskKey, running: Running) {
        if self.hold(key, running)
            && let Some(lent) = &mut self.lent
        {
            lent.credit = lent.credit.saturating_sub(1);
        }
    }

    /// It has an attempt. Whether it had none of the task before.
    pub(crate) fn hold(&mut self, key: TaskKey, running: Running) -> bool {
        let is_new = self.running.insert(key, running).is_none();
        self.is_apart |= running.trial.is_some();
        is_new
    }

    /// The last that a function said of its progress.
    pub(crate) fn progress_of(&self, key: TaskKey) -> String {
        self.progress.get(&key).cloned().unwrap_or_default()
    }

    /// An attempt is on its way from now on. Whether the session still has it.
    pub(crate) fn sent(&mut self, key: TaskKey, attempt: u32) -> bool {
        let running = self.running.get_mut(&key).filter(|running| running.attempt == attempt);
        running.map(|running| running.since_ms = now_ms()).is_some()
    }

    /// Whether it may see tasks of a namespace. A session of no namespace may see all.
    pub(crate) fn is_for(&self, namespace: &str) -> bool {
        self.announced.namespace.is_empty() || self.announced.namespace == namespace
    }

    /// Whether it may take a task of a function now: it can run it, and suspects keep to their
    /// like.
    pub(crate) fn fits(&self, function: &str, asked: &Asked) -> bool {
        let is_company_right = match asked.trial {
            Some(trial) => self.is_apart && self.may_try(trial),
            None => !self.is_apart,
        };
        is_company_right && self.can_run(function, asked)
    }

    /// Whether it offers a function: in the version that is asked for, if any is, and it carries
    /// the labels.
    pub(crate) fn can_run(&self, function: &str, asked: &Asked) -> bool {
        let Some(offer) = self.functions.get(function) else { return false };
        if asked.version.as_ref().is_some_and(|version| *version != offer.version) {
            return false;
        }
        let Some(labels) = asked.labels.as_deref() else { return true };
        let wanted: BTreeMap<String, String> = serde_json::from_str(labels).unwrap_or_default();
        wanted.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    pub(super) fn new(request: &OpenSessionRequest, is_lent: bool, lease_until_ms: u64) -> Self {
        let functions = request.functions.iter().map(|function| {
            let retry = function.retry.as_ref().map(|retry| policy_from(Some(retry)));
            (function.name.clone(), Offer { version: function.version.clone(), retry })
        });
        let mut queues = request.queues.clone();
        if queues.is_empty() {
            queues.push("default".to_owned());
        }
        Self {
            worker: request.worker_id.clone(),
            incarnation: request.incarnation.clone(),
            functions: functions.collect(),
            queues,
            labels: request.labels.clone().into_iter().collect(),
            capacity: request.capacity as usize,
            running: HashMap::new(),
            progress: HashMap::new(),
            stream: None,
            undelivered: Vec::new(),
            draining: false,
            lent: is_lent.then(Lent::default),
            out: HashMap::new(),
            announced: Arc::new(request.clone()),
            lease_until_ms,
            lease_stored_ms: lease_until_ms,
            heard_ms: 0,
            is_apart: false,
        }
    }
}

impl Engine {
    pub(super) fn open_session(
        &mut self,
        request: &OpenSessionRequest,
        is_lent: bool,
        reply: Reply<Uuid>,
    ) {
        if let Some(&id) = self.workers.get(&request.worker_id)
            && let Some(session) = self.sessions.get(&id)
        {
            if session.incarnation == request.incarnation {
                let _ = reply.send(Ok(id));
                return;
            }
            if session.incarnation > request.incarnation {
                let worker = request.worker_id.clone();
                let _ = reply.send(Err(Error::IncarnationSuperseded(worker)));
                return;
            }
            let detail = format!("worker {} started again", request.worker_id);
            // Nobody saw the earlier one go: its last sign of life is the evidence there is.
            let seen_ms = session.lease_until_ms.saturating_sub(self.parts.config.lease_ms);
            self.end_session(id, LossCause::NewIncarnation, seen_ms.min(now_ms()), &detail);
        }
        if self.sessions.len() >= self.parts.config.sessions_max {
            let _ = reply.send(Err(Error::Overloaded("too many sessions are open")));
            return;
        }
        let id = self.parts.shard.new_id();
        let row = SessionRow {
            id,
            worker_id: request.worker_id.clone(),
            incarnation: request.incarnation.clone(),
            announcement: request.encode_to_vec().into(),
            lease_until_ms: now_ms() + self.parts.config.lease_ms,
            is_lent,
        };
        tracing::info!(session = %id, worker = row.worker_id, "session opened");
        self.add_session(id, request, is_lent, row.lease_until_ms);
        self.gathering.writes.push(Write::SessionOpened(row));
        self.gathering.then(move || drop(reply.send(Ok(id))));
    }

    /// Takes a session into the books.
    pub(super) fn add_session(
        &mut self,
        id: Uuid,
        request: &OpenSessionRequest,
        is_lent: bool,
        lease_until_ms: u64,
    ) {
        let session = Session::new(request, is_lent, lease_until_ms);
        self.routes.offer(id, &session);
        self.workers.insert(request.worker_id.clone(), id);
        self.sessions.insert(id, session);
    }

    pub(super) fn pull(&mut self, id: Uuid, stream: mpsc::Sender<Handed>, reply: Reply<()>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            let _ = reply.send(Err(Error::SessionNotFound));
            return;
        };
        let mut undelivered = std::mem::take(&mut session.undelivered);
        undelivered.retain(|assignment| {
            let named = parse_attempt_id(&assignment.attempt_id);
            named.is_some_and(|(key, attempt)| session.sent(key, attempt))
        });
        if let Some(lent) = &mut session.lent {
            lent.credit = 0;
            let held = Some(session.running.len());
            let _ = stream.try_send(Handed { held, ..Handed::default() });
        }
        if !undelivered.is_empty() {
            let _ = stream.try_send(Handed { assignments: undelivered, ..Handed::default() });
        }
        session.stream = Some(stream);
        if self.next_trials.is_some() {
            // Before it takes anything else.
            self.keep_for_suspects();
        }
        self.hungry.insert(id);
        let _ = reply.send(Ok(()));
    }

    pub(super) fn close_session(&mut self, id: Uuid, reason: &str, reply: Reply<()>) {
        if self.sessions.contains_key(&id) {
            let detail = format!("the worker left: {reason}");
            self.end_session(id, LossCause::Drained, now_ms(), &detail);
        }
        self.gathering.then(move || drop(reply.send(Ok(()))));
    }

    /// Ends a session: everything that it has is lost with it.
    pub(super) fn end_session(
        &mut self,
        id: Uuid,
        cause: LossCause,
        signal_at_ms: u64,
        detail: &str,
    ) {
        let Some(session) = self.sessions.remove(&id) else { return };
        let attempts = session.running.len();
        let evidence = session.evidence(signal_at_ms);
        let (worker, mut progress) = (session.worker, session.progress);
        tracing::info!(session = %id, worker, ?cause, attempts, detail, "session ended");
        self.routes.withdraw(id);
        self.hungry.remove(&id);
        if self.workers.get(&worker) == Some(&id) {
            self.workers.remove(&worker);
        }
        self.gathering.writes.push(Write::SessionEnded {
            id,
            worker_id: worker.clone(),
            detail: detail.to_owned(),
            signal: signal(cause),
            at_ms: now_ms(),
            is_lent: session.lent.is_some(),
        });
        let mut running: Vec<(TaskKey, Running)> = session.running.into_iter().collect();
        running.sort_unstable_by_key(|(key, _)| *key);
        for (key, running) in running {
            if running.attempt == 0 {
                self.requeue_reserved(key);
                continue;
            }
            let progress = progress.remove(&key).unwrap_or_default();
            let loss = Loss {
                progress,
                frame: key.frame,
                attempt: running.attempt,
                session: id,
                worker: worker.clone(),
                cause,
                signal_at_ms,
                detail: detail.to_owned(),
                checkpoint: None,
                reply_released: false,
                evidence: evidence(&running),
            };
            self.mail.push_back((key.workflow, Mail::quiet(MailKind::Lost(loss))));
        }
        if session.lent.is_none() {
            let detail = detail.to_owned();
            let ended = EndedSession { id, cause, signal_at_ms, detail };
            if let Err(TrySendError::Full(ended)) = self.parts.ended_sessions.try_send(ended) {
                // The detectors learn it with their next observation, other shards by the lease.
                tracing::warn!(session = %ended.id, "too many sessions end: nobody is told");
            }
        }
    }

    /// An attempt is not the session's any more; its slot is free.
    pub(super) fn release(&mut self, session: Option<Uuid>, key: TaskKey) {
        self.permits.release(key);
        let Some(id) = session else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.progress.remove(&key);
        if session.running.remove(&key).is_none() {
            return;
        }
        let mut may_take = self.routes.is_open();
        if let Some(lent) = &mut session.lent {
            // It may be used again here for a while; then its own shard is asked again.
            lent.credit += 1;
            may_take &= now_ms() < lent.since_ms + LENT_MS;
            self.idle_lent.insert(id);
        }
        if may_take {
            self.hungry.insert(id);
        }
    }

    /// No session has an attempt of the task any more, whatever its row says.
    pub(super) fn release_everywhere(&mut self, key: TaskKey) {
        let holders: Vec<Uuid> = self.sessions.keys().copied().collect();
        for session in holders {
            self.release(Some(session), key);
        }
    }

    /// Ends sessions whose lease ran out. If this process itself stood still, nobody could renew:
    /// then every session gets a new lease.
    pub(super) fn sweep_leases(&mut self) {
        let now_ms = now_ms();
        let expected_ms = self.last_sweep_ms + self.parts.config.sweep_ms;
        let stood_still = now_ms.saturating_sub(expected_ms)
            > self.parts.config.sweep_ms.max(1_000)
            || now_ms < self.last_sweep_ms;
        self.last_sweep_ms = now_ms;
        let lease_until_ms = now_ms + self.parts.config.lease_ms;
        let mut expired = Vec::new();
        for (&id, session) in &mut self.sessions {
            if stood_still {
                session.lease_until_ms = session.lease_until_ms.max(lease_until_ms);
            } else if session.lease_until_ms < now_ms {
                expired.push((id, session.lease_until_ms));
            }
        }
        for (id, lease_until_ms) in expired {
            let signal_at_ms = lease_until_ms.saturating_sub(self.parts.config.lease_ms);
            let detail = "the session's lease ran out: nobody renewed it";
            self.end_session(id, LossCause::LeaseExpired, signal_at_ms, detail);
        }
    }
}
