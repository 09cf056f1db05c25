//! What the engine is asked to do.

use bytes::Bytes;
use planaria_kernel::Json;
use planaria_kernel::workflow::{ErrorObject, LossCause};
use planaria_proto::task::v1::{Assignment, OpenSessionRequest};
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::HistoryEvent;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::Uuid;

use crate::definitions::Definition;
use crate::error::Error;
use crate::store::{Shard, TaskKey};

use crate::token::Claims;

use super::session::Handed;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the engine is asked to do.
pub(crate) enum Command {
    /// Start a workflow.
    Start(Box<StartRequest>, Started),
    /// Say when a workflow is over.
    Wait(Uuid, Reply<Ended>),
    /// Steer a workflow.
    Steer(Uuid, Steering, Reply<()>),
    /// Deliver an event to one workflow.
    Signal(Uuid, Signalled, Reply<bool>),
    /// Deliver an event to whoever listens; answers how many took it.
    Publish(Signalled, Reply<u32>),
    /// Follow a workflow from now on; answers once it is registered.
    Watch(Uuid, mpsc::Sender<WatchItem>, Reply<()>),
    /// Open a session; answers its id. It is lent if its worker's own is in another shard.
    OpenSession { request: Box<OpenSessionRequest>, is_lent: bool, reply: Reply<Uuid> },
    /// A session's pull stream; a newer one ends the older.
    Pull(Uuid, mpsc::Sender<Handed>, Reply<()>),
    /// Results of attempts.
    Report(Vec<(ReportItem, Reply<()>)>),
    /// What workers said; answers a lease and what to abandon, `None` = no such session.
    Observe(Vec<Attempted>, Reply<Vec<Option<Vec<String>>>>),
    /// The namespace that a session is for; empty is all of them.
    NamespaceOf(Uuid, Reply<String>),
    /// End a session at its worker's wish.
    CloseSession(Uuid, String, Reply<()>),
    /// Verdicts of a failure detector.
    Verdicts(Vec<VerdictItem>),
    /// Decisions of the retry engine; answers which applied.
    Decide(Vec<(RetryDecision, Reply<()>)>),
    /// The sessions whose workers belong to this shard.
    OwnSessions(Reply<Vec<(Uuid, Arc<OpenSessionRequest>)>>),
    /// Offer another shard one of so many shares of the free slots; answers how many of which
    /// session.
    Offer { to: Shard, shares: usize, only: Option<Uuid>, reply: Reply<Vec<(Uuid, usize)>> },
    /// Slots of a session came back from another shard.
    TakeBack(Uuid, Shard, usize),
    /// So many slots of a session are at another shard.
    HeldBy(Uuid, Shard, usize),
    /// Pass on what another shard hands to a session's worker.
    PassOn(Uuid, Vec<Assignment>),
    /// Lend slots to a lent session.
    Lend(Uuid, usize, Reply<()>),
    /// Something that was held back may go through: look at what waits.
    Look,
    /// Counts.
    Statistics(Reply<Box<Statistics>>),
}

/// A start.
pub(crate) struct StartRequest {
    /// The definition.
    pub definition: Arc<Definition>,
    /// The raw input.
    pub input: Json,
    /// Makes it idempotent.
    pub idempotency_key: Option<String>,
    /// SHA-256 of definition and input, if there is a key.
    pub digest: Option<Vec<u8>>,
    /// Its place in a trace, if that is recorded.
    pub trace_parent: Option<Arc<str>>,
    /// Its place among those that wait for their commit; given back then.
    pub place: Option<OwnedSemaphorePermit>,
}

/// What the caller of a start waits for.
pub(crate) enum Started {
    /// The start: the id, and whether the key had started it before.
    Start(Reply<(Uuid, bool)>),
    /// The end.
    End(Reply<Ended>),
}

/// How a workflow ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// The workflow.
    pub id: Uuid,
    /// Completed, faulted or cancelled.
    pub phase: Phase,
    /// Its output, if it completed.
    pub output: Option<Json>,
    /// Its error, if it faulted.
    pub error: Option<ErrorObject>,
}

/// How a workflow is steered.
pub(crate) enum Steering {
    /// Hold it.
    Suspend(String),
    /// Let it go on.
    Resume,
    /// End it.
    Cancel(String),
    /// Go on from the fault.
    Retry(String),
    /// Go on from an earlier task.
    Rerun(String, Option<Json>),
    /// Complete a task by hand.
    Skip {
        /// JSON pointer of the task.
        task: String,
        /// Its raw output.
        output: Option<Json>,
        /// Why.
        reason: String,
    },
}

/// An event to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Signalled {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// The CloudEvent in JSON format.
    pub event: Json,
    /// Only workflows of this namespace may take it; `None` = all.
    pub namespace: Option<String>,
}

