//! What comes back: results, losses, the retry engine's word.

use planaria_kernel::retry::{ErrorClass, Failure, RetryPolicy, latest_start};
use planaria_kernel::workflow::{
    AttemptFailed, AttemptLost, ErrorObject, Execution, FrameId, Input, LossCause,
};
use planaria_proto::types::v1::HealingAction;
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::command::{Outcome, Reply, RetryVerdict};
use super::dispatch::{call_of, reference};
use super::entry::{Entry, Evidence, Loss, Settle, Work};
use super::telling::About;
use crate::error::Error;
use crate::store::{LOSSES_ACQUITTED, TaskKey, TaskRow, TaskState};

/// So many workers must have come to their end with a task alone before it is given up for that.
const CONVICTIONS_MIN: u32 = 2;

/// A task that takes its time to kill is not acquitted for ever.
const ACQUITTALS_MAX: u32 = 3;

impl Engine {
    /// How an attempt ended.
    pub(super) fn report(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        (frame, attempt, session): (FrameId, u32, Uuid),
        outcome: Outcome,
        reply: Option<Reply<()>>,
    ) {
        // A session that is over takes its attempts with it, also those that do not know it yet.
        let is_over = !self.sessions.contains_key(&session);
        if is_over || !entry.is_current(frame, attempt, session) {
            self.refuse_stale(About::task(id, entry, frame), (frame, attempt, session), reply);
            return;
        }
        let row = &entry.tasks[&frame];
        let execution = self.execution(row);
        let mut work = Work { reply, ..Work::default() };
        let input = match outcome {
            Outcome::Output(output) => {
                work.settle = Settle::Returned(frame);
                Input::Returned { frame, output, execution }
            }
            Outcome::Failed { error, retryable, retry_after_ms, checkpoint } => {
                let reference = reference(entry, frame);
                let failed = self.failed(entry, row, error.at(&reference), retryable);
                let failed = failed(execution, retry_after_ms);
                let latest_start_ms = failed.latest_start_ms;
                work.settle = Settle::Failed { frame, latest_start_ms, checkpoint };
                Input::AttemptFailed(failed)
            }
            Outcome::Released { reason, checkpoint } => {
                // Who hands back takes nothing until its inventory says otherwise, lest the same
                // tasks go to it again and again.
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.draining = true;
                }
                let loss = Loss {
                    frame,
                    attempt,
                    session,
                    worker: execution.worker,
                    cause: LossCause::Drained,
                    signal_at_ms: now_ms(),
                    detail: reason,
                    progress: String::new(),
                    checkpoint,
                    reply_released: true,
                    evidence: Evidence::Company,
                };
                self.lost(entry, id, loss, work.reply);
                return;
            }
        };
        self.apply(entry, id, input, work);
    }

    fn failed(
        &self,
        entry: &Entry,
        row: &TaskRow,
        error: ErrorObject,
        retryable: bool,
    ) -> impl FnOnce(Execution, Option<u64>) -> AttemptFailed + use<> {
        let policy = self.policy(entry, row);
        let (frame, failure, function) = (row.key.frame, row.failures + 1, row.function.clone());
        move |execution, retry_after_ms| {
            let class = if retryable { ErrorClass::Retryable } else { ErrorClass::NotRetryable };
            let told = Failure { number: failure, class, retry_after_ms };
            AttemptFailed {
                frame,
                execution,
                error,
                failure,
                retryable,
                latest_start_ms: latest_start(&policy, told, now_ms()),
                function,
                policy,
                retry_after_ms,
            }
        }
    }

    /// The task's own policy, else the one that its worker announced, else the default.
    fn policy(&self, entry: &Entry, row: &TaskRow) -> RetryPolicy {
        let frame = entry.workflow.frames.get(&row.key.frame);
        let call = frame.and_then(|frame| call_of(&entry.workflow.graph.node(frame.node).kind));
        let of_task = call.and_then(|call| call.retry);
        let session = row.session.and_then(|id| self.sessions.get(&id));
        let offer = session.and_then(|session| session.functions.get(&row.function));
        let of_function = || offer.and_then(|offer| offer.retry);
        of_task.or_else(of_function).unwrap_or_else(|| crate::convert::attempt::policy_from(None))
    }

    pub(super) fn execution(&self, row: &TaskRow) -> Execution {
        let session = row.session.and_then(|id| self.sessions.get(&id));
        Execution {
            attempt: row.attempt,
            worker: session.map(|session| session.worker.clone()).unwrap_or_default(),
            session: row.session.map(|id| id.to_string()).unwrap_or_default(),
            started_at_ms: row.since_ms,
            function: row.function.clone(),
            destination: row.destination.clone(),
            failures: row.failures,
        }
    }

    /// An attempt was lost: the task runs again elsewhere, or is given up as poison.
    pub(super) fn lost(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        loss: Loss,
        reply: Option<Reply<()>>,
    ) {
        let (frame, attempt, session) = (loss.frame, loss.attempt, loss.session);
        if !entry.is_current(frame, attempt, session) {
            if loss.reply_released {
                self.refuse_stale(About::task(id, entry, frame), (frame, attempt, session), reply);
            }
            return;
        }
        self.parts.meters.lost();
        let task = reference(entry, frame);
        let config = &self.parts.config;
        let Some(row) = entry.tasks.get_mut(&frame) else { return };
        if loss.checkpoint.is_some() {
            row.checkpoint.clone_from(&loss.checkpoint);
        }
        let record = entry.records.entry(frame).or_default();
        let is_cleared = loss.evidence == Evidence::Cleared && loss.cause.is_conviction();
        let is_acquitted = is_cleared && record.acquittals < ACQUITTALS_MAX;
        record.acquittals += u32::from(is_acquitted);
        let charged = loss.cause.is_charged() && !is_acquitted;
        let losses = if is_acquitted { LOSSES_ACQUITTED } else { row.losses + u32::from(charged) };
        if charged && !row.lost_workers.contains(&loss.worker) {
            row.lost_workers.push(loss.worker.clone());
        }
        let is_against = loss.evidence == Evidence::Against;
        record.convictions += u32::from(is_against && loss.cause.is_conviction());
        // In company the culprit may be another one, and a worker may die of something else while
        // it has a task alone: once. Who is lost with others again and again is given up in the
        // end, so that workers live.
        let is_convicted = record.convictions >= config.losses_max.min(CONVICTIONS_MIN)
            && losses >= config.losses_max
            && row.lost_workers.len() >= 2;
        let losses_max =
            if is_against { config.losses_alone_max } else { config.losses_company_max };
        let poison = charged && (is_convicted || losses >= losses_max);
        let lost_workers = row.lost_workers.join(", ");
        let row = &entry.tasks[&frame];
        let execution = Execution { worker: loss.worker.clone(), ..self.execution(row) };
        let action = if poison { HealingAction::Quarantined } else { HealingAction::Rerun };
        let healing = self.open_healing(row, &task, &loss, action);
        let mut work = Work { reply, ..Work::default() };
        if poison {
            let mut error = ErrorObject::runtime(format!(
                "{losses} workers were lost with this task ({lost_workers}): it is quarantined"
            ));
            error.kind = ErrorObject::QUARANTINED.to_owned();
            error.title = Some("Quarantined".to_owned());
            work.then.push_back(Input::GiveUp { frame, error });
        }
        let lost = AttemptLost {
            frame,
            execution,
            cause: loss.cause,
            detail: loss.detail,
            losses,
            progress: loss.progress,
            signal_at_ms: loss.signal_at_ms,
        };
        let healing = (!poison).then_some(healing);
        work.settle = Settle::Lost { frame, losses, worker: loss.worker, healing };
        self.apply(entry, id, Input::AttemptLost(lost), work);
    }

    /// The retry engine's word on a failed attempt, or the reconciler's.
    pub(super) fn decide(
        &mut self,
        entry: &mut Entry,
        key: TaskKey,
        (attempt, verdict): (u32, RetryVerdict),
        reply: Option<Reply<()>>,
    ) {
        let frame = key.frame;
        let waits = entry
            .tasks
            .get(&frame)
            .is_some_and(|row| row.state == TaskState::RetryWait && row.attempt == attempt);
        if !waits {
            if let Some(reply) = reply {
                let _ = reply.send(Err(Error::Stale("the attempt does not wait for a retry")));
            }
            return;
        }
        let give_up = match verdict {
            RetryVerdict::Now => None,
            RetryVerdict::GiveUp(reason) => Some(reason),
            RetryVerdict::Deferred { until_ms } => {
                return self.defer(entry, key, until_ms, reply);
            }
            RetryVerdict::Overdue => {
                self.record_overdue_retry(entry, &entry.tasks[&frame]);
                let frame = entry.workflow.frames.get(&frame);
                let hopeless = frame.is_some_and(|frame| frame.hopeless);
                hopeless.then(|| "no retry is left".to_owned())
            }
        };
        if let Some(reason) = give_up {
            let last = entry.workflow.frames.get(&frame).and_then(|frame| frame.last_error.clone());
            let error = last.unwrap_or_else(|| ErrorObject::runtime(reason));
            let work = Work { reply, ..Work::default() };
            self.apply(entry, key.workflow, Input::GiveUp { frame, error }, work);
            return;
        }
        self.retrying.remove(&key);
        entry.retrying -= 1;
        if let Some(row) = entry.tasks.get_mut(&frame) {
            row.state = TaskState::Queued;
            row.attempt += 1;
            row.session = None;
            row.since_ms = now_ms();
        }
        if entry.workflow.phase == planaria_kernel::workflow::Phase::Running {
            self.place(entry, frame, None);
        }
        self.write_task(entry, frame);
        self.show_phase(entry, key.workflow);
        self.gathering.answer(reply, Ok(()));
    }

    /// The retry engine decides later: until then its word is not missed. It never comes sooner
    /// than was promised before.
    fn defer(&mut self, entry: &mut Entry, key: TaskKey, until_ms: u64, reply: Option<Reply<()>>) {
        if let Some(row) = entry.tasks.get_mut(&key.frame) {
            row.latest_start_ms = row.latest_start_ms.max(until_ms);
            self.retrying.insert(key, row.latest_start_ms);
        }
        self.write_task(entry, key.frame);
        self.gathering.answer(reply, Ok(()));
    }
}
