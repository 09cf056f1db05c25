//! Mail to decisions: a workflow's mail is applied, one by one, each to a step of its own.

use std::collections::VecDeque;

use planaria_dsl::{Answer, MemoEvaluator};
use planaria_kernel::definition::Graph;
use planaria_kernel::workflow::{self, Effect, Input, Rejected, Surroundings, Timer};
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::entry::{Entry, Evaluating, Mail, MailKind, Settle, Slot, Work};
use super::telling::{About, tell};
use super::{Engine, Internal};
use crate::error::Error;
use crate::store::{TaskKey, TaskState};

impl Engine {
    /// Hands mail to a workflow: at once if it is here and not busy, else when it is.
    pub(super) fn deliver(&mut self, id: Uuid, mail: Mail) {
        match self.slots.remove(&id) {
            Some(Slot::Live(mut entry)) => {
                let interrupts = mail.kind.interrupts();
                let undecided = |evaluating: &Evaluating| {
                    evaluating.again.is_some() || !evaluating.work.facts.is_empty()
                };
                if interrupts && !entry.evaluating.as_ref().is_some_and(undecided) {
                    // The value that is waited for belongs to no step yet: it is asked for again
                    // if it is still wanted.
                    let waited = entry.evaluating.take().is_some();
                    self.process(&mut entry, id, mail);
                    if waited && entry.evaluating.is_none() {
                        entry.mailbox.push_back(Mail::quiet(MailKind::Check));
                        self.work_off(&mut entry, id);
                    }
                } else if entry.evaluating.is_some() {
                    entry.mailbox.push_back(mail);
                } else {
                    self.process(&mut entry, id, mail);
                }
                self.keep(id, entry);
            }
            Some(Slot::Loading(mut waiting)) => {
                waiting.push_back(mail);
                self.slots.insert(id, Slot::Loading(waiting));
            }
            Some(Slot::Frozen(mut frozen)) => {
                self.deliver_frozen(id, &mut frozen, mail);
                self.slots.insert(id, Slot::Frozen(frozen));
            }
            None if self.retention.is_going(&id) => {
                mail.refuse(Error::WorkflowNotFound(id.to_string()));
            }
            None => {
                self.slots.insert(id, Slot::Loading(VecDeque::from([mail])));
                self.load(id, None);
            }
        }
    }

    /// Puts a workflow back, unless it has begun to be read again, or was frozen.
    pub(super) fn keep(&mut self, id: Uuid, entry: Box<Entry>) {
        if self.slots.contains_key(&id) {
            return;
        }
        self.slots.insert(id, Slot::Live(entry));
    }

