//! What the orchestrator stores, row by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use planaria_kernel::workflow::{FrameId, Timer};
use planaria_proto::types::v1::{Healing, Phase, Signal};
use uuid::Uuid;

use super::StoreError;

/// Names one version of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DefinitionKey {
    /// The namespace written in the document.
    pub namespace: String,
    /// The name written in the document.
    pub name: String,
    /// The version written in the document.
    pub version: String,
}

/// A published definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DefinitionRow {
    /// Its key.
    pub key: DefinitionKey,
    /// The document as it was published.
    pub source: Bytes,
    /// SHA-256 of the source, in hexadecimal digits.
    pub digest: String,
    /// Unix milliseconds.
    pub published_at_ms: u64,
}

/// A workflow as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkflowRow {
    /// Its id, a UUIDv7: later ones sort behind earlier ones.
    pub id: Uuid,
    /// Its definition.
    pub definition: DefinitionKey,
    /// Its phase.
    pub phase: Phase,
    /// Unix milliseconds.
    pub started_at_ms: u64,
    /// Unix milliseconds, once it is over.
    pub ended_at_ms: Option<u64>,
    /// The key that makes its start idempotent.
    pub idempotency_key: Option<String>,
    /// SHA-256 of definition and input, to tell a repeated start from another one.
    pub start_digest: Option<Vec<u8>>,
    /// What it faulted with, while it is faulted: an encoded `WorkflowFaulted`.
    pub fault: Option<Bytes>,
}

/// A workflow's phase, as it is from now on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PhaseChange {
    /// The phase.
    pub phase: Phase,
    /// When the workflow ended, in Unix milliseconds; `None` while it goes on.
    pub ended_at_ms: Option<u64>,
    /// What it faulted with, if it did: an encoded `WorkflowFaulted`.
    pub fault: Option<Bytes>,
    /// When it was started, in Unix milliseconds, if the row says something else.
    pub started_at_ms: Option<u64>,
}

/// A function task that is open.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskRow {
    /// The workflow and the frame in it.
    pub key: TaskKey,
    /// The namespace of the workflow's definition.
    pub namespace: String,
    /// Where it stands.
    pub state: TaskState,
    /// The queue it waits in.
    pub queue: String,
    /// The function.
    pub function: String,
    /// The function's version, `None` for any.
    pub version: Option<String>,
    /// The far side that the function calls, where its arguments name one.
    pub destination: Option<String>,
    /// What limits count it by, where they look into its arguments: JSON pointer to value.
    pub limit_values: Option<Arc<BTreeMap<String, String>>>,
    /// Labels that the worker must carry, as JSON; `None` = none.
    pub labels: Option<String>,
    /// Higher runs earlier.
    pub priority: i32,
    /// The attempt that runs, or the next one, or (waiting for a retry) the one that failed.
    pub attempt: u32,
    /// How often the function failed.
    pub failures: u32,
    /// How often a worker was lost with it.
    pub losses: u32,
    /// Workers that were lost with it.
    pub lost_workers: Vec<String>,
    /// The session that has it, while it runs.
    pub session: Option<Uuid>,
    /// Since when it is in this state, in Unix milliseconds.
    pub since_ms: u64,
    /// When the next attempt starts at the latest, while it waits for a retry.
    pub latest_start_ms: u64,
    /// What the last attempt left for the next.
    pub checkpoint: Option<Bytes>,
    /// The healing that the next attempt completes.
    pub healing: Option<String>,
}

/// Names a function task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskKey {
    /// The workflow.
    pub workflow: Uuid,
    /// The frame in it.
    pub frame: FrameId,
}

/// Where an open function task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It failed and waits for the retry engine's word.
    RetryWait,
}

/// How a suspect is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Trial {
    /// With how many of its like a worker begins it at most, itself among them.
    pub(crate) batch_max: u8,
    /// Milliseconds that its worker must outlive before others may begin there.
    pub(crate) probation_ms: u64,
}

/// The first probations, from when on they double, and how often at most.
const PROBATION_MS: u64 = 300;
const DOUBLING_LOSSES: u32 = 4;
const DOUBLINGS_MAX: u32 = 8;

/// Charged losses from which on a task is a suspect.
const SUSPECT_LOSSES: u32 = 2;

/// What is left of its losses when its trial acquits a task: it is above suspicion until it is
/// lost again.
pub(crate) const LOSSES_ACQUITTED: u32 = SUSPECT_LOSSES - 1;

impl TaskRow {
    /// How it is tried, if it may be what kills its workers: whoever was lost with a culprit is
    /// charged like it, and trials tell them apart.
    ///
    /// Batches of about 1/√p cost least where a share p is guilty (R. Dorfman, "The Detection of
    /// Defective Members of Large Populations", 1943): after two losses it is one of the dozens
    /// that a worker had, after three one of the eight. Most culprits show as soon as they begin;
    /// for those that take their time, the probation doubles with each loss alone.
    #[must_use]
    pub(crate) fn trial(&self) -> Option<Trial> {
        if self.losses < SUSPECT_LOSSES {
            return None;
        }
        let batch_max = match self.losses {
            ..=SUSPECT_LOSSES => 8,
            3 => 2,
            4.. => 1,
        };
        let doublings = self.losses.saturating_sub(DOUBLING_LOSSES).min(DOUBLINGS_MAX);
        Some(Trial { batch_max, probation_ms: PROBATION_MS << doublings })
    }

