//! Taking commands: starts, steering, events.

use planaria_kernel::Json;
use planaria_kernel::workflow::{Input, Workflow};
use planaria_proto::types::v1::Phase;
use std::collections::BTreeMap;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Engine;
use super::command::{
    Attempted, Command, Reply, RetryDecision, Signalled, StartRequest, Started, Steering,
};
use super::entry::{Entry, Mail, MailKind, Slot, Work};
use crate::error::Error;

/// How long a key is remembered: longer than any caller may look at the store before it starts.
const KEY_MS: u64 = 60_000;

impl Engine {
    /// Takes a command.
    pub(super) fn take(&mut self, command: Command) {
        match command {
            Command::Start(request, started) => self.start(*request, started),
            Command::Wait(id, reply) => {
                self.mail.push_back((id, Mail::quiet(MailKind::Wait(reply))));
            }
            Command::Steer(id, steering, reply) => self.steer(id, steering, reply),
            Command::Signal(id, event, reply) => self.signal(id, event, reply),
            Command::Publish(event, reply) => self.publish(&event, reply),
            Command::Watch(id, watcher, reply) => {
                self.watchers.entry(id).or_default().push(watcher);
                // Everything decided before is committed when this is answered.
                self.gathering.answer(Some(reply), Ok(()));
            }
            Command::OpenSession { request, is_lent, reply } => {
                self.open_session(&request, is_lent, reply);
            }
            Command::Pull(id, stream, reply) => self.pull(id, stream, reply),
            Command::Report(items) => {
                for (item, reply) in items {
                    let claims = item.claims;
                    let kind = MailKind::Report {
                        frame: claims.task.frame,
                        attempt: claims.attempt,
                        session: claims.session,
                        outcome: item.outcome,
                    };
                    self.deliver(claims.task.workflow, Mail::answered(kind, reply));
                }
            }
            Command::Observe(observations, reply) => self.observe(observations, reply),
            Command::CloseSession(id, reason, reply) => self.close_session(id, &reason, reply),
            Command::Verdicts(verdicts) => self.pronounce(verdicts),
            Command::Decide(decisions) => {
                for (decision, reply) in decisions {
                    let RetryDecision { task, attempt, verdict } = decision;
                    let frame = task.frame;
                    let kind = MailKind::Decision { frame, attempt, verdict };
                    self.deliver(task.workflow, Mail::answered(kind, reply));
                }
            }
            Command::NamespaceOf(id, reply) => {
                let found = self.sessions.get(&id);
                let namespace = found.map(|session| session.announced.namespace.clone());
                let _ = reply.send(namespace.ok_or(Error::SessionNotFound));
            }
            Command::OwnSessions(reply) => drop(reply.send(Ok(self.own_sessions()))),
            Command::Offer { to, shares, only, reply } => {
                let offered = self.offer(to, shares, only);
                let _ = reply.send(Ok(offered));
            }
            Command::TakeBack(id, from, slots) => self.take_back(id, from, slots),
            Command::HeldBy(id, by, slots) => self.held_by(id, by, slots),
            Command::PassOn(id, assignments) => self.pass_on(id, assignments),
            Command::Lend(id, slots, reply) => self.lend(id, slots, reply),
            Command::Look => {
                self.adopt_rules();
                self.reopen();
            }
            Command::Statistics(reply) => {
                let _ = reply.send(Ok(Box::new(self.statistics())));
            }
        }
    }

    fn start(&mut self, request: StartRequest, started: Started) {
        if let Some(key) = &request.idempotency_key
            && let Some((id, digest)) = self.keys.get(key)
        {
            if Some(digest) != request.digest.as_ref() {
                let (key, id) = (key.clone(), *id);
                started.refuse(Error::IdempotencyKeyReused { key, id });
                return;
            }
            let id = *id;
            self.started_before(id, started);
            return;
        }
        let id = self.parts.shard.new_id();
        let start_key = request.idempotency_key.zip(request.digest);
        if let Some((key, digest)) = &start_key {
            self.keys.insert(key.clone(), (id, digest.clone()));
            self.key_ages.push_back((planaria_runtime::clock::now_ms(), key.clone()));
        }
        let graph = request.definition.compiled.graph.clone();
        let mut workflow = Workflow::new(id.to_string().into(), graph);
        workflow.trace_parent = request.trace_parent;
        let mut entry = Box::new(Entry {
            workflow,
            definition: request.definition,
            tasks: BTreeMap::new(),
            retrying: 0,
            records: BTreeMap::new(),
            timers: BTreeMap::new(),
            listeners: std::collections::BTreeSet::new(),
            start_key,
            shown: Phase::Pending,
            uncommitted: 0,
            committed_at_ms: 0,
            evaluating: None,
            mailbox: std::collections::VecDeque::new(),
            waiters: Vec::new(),
            starters: Vec::new(),
        });
        let mut reply = None;
        match started {
            Started::End(waiter) => entry.waiters.push(waiter),
            Started::Start(start) => {
                let (sender, answer) = oneshot::channel();
                reply = Some(sender);
                forward(answer, start, (id, false));
            }
        }
        let work = Work { reply, ..Work::default() };
        if let Some(place) = request.place {
            self.gathering.then(move || drop(place));
        }
        self.apply(&mut entry, id, Input::Start { input: request.input }, work);
        self.slots.insert(id, Slot::Live(entry));
    }

