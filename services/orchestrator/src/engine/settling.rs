//! Settling limits with the other shards, and what waits for a permit.
//!
//! What a shard has running is told only once everything that it decided before is committed: what
//! the store shows of it is then never less than what runs.

use std::sync::Arc;

use planaria_kernel::workflow::{FrameId, FrameState};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::dispatch::call_of;
use super::entry::{Entry, Mail, MailKind, Slot};
use super::permits::Permits;
use super::{Engine, Internal};
use crate::limits::{Rules, Settled, Values};
use crate::store::{StoreError, TaskKey, TaskState};

/// What came of settling: of which generation of the engine, and the store's answer.
pub(crate) type Answered = (u64, Result<Vec<Option<Settled>>, StoreError>);

impl Engine {
    /// Goes by the limits as they are known now.
    pub(super) fn adopt_rules(&mut self) {
        let rules = self.parts.limits.rules();
        if Arc::ptr_eq(&rules, self.permits.rules()) {
            return;
        }
        self.permits.adopt(rules);
        let running = self.sessions.iter().flat_map(|(id, session)| {
            session.running.iter().map(|(key, running)| (*id, *key, running.attempt))
        });
        let running: Vec<(Uuid, TaskKey, u32)> = running.collect();
        for (session, key, attempt) in running {
            match self.slots.remove(&key.workflow) {
                Some(Slot::Live(mut entry)) => {
                    self.count_running(&mut entry, key.frame, session);
                    self.slots.insert(key.workflow, Slot::Live(entry));
                }
                other => {
                    other.map(|slot| self.slots.insert(key.workflow, slot));
                    // A reserved slot is looked at when its workflow is here.
                    if attempt != 0 && !self.permits.rules().is_empty() {
                        let kind = MailKind::Count { frame: key.frame, session };
                        self.permits.begin_count();
                        self.mail.push_back((key.workflow, Mail::quiet(kind)));
                    }
                }
            }
        }
        self.reopen();
    }

    /// Begins with what the store has.
    pub(super) async fn recover_permits(&mut self) -> Result<(), StoreError> {
        self.permits = Permits::new(self.parts.limits.rules());
        if self.permits.rules().is_empty() {
            return Ok(());
        }
        for used in self.parts.limits.store().limit_uses().await? {
            if used.shard == self.parts.shard {
                self.permits.know(&used.of);
            }
        }
        Ok(())
    }

    /// An attempt that began before its limit was set uses it too.
    pub(super) fn count_running(&mut self, entry: &mut Entry, frame: FrameId, session: Uuid) {
        let has = self.sessions.get(&session);
        let key = entry.tasks.get(&frame).map(|row| row.key);
        let Some(key) = key.filter(|key| has.is_some_and(|it| it.running.contains_key(key))) else {
            return;
        };
        let values = values(self.permits.rules(), entry, frame);
        let Some(row) = entry.tasks.get_mut(&frame) else { return };
        let is_changed = row.state == TaskState::Running && row.limit_values != values;
        if is_changed {
            row.limit_values = values;
        }
        let of = (&*row.namespace, &*row.function);
        self.permits.count((key, session), of, row.limit_values.as_deref());
        if is_changed {
            self.write_task(entry, frame);
        }
    }

    /// Opens what waited for permits that came back.
    pub(super) fn unpark(&mut self) {
        for parked in self.permits.take_unparked() {
            self.routes.unpark(&parked);
            self.has_news = true;
            self.feed(&parked.queue, &parked.function);
        }
    }

    /// Settles what is due, unless that is under way.
    pub(super) fn settle_limits(&mut self) {
        if !self.permits.is_urgent() {
            return;
        }
        let waiting = self.routes.count_limited(self.permits.rules());
        let sessions = &self.sessions;
        let demands = self.permits.demands(waiting, |session, key| {
            sessions.get(&session).is_some_and(|session| session.running.contains_key(&key))
        });
        self.next_settle = Instant::now() + Duration::from_millis(self.parts.config.settle_ms);
        if demands.is_empty() {
            return;
        }
        let (limits, inner) = (self.parts.limits.store(), self.inner.clone());
        let (shard, log, generation) = (self.parts.shard, self.parts.store.log(), self.generation);
        let turn = self.settle_turn.clone();
        let settle = async move {
            let _turn = turn.lock().await;
            let answer = limits.settle_limits(shard, log, &demands).await;
            let _ = inner.send(Internal::Settled((generation, answer)));
        };
        self.gathering.then(move || drop(tokio::spawn(settle)));
    }

    /// What came of it.
    pub(super) fn limits_settled(&mut self, (generation, answer): Answered) {
        if generation != self.generation {
            return;
        }
        match answer {
            Ok(answers) => self.permits.settled(Some(&answers)),
            Err(error) => {
                // What is limited waits; the next try is not far.
                planaria_store::tell("limits are not settled", &error);
                self.permits.settled(None);
            }
        }
    }
}

/// What limits count a task by, if any look into its arguments.
pub(super) fn values(rules: &Rules, entry: &Entry, frame: FrameId) -> Option<Arc<Values>> {
    let frame = entry.workflow.frames.get(&frame)?;
    let call = call_of(&entry.workflow.graph.node(frame.node).kind)?;
    let FrameState::Call { arguments } = &frame.state else { return None };
    let arguments = arguments.as_ref().unwrap_or(&frame.input);
    rules.values(&entry.definition.key.namespace, &call.function, arguments.as_bytes())
}