    /// What limits count it by, as the store has it.
    #[must_use]
    pub(super) fn limit_values_text(&self) -> Option<String> {
        self.limit_values.as_ref().and_then(|values| serde_json::to_string(&**values).ok())
    }

    /// The same from what the store has.
    pub(super) fn limit_values_of(
        text: Option<&str>,
    ) -> Result<Option<Arc<BTreeMap<String, String>>>, StoreError> {
        let read = |text| serde_json::from_str(text).map(Arc::new);
        text.map(read).transpose().map_err(|error| StoreError::Corrupt(error.to_string()))
    }
}

impl TaskState {
    /// The number in the store.
    #[must_use]
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Running => 1,
            Self::RetryWait => 2,
        }
    }

    /// The state of a number in the store.
    #[must_use]
    pub(crate) const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Queued),
            1 => Some(Self::Running),
            2 => Some(Self::RetryWait),
            _ => None,
        }
    }

    /// The name that people see.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::RetryWait => "retrying",
        }
    }
}

/// A timer that is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    /// The task it belongs to.
    pub task: TaskKey,
    /// Which of the task's timers.
    pub timer: Timer,
}

/// The number of a timer's kind in the store.
#[must_use]
pub(super) const fn timer_number(timer: Timer) -> i64 {
    match timer {
        Timer::Wait => 0,
        Timer::Timeout => 1,
        Timer::Retry => 2,
    }
}

/// The timer's kind of a number in the store.
#[must_use]
pub(super) const fn timer_from_number(number: i64) -> Option<Timer> {
    match number {
        0 => Some(Timer::Wait),
        1 => Some(Timer::Timeout),
        2 => Some(Timer::Retry),
        _ => None,
    }
}

/// A worker's session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionRow {
    /// Its id.
    pub id: Uuid,
    /// The worker.
    pub worker_id: String,
    /// The worker's start.
    pub incarnation: String,
    /// What the worker announced: an encoded `OpenSessionRequest`.
    pub announcement: Bytes,
    /// Unix milliseconds.
    pub lease_until_ms: u64,
    /// Whether it is lent: its worker's own session is in another shard.
    pub is_lent: bool,
}

/// A position in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The log: one per start of an orchestrator.
    pub log: u64,
    /// The entry in it, from 1.
    pub seq: u64,
}

/// An entry of the log as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogEntry {
    /// Where it stands.
    pub position: Position,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// A bit for each topic: 1 << number of the topic.
    pub topics: u32,
    /// What it is about.
    pub subject: Subject,
    /// The definition of the workflow that it is about.
    pub definition: Option<Arc<DefinitionKey>>,
    /// Encoded `HistoryRecord`, `Healing` or `SessionChange`, as the subject says.
    pub body: Bytes,
}

/// What a log entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A workflow's step.
    Workflow {
        /// The workflow.
        id: Uuid,
        /// The number of its first event in the workflow's history.
        first_seq: u64,
    },
    /// A healing.
    Healing,
    /// A session that opened or ended.
    Session,
}

/// One thing to be committed. A batch of them is one transaction.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// A step of a workflow, whole or not at all.
    Step(Box<StepWrite>),
    /// Task rows that change without a step of their workflow: claims, checkpoints.
    Task(Box<TaskRow>),
    /// A session opens.
    SessionOpened(SessionRow),
    /// A session ends.
    SessionEnded {
        /// The session.
        id: Uuid,
        /// The worker.
        worker_id: String,
        /// Why.
        detail: String,
        /// What told that it ended.
        signal: Signal,
        /// Unix milliseconds.
        at_ms: u64,
        /// Whether it was lent: only the worker's own session is told of in the log.
        is_lent: bool,
    },
    /// Leases are renewed.
    Renewed {
        /// The sessions.
        ids: Vec<Uuid>,
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// A healing is recorded, or recorded again with its end.
    Healing(Box<Healing>),
    /// A workflow is frozen, or is not any more.
    Frozen {
        /// The workflow.
        id: Uuid,
        /// What is wrong with it, for people; `None` = nothing is.
        why: Option<String>,
        /// Unix milliseconds.
        at_ms: u64,
    },
}

/// A step of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct StepWrite {
    /// The workflow.
    pub workflow: Uuid,
    /// Its row, if it is new.
    pub created: Option<WorkflowRow>,
    /// Its phase, if it changed.
    pub phase: Option<PhaseChange>,
    /// What is appended to its history.
    pub record: Option<RecordWrite>,
    /// Whether all its task, timer and listener rows go, whatever the writer knows of them, before
    /// those below are written.
    pub cleared: bool,
    /// Task rows that change; `None` = the row goes.
    pub tasks: Vec<(FrameId, Option<TaskRow>)>,
    /// Timers that change; `None` = the timer goes.
    pub timers: Vec<((FrameId, Timer), Option<u64>)>,
    /// Listen tasks that open, with the type they listen to (empty = any); `None` = one closes.
    pub listeners: Vec<(FrameId, Option<String>)>,
    /// Healings that the step records.
    pub healings: Vec<Healing>,
}

/// What is appended to a workflow's history.
#[derive(Clone, Debug)]
pub(crate) struct RecordWrite {
    /// Number of the first event: the fence, since no two steps can have the same.
    pub first_seq: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// A bit for each topic.
    pub topics: u32,
    /// The workflow's definition, for readers of the log.
    pub definition: Arc<DefinitionKey>,
    /// Encoded `HistoryRecord`.
    pub body: Bytes,
}
