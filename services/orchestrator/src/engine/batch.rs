//! Batches: what is committed together, and what happens once it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use planaria_kernel::Json;
use planaria_proto::task::v1::Assignment;
use planaria_runtime::clock::now_ms;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::command::{Command, Ended, Reply, WatchItem};
use super::entry::Slot;
use super::{Engine, Internal};
use crate::error::Error;
use crate::store::{DefinitionKey, LogEntry, StoreError, WorkflowStore, Write};

/// The pause after a second failure in a row, doubled with each further one up to a second or so.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_DOUBLINGS_MAX: u32 = 6;

/// What is committed together.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) writes: Vec<Write>,
    /// Workflows with a step or a task's row in it, once for each.
    pub(crate) steps: Vec<Uuid>,
    /// What goes to workers once it is committed.
    pub(crate) deliveries: Vec<(Uuid, Assignment)>,
    /// Workflows that are over once it is committed, and who waits for that.
    pub(crate) ended: Vec<(Ended, Vec<Reply<Ended>>)>,
    /// Events that are published once it is committed, and the definition that emits each.
    pub(crate) published: Vec<(Arc<DefinitionKey>, Json)>,
    replies: Vec<(Reply<()>, Result<(), Error>)>,
    then: Vec<Box<dyn FnOnce() + Send>>,
    watched: BTreeMap<Uuid, WatchItem>,
}

impl Batch {
    /// Whether there is nothing to commit and nobody to answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.replies.is_empty()
            && self.then.is_empty()
            && self.watched.is_empty()
            && self.ended.is_empty()
            && self.published.is_empty()
    }

    /// Answers once everything up to now is committed.
    pub(crate) fn answer(&mut self, reply: Option<Reply<()>>, outcome: Result<(), Error>) {
        if let Some(reply) = reply {
            self.replies.push((reply, outcome));
        }
    }

    /// Does something once everything up to now is committed; never, if that fails.
    pub(crate) fn then(&mut self, what: impl FnOnce() + Send + 'static) {
        self.then.push(Box::new(what));
    }

    /// What the watchers of a workflow are told once it is committed.
    pub(crate) fn watched(&mut self, id: Uuid) -> &mut WatchItem {
        let nothing = || WatchItem { events: Vec::new(), attempts: Vec::new(), ended: None };
        self.watched.entry(id).or_insert_with(nothing)
    }
}

impl Engine {
    /// Sends the batch off, if none is under way.
    pub(super) fn send_off(&mut self) {
        if self.committing.is_some() || self.gathering.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.gathering);
        let writes = std::mem::take(&mut batch.writes);
        self.committing = Some(batch);
        if writes.is_empty() {
            let _ = self.inner.send(Internal::Committed(Ok(Vec::new())));
            return;
        }
        self.parts.meters.committing(&writes);
        let (store, inner) = (self.parts.store.clone(), self.inner.clone());
        tokio::spawn(async move {
            let outcome = store.commit(&writes).await;
            if let Err(StoreError::Conflict | StoreError::Refused(_)) = &outcome {
                // What can be committed is; who is answered is another matter.
                save_neighbours(store.as_ref(), &writes).await;
            }
            let _ = inner.send(Internal::Committed(outcome));
        });
    }

    /// The batch is in the store: now it may have consequences.
    pub(super) fn committed(&mut self, entries: Vec<LogEntry>) {
        let Some(batch) = self.committing.take() else { return };
        self.failures = 0;
        let now_ms = now_ms();
        for id in batch.steps {
            if let Some(Slot::Live(entry)) = self.slots.get_mut(&id) {
                entry.uncommitted = entry.uncommitted.saturating_sub(1);
                entry.committed_at_ms = now_ms;
                if entry.workflow.phase.is_over() && entry.is_idle() {
                    self.slots.remove(&id);
                }
            }
        }
        self.send_assignments(batch.deliveries);
        for (reply, outcome) in batch.replies {
            let _ = reply.send(outcome);
        }
        for (ended, waiters) in batch.ended {
            for waiter in waiters {
                let _ = waiter.send(Ok(ended.clone()));
            }
        }
        for what in batch.then {
            what();
        }
        self.mail.extend(std::mem::take(&mut self.mail_after_commit));
        for (id, item) in batch.watched {
            self.tell_watchers(id, &item);
        }
        self.parts.tail.append(entries);
        for (by, event) in batch.published {
            self.publish_emitted(&event, &by.namespace);
        }
        self.shrink();
    }

    fn tell_watchers(&mut self, id: Uuid, item: &WatchItem) {
        let Some(watchers) = self.watchers.get_mut(&id) else { return };
        // A watcher that does not read is let go: it comes back with the last number it saw.
        watchers.retain(|watcher| watcher.try_send(item.clone()).is_ok());
        if watchers.is_empty() || item.ended.is_some() {
            self.watchers.remove(&id);
        }
    }

    /// The commit failed, or its outcome is unknown: nothing in memory can be trusted.
    pub(super) fn commit_failed(&mut self, error: &StoreError) {
        self.is_replaced = matches!(error, StoreError::Fenced);
        if !self.is_replaced {
            planaria_store::tell("commit failed; reading everything again", error);
        }
        self.committing = None;
        self.gathering = Batch::default();
        self.generation += 1;
        self.forget();
        self.failures += 1;
        self.is_blank = true;
    }

    /// Reads everything, however long the store takes to heal. Commands that come meanwhile are
    /// refused.
    pub(super) async fn read_everything(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        stop: &CancellationToken,
    ) {
        while !self.is_replaced && !stop.is_cancelled() {
            if self.failures > 1 {
                let doublings = (self.failures - 2).min(PAUSE_DOUBLINGS_MAX);
                refuse(commands, PAUSE * 2_u32.pow(doublings)).await;
            }
            match self.recover().await {
                Ok(()) => {
                    self.is_blank = false;
                    return;
                }
                Err(error) => planaria_store::tell("the store cannot be read", &error),
            }
            self.failures += 1;
        }
    }

    /// Drops workflows from memory that nobody needs now, if there are too many.
    fn shrink(&mut self) {
        let most = self.parts.config.workflows_cached_max;
        if self.slots.len() <= most + most / 8 {
            return;
        }
        let mut surplus = self.slots.len() - most;
        self.slots.retain(|_, slot| {
            let idle = matches!(slot, Slot::Live(entry) if entry.is_idle());
            if idle && surplus > 0 {
                surplus -= 1;
                return false;
            }
            true
        });
    }
}

/// Takes commands for a while and drops them: whoever asked finds the way of the answer closed.
async fn refuse(commands: &mut mpsc::Receiver<Command>, pause: Duration) {
    let paused = tokio::time::sleep(pause);
    tokio::pin!(paused);
    loop {
        tokio::select! {
            () = &mut paused => return,
            command = commands.recv() => if command.is_none() {
                return;
            },
        }
    }
}

/// Commits what does not fail by itself: a batch that failed is cut in halves until the culprit
/// stands alone, so that no workflow fails for its neighbour.
async fn save_neighbours(store: &dyn WorkflowStore, writes: &[Write]) {
    let mut parts = vec![writes];
    while let Some(part) = parts.pop() {
        if part.len() > 1 {
            let (left, right) = part.split_at(part.len() / 2);
            for half in [left, right] {
                if store.commit(half).await.is_err() {
                    parts.push(half);
                }
            }
        } else if let [culprit] = part {
            tracing::error!(?culprit, "this change cannot be committed");
        }
    }
}

/// Waits for an answer that may never come because the engine was reset.
pub(crate) async fn settled<T>(answer: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
    answer.await.map_err(|_| Error::Unavailable)?
}