    fn started_before(&mut self, id: Uuid, started: Started) {
        match started {
            Started::Start(reply) => {
                if let Some(Slot::Live(entry)) = self.slots.get_mut(&id)
                    && entry.start_key.is_some()
                {
                    // Nothing of it is decided yet.
                    entry.starters.push(reply);
                    return;
                }
                self.gathering.then(move || drop(reply.send(Ok((id, true)))));
            }
            Started::End(reply) => {
                self.mail.push_back((id, Mail::quiet(MailKind::Wait(reply))));
            }
        }
    }

    /// Forgets watchers that went away: workflows that are over tell them nothing more.
    pub(super) fn forget_closed_watchers(&mut self) {
        self.watchers.retain(|_, watchers| {
            watchers.retain(|watcher| !watcher.is_closed());
            !watchers.is_empty()
        });
    }

    /// Forgets keys that the store has shown for long enough.
    pub(super) fn forget_old_keys(&mut self) {
        let before_ms = planaria_runtime::clock::now_ms().saturating_sub(KEY_MS);
        while self.key_ages.front().is_some_and(|(at_ms, _)| *at_ms < before_ms) {
            if let Some((_, key)) = self.key_ages.pop_front() {
                self.keys.remove(&key);
            }
        }
    }

    fn steer(&mut self, id: Uuid, steering: Steering, reply: Reply<()>) {
        let kind = match steering {
            Steering::Suspend(reason) => MailKind::Input(Input::Suspend { reason }),
            Steering::Resume => MailKind::Input(Input::Resume),
            Steering::Cancel(reason) => MailKind::Input(Input::Cancel { reason }),
            Steering::Retry(reason) => MailKind::Input(Input::Retry { reason }),
            Steering::Rerun(task, input) => MailKind::Rerun { task, input },
            Steering::Skip { task, output, reason } => MailKind::Skip { task, output, reason },
        };
        self.mail.push_back((id, Mail::answered(kind, reply)));
    }

    fn signal(&mut self, id: Uuid, event: Signalled, told: Reply<bool>) {
        let kind = MailKind::Signal { id: event.id, event: event.event, told };
        self.mail.push_back((id, Mail::quiet(kind)));
    }

    fn publish(&mut self, event: &Signalled, reply: Reply<u32>) {
        let mut answers = Vec::new();
        for id in self.listening_for(&event.kind) {
            let (sender, answer) = oneshot::channel();
            let input = Input::Publish { id: event.id.clone(), event: event.event.clone() };
            let kind = MailKind::Published { input, namespace: event.namespace.clone() };
            self.mail.push_back((id, Mail::answered(kind, sender)));
            answers.push(answer);
        }
        tokio::spawn(async move {
            let mut consumers = 0;
            for answer in answers {
                consumers += u32::from(matches!(answer.await, Ok(Ok(()))));
            }
            let _ = reply.send(Ok(consumers));
        });
    }

    /// An event that a workflow emitted reaches those that listen to such.
    pub(super) fn publish_emitted(&mut self, event: &Json, namespace: &str) {
        self.parts.emitted.tell(self.parts.shard, namespace, event);
        let value = event.to_value();
        let text = |key: &str| value.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        for id in self.listening_for(text("type")) {
            let input = Input::Publish { id: text("id").to_owned(), event: event.clone() };
            let kind = MailKind::Published { input, namespace: Some(namespace.to_owned()) };
            self.mail.push_back((id, Mail::quiet(kind)));
        }
    }

    fn listening_for(&self, kind: &str) -> Vec<Uuid> {
        let matching =
            self.listeners.iter().filter(|(_, wanted)| wanted.is_empty() || *wanted == kind);
        let mut ids: Vec<Uuid> = matching.map(|(key, _)| key.workflow).collect();
        ids.dedup();
        ids
    }

    fn observe(&mut self, observations: Vec<Attempted>, reply: Reply<Vec<Option<Vec<String>>>>) {
        let answers = observations.into_iter().map(|seen| self.observed(seen)).collect();
        let _ = reply.send(Ok(answers));
    }
}

impl Started {
    fn refuse(self, error: Error) {
        match self {
            Self::Start(reply) => drop(reply.send(Err(error))),
            Self::End(reply) => drop(reply.send(Err(error))),
        }
    }
}

/// Passes an answer on under another name.
fn forward<T: Send + 'static>(
    answer: oneshot::Receiver<Result<(), Error>>,
    reply: Reply<T>,
    value: T,
) {
    tokio::spawn(async move {
        let outcome = super::batch::settled(answer).await;
        let _ = reply.send(outcome.map(|()| value));
    });
}