    fn process(&mut self, entry: &mut Entry, id: Uuid, mail: Mail) {
        let reply = mail.reply;
        match mail.kind {
            MailKind::Input(input) => {
                let settle = match &input {
                    Input::TimerFired { frame, timer } => Settle::Fired(*frame, *timer),
                    _ => Settle::Nothing,
                };
                self.apply(entry, id, input, Work { settle, reply, ..Work::default() });
            }
            MailKind::Published { input, namespace } => {
                let own = &entry.definition.key.namespace;
                if namespace.is_none_or(|namespace| namespace == *own) {
                    self.apply(entry, id, input, Work { reply, ..Work::default() });
                } else if let Some(reply) = reply {
                    // As if nobody listened.
                    let _ = reply.send(Err(Error::WorkflowNotFound(id.to_string())));
                }
            }
            MailKind::Report { frame, attempt, session, outcome } => {
                self.report(entry, id, (frame, attempt, session), outcome, reply);
            }
            MailKind::Lost(loss) => self.lost(entry, id, loss, reply),
            MailKind::Decision { frame, attempt, verdict } => {
                let key = TaskKey { workflow: id, frame };
                self.decide(entry, key, (attempt, verdict), reply);
            }
            MailKind::Claim { frame, session } => {
                self.claim(entry, TaskKey { workflow: id, frame }, session);
            }
            MailKind::Checkpoint { frame, attempt, checkpoint } => {
                self.checkpoint(entry, frame, attempt, checkpoint);
            }
            MailKind::Skip { task, output, reason } => {
                let node = entry.workflow.graph.find(&task);
                match node.and_then(|node| entry.workflow.frame_of(node)) {
                    Some(frame) => {
                        let input = Input::Skip { frame, output, reason };
                        self.apply(entry, id, input, Work { reply, ..Work::default() });
                    }
                    None => self.gathering.answer(reply, Err(Error::TaskNotFound(task))),
                }
            }
            MailKind::Rerun { task, input } => self.rerun(entry, id, (task, input), reply),
            MailKind::Signal { id: event_id, event, told } => {
                let input = Input::Signal { id: event_id, event };
                let work = Work { consumed: Some(told), ..Work::default() };
                self.apply(entry, id, input, work);
            }
            MailKind::Wait(waiter) => match entry.ended(id) {
                Some(ended) => self.gathering.then(move || drop(waiter.send(Ok(ended)))),
                None => entry.waiters.push(waiter),
            },
            MailKind::Check => self.check(entry, id),
            MailKind::Quiet => self.quiet(entry, id),
            MailKind::Leftover => self.leftover(entry, id),
            MailKind::Continue => self.apply(entry, id, Input::Continue, Work::default()),
            MailKind::Overdue(frame, timer) => self.overdue(entry, id, (frame, timer)),
            MailKind::Mend(mending) => self.mend(entry, id, *mending),
            MailKind::Stranded(frame) => self.stranded(entry, frame),
            MailKind::Orphaned(frame) => self.orphaned(entry, id, frame),
            MailKind::Count { frame, session } => {
                self.permits.end_count();
                self.count_running(entry, frame, session);
            }
        }
    }

    /// Applies an input and finishes the step, or has it wait for the value of an expression.
    pub(super) fn apply(&mut self, entry: &mut Entry, id: Uuid, input: Input, work: Work) {
        self.apply_knowing(entry, id, input, work, Vec::new());
    }

    fn apply_knowing(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        input: Input,
        mut work: Work,
        memo: Vec<Answer>,
    ) {
        let limits = self.parts.config.workflow_limits();
        let definition = entry.definition.clone();
        let mut evaluator = MemoEvaluator::new(&definition.compiled.expressions, &memo)
            .with_output_bytes_max(self.parts.config.payload_bytes_max);
        let (now_ms, random) = *work.decided.get_or_insert_with(|| (now_ms(), rand::random()));
        let mut surroundings =
            Surroundings { now_ms, random, limits: &limits, evaluator: &mut evaluator };
        let again = input.clone();
        let step = match workflow::apply(&mut entry.workflow, input, &mut surroundings) {
            Ok(step) => step,
            Err(rejected) => {
                self.rejected(entry, (id, &again), rejected, work);
                return;
            }
        };
        let progressed = !step.facts.is_empty();
        work.facts.extend(step.facts);
        work.effects.extend(step.effects);
        if step.pending {
            let request = evaluator.take_pending();
            let memo = if progressed { Vec::new() } else { memo };
            let can_wait =
                work.facts.is_empty() || !work.then.is_empty() || work.consumed.is_some();
            if can_wait {
                let again = (!progressed && work.facts.is_empty()).then_some(again);
                self.evaluate(entry, id, request, (again, work, memo));
                return;
            }
            // What is decided is committed before a value is waited for: nobody waits for the
            // expressions of a workflow to hear that it was started, and who cancels it is heard
            // between two of them.
            self.finish(entry, id, work);
            if entry.mailbox.is_empty() {
                self.evaluate(entry, id, request, (None, Work::default(), memo));
            } else {
                entry.mailbox.push_back(Mail::quiet(MailKind::Check));
            }
            return;
        }
        if let Some(next) = work.then.pop_front() {
            self.apply_knowing(entry, id, next, work, Vec::new());
            return;
        }
        self.finish(entry, id, work);
    }