/// An event that a workflow emitted.
pub(crate) struct Emitted {
    /// Its room among those that wait to be told.
    pub place: OwnedSemaphorePermit,
    /// The workflow's shard.
    pub shard: Shard,
    /// The workflow's namespace: only workflows of it may take the event.
    pub namespace: String,
    /// The CloudEvent in JSON format.
    pub event: Json,
}

/// What a watcher is told.
#[derive(Clone, Debug)]
pub(crate) struct WatchItem {
    /// New events, numbered and dated.
    pub events: Vec<HistoryEvent>,
    /// Attempts that were handed out.
    pub attempts: Vec<AttemptStarted>,
    /// Set once the workflow is over.
    pub ended: Option<Phase>,
}

/// A result of an attempt.
pub(crate) struct ReportItem {
    /// What its token says.
    pub claims: Claims,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
pub(crate) enum Outcome {
    /// It returned.
    Output(Json),
    /// It failed.
    Failed {
        /// The error.
        error: ErrorObject,
        /// Whether trying again can help.
        retryable: bool,
        /// Not before that long.
        retry_after_ms: Option<u64>,
        /// For the next attempt.
        checkpoint: Option<Bytes>,
    },
    /// It was handed back.
    Released {
        /// Why.
        reason: String,
        /// For the next attempt.
        checkpoint: Option<Bytes>,
    },
}

/// What a worker said of itself.
pub(crate) struct Attempted {
    /// Its session.
    pub session: Uuid,
    /// Who said so; empty if that is known otherwise.
    pub worker: String,
    /// The attempts it has; `None` = it did not say.
    pub attempts: Vec<(TaskKey, u32)>,
    /// When it said so, in Unix milliseconds.
    pub at_ms: u64,
    /// Checkpoints that changed.
    pub checkpoints: Vec<(TaskKey, u32, Bytes)>,
    /// What functions said of their progress, where that changed.
    pub progress: Vec<(TaskKey, u32, String)>,
    /// It takes no more.
    pub draining: bool,
}

/// A verdict of a failure detector.
pub(crate) struct VerdictItem {
    /// The session.
    pub session: Uuid,
    /// Its worker; empty if that is known otherwise.
    pub worker: String,
    /// Only this attempt, if given.
    pub attempt: Option<(TaskKey, u32)>,
    /// What told.
    pub cause: LossCause,
    /// First evidence, in Unix milliseconds.
    pub signal_at_ms: u64,
    /// In words.
    pub detail: String,
}

/// A decision of the retry engine.
pub(crate) struct RetryDecision {
    /// The task.
    pub task: TaskKey,
    /// The attempt that failed.
    pub attempt: u32,
    /// What becomes of it.
    pub verdict: RetryVerdict,
}

/// What becomes of a task whose attempt failed.
#[derive(Clone, Debug)]
pub(crate) enum RetryVerdict {
    /// It is tried again now.
    Now,
    /// It is given up, for this reason.
    GiveUp(String),
    /// The retry is put off; nobody is to miss the decision before this (Unix milliseconds).
    Deferred { until_ms: u64 },
    /// Nobody decided in time.
    Overdue,
}

/// A session that is over.
#[derive(Clone, Debug)]
pub(crate) struct EndedSession {
    /// The session.
    pub id: Uuid,
    /// What told.
    pub cause: LossCause,
    /// First evidence, in Unix milliseconds.
    pub signal_at_ms: u64,
    /// In words.
    pub detail: String,
}

/// Counts of the engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    /// Workflows started by this start of the orchestrator.
    pub started: u64,
    /// Workflows completed.
    pub completed: u64,
    /// Workflows faulted.
    pub faulted: u64,
    /// Workflows cancelled.
    pub cancelled: u64,
    /// Tasks that wait for a worker.
    pub queued: u64,
    /// Tasks that workers have.
    pub running: u64,
    /// Tasks that wait for a retry.
    pub retrying: u64,
    /// Sessions open.
    pub sessions: u32,
    /// Their slots.
    pub capacity: u32,
    /// When the oldest waiting task began to wait.
    pub oldest_queued_ms: Option<u64>,
    /// What waits.
    pub waiting: Vec<Waits>,
    /// Functions that sessions offer.
    pub functions: Vec<String>,
}

/// What waits in a queue of one function.
#[derive(Clone, Debug)]
pub(crate) struct Waits {
    /// The queue.
    pub queue: String,
    /// The function.
    pub function: String,
    /// How many tasks.
    pub count: u64,
    /// How many of them are held back by a limit or a breaker.
    pub held: u64,
    /// Whether a session offers it.
    pub has_worker: bool,
}

/// Sends commands to the engine; cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// A handle over a queue of commands.
    #[must_use]
    pub(crate) const fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Sends a command that is not answered. Waits while the queue is full.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Unavailable)
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// The engine's, or that it has stopped or was reset.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| Error::Unavailable)?
    }
}