    /// Has an expression evaluated elsewhere; the workflow waits for its value.
    fn evaluate(
        &mut self,
        entry: &mut Entry,
        id: Uuid,
        request: Option<planaria_dsl::EvaluationRequest>,
        (again, work, memo): (Option<Input>, Work, Vec<Answer>),
    ) {
        self.evaluations += 1;
        let number = self.evaluations;
        entry.evaluating = Some(Evaluating { number, again, work, memo });
        let (pool, inner) = (self.parts.expressions.clone(), self.inner.clone());
        let key = entry.definition.key.clone();
        tokio::spawn(async move {
            // In turn between definitions: one that is hostile delays itself.
            let line = format!("{}/{}", key.namespace, key.name);
            let answer = match request {
                Some(request) => pool.evaluate(&line, request).await,
                None => Err("the evaluator asked nothing".to_owned()),
            };
            let _ = inner.send(Internal::Evaluated(id, number, answer));
        });
    }

    /// An expression's value is known: the step goes on.
    pub(super) fn evaluated(&mut self, id: Uuid, number: u64, answer: Answer) {
        let Some(slot) = self.slots.remove(&id) else { return };
        let Slot::Live(mut entry) = slot else {
            self.slots.insert(id, slot);
            return;
        };
        // A value that was not waited for any more is none.
        let awaited = entry.evaluating.as_ref().is_some_and(|now| now.number == number);
        if awaited && let Some(evaluating) = entry.evaluating.take() {
            let Evaluating { again, work, mut memo, .. } = evaluating;
            memo.push(answer);
            let input = again.unwrap_or(Input::Continue);
            self.apply_knowing(&mut entry, id, input, work, memo);
        }
        self.work_off(&mut entry, id);
        self.keep(id, entry);
    }

    /// Works off the mail that came while a value was waited for.
    fn work_off(&mut self, entry: &mut Entry, id: Uuid) {
        while entry.evaluating.is_none()
            && let Some(mail) = entry.mailbox.pop_front()
        {
            self.process(entry, id, mail);
        }
    }

    /// The input changes nothing.
    fn rejected(
        &mut self,
        entry: &mut Entry,
        (id, input): (Uuid, &Input),
        rejected: Rejected,
        work: Work,
    ) {
        if let (Rejected::NotOpen, Settle::Fired(frame, timer)) = (&rejected, &work.settle) {
            let work = Work { settle: Settle::Fired(*frame, *timer), ..Work::default() };
            self.finish(entry, id, work);
            return;
        }
        if !work.facts.is_empty() {
            // An input that follows another in one step came to nothing; the first still counts.
            let about = About::entry(id, entry);
            tell!(error, about, ?input, %rejected, "a following input was refused");
            self.finish(entry, id, work);
            return;
        }
        let known = rejected == Rejected::KnownEvent;
        if let Some(told) = work.consumed {
            let waits = matches!(input, Input::Signal { id, .. }
                if entry.workflow.inbox.values().any(|kept| kept.id == *id));
            let outcome = if known { Ok(!waits) } else { Err(Error::from(rejected)) };
            self.gathering.then(move || drop(told.send(outcome)));
            return;
        }
        let outcome = if known { Ok(()) } else { Err(Error::from(rejected)) };
        self.gathering.answer(work.reply, outcome);
    }

    /// A worker's checkpoint is kept for the next attempt.
    fn checkpoint(
        &mut self,
        entry: &mut Entry,
        frame: workflow::FrameId,
        attempt: u32,
        checkpoint: bytes::Bytes,
    ) {
        let Some(row) = entry.tasks.get_mut(&frame) else { return };
        if row.state == TaskState::Running && row.attempt == attempt {
            row.checkpoint = Some(checkpoint);
            self.write_task(entry, frame);
        }
    }
}

/// The timers that a state asks for.
pub(super) fn standing_timers(
    workflow: &workflow::Workflow,
) -> std::collections::BTreeMap<(workflow::FrameId, Timer), u64> {
    let effects = workflow.standing_effects().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Arm { frame, timer, due_ms } => Some(((frame, timer), due_ms)),
            _ => None,
        })
        .collect()
}

/// Whether a definition has listen tasks at all.
pub(super) fn listens(graph: &Graph) -> bool {
    graph
        .nodes
        .iter()
        .any(|node| matches!(node.kind, planaria_kernel::definition::Kind::Listen { .. }))
}
