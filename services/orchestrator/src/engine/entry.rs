//! A workflow in memory, and the mail it gets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use planaria_kernel::workflow::{Effect, Fact, FrameId, Input, LossCause, Timer, Workflow};
use planaria_proto::types::v1::Phase;
use uuid::Uuid;

use super::command::{Ended, Outcome, Reply, RetryVerdict};
use crate::definitions::Definition;
use crate::error::Error;
use crate::store::{TaskRow, TaskState};

/// A place for a workflow in memory.
pub(crate) enum Slot {
    /// It is being read; its mail waits.
    Loading(VecDeque<Mail>),
    /// It is here.
    Live(Box<Entry>),
    /// Its history cannot be trusted.
    Frozen(Frozen),
}

/// What is known of a workflow that is frozen.
pub(crate) struct Frozen {
    /// What is wrong.
    pub(crate) why: String,
    /// How it ended, if its row says so.
    pub(crate) over: Option<Phase>,
}

/// A workflow in memory.
pub(crate) struct Entry {
    pub(crate) definition: Arc<Definition>,
    pub(crate) workflow: Workflow,
    /// Its open function tasks, as the store has them or soon will.
    pub(crate) tasks: BTreeMap<FrameId, TaskRow>,
    /// What trials told of those that were lost.
    pub(crate) records: BTreeMap<FrameId, Record>,
    /// How many of them wait for a retry.
    pub(crate) retrying: usize,
    pub(crate) timers: BTreeMap<(FrameId, Timer), u64>,
    pub(crate) listeners: BTreeSet<FrameId>,
    /// The idempotency key of its start and the start's digest, until its row is written.
    pub(crate) start_key: Option<(String, Vec<u8>)>,
    /// The phase that the store has or soon will.
    pub(crate) shown: Phase,
    /// Commits under way that hold a step of it.
    pub(crate) uncommitted: u32,
    /// When its last commit was done, in Unix milliseconds.
    pub(crate) committed_at_ms: u64,
    /// An expression's value is awaited.
    pub(crate) evaluating: Option<Evaluating>,
    /// Mail that waits for the value.
    pub(crate) mailbox: VecDeque<Mail>,
    /// Who waits for the end.
    pub(crate) waiters: Vec<Reply<Ended>>,
    /// Who started it again with its key before its first step was decided.
    pub(crate) starters: Vec<Reply<(Uuid, bool)>>,
}

/// A step that waits for the value of an expression.
pub(crate) struct Evaluating {
    /// Tells its value from those of evaluations that were given up.
    pub(crate) number: u64,
    /// The input to apply again; `None` = continue.
    pub(crate) again: Option<Input>,
    /// What the step has so far.
    pub(crate) work: Work,
    /// Values known for the place where the machine stopped.
    pub(crate) memo: Vec<planaria_dsl::Answer>,
}

/// A step in the making.
#[derive(Default)]
pub(crate) struct Work {
    /// When the step is decided, in Unix milliseconds, and its random bits: the same for all that
    /// is applied in it, for its facts carry one time and folding them must yield the same state.
    pub(crate) decided: Option<(u64, u64)>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) effects: Vec<Effect>,
    /// Inputs to apply after this one, in the same step.
    pub(crate) then: VecDeque<Input>,
    pub(crate) settle: Settle,
    /// Whether no row may be left of what was open before, known or not.
    pub(crate) clears: bool,
    pub(crate) reply: Option<Reply<()>>,
    /// Who is told whether a listen task took the event.
    pub(crate) consumed: Option<Reply<bool>>,
}

/// What happens to the row of the task that the step is about.
#[derive(Default)]
pub(crate) enum Settle {
    /// Nothing.
    #[default]
    Nothing,
    /// Its attempt returned: the row goes.
    Returned(FrameId),
    /// Its attempt failed: it waits for the retry engine.
    Failed {
        /// The task.
        frame: FrameId,
        /// When the next attempt starts at the latest.
        latest_start_ms: u64,
        /// What it left for the next attempt.
        checkpoint: Option<bytes::Bytes>,
    },
    /// Its attempt was lost: it is queued again, unless the step abandons it.
    Lost {
        /// The task.
        frame: FrameId,
        /// How many it is charged with now.
        losses: u32,
        /// Who had it: another is preferred.
        worker: String,
        /// The healing that the next attempt completes.
        healing: Option<String>,
    },
    /// A timer fired.
    Fired(FrameId, Timer),
}

/// Mail for a workflow.
pub(crate) struct Mail {
    pub(crate) kind: MailKind,
    pub(crate) reply: Option<Reply<()>>,
}

/// What the mail says.
pub(crate) enum MailKind {
    /// An input of the kernel, as it is.
    Input(Input),
    /// An event, for workflows of this namespace, or of all.
    Published { input: Input, namespace: Option<String> },
    /// How an attempt ended.
    Report { frame: FrameId, attempt: u32, session: Uuid, outcome: Outcome },
    /// An attempt was lost.
    Lost(Loss),
    /// The retry engine's word on a failed attempt, or the reconciler's.
    Decision { frame: FrameId, attempt: u32, verdict: RetryVerdict },
    /// A queued task goes to a session that has a slot for it.
    Claim { frame: FrameId, session: Uuid },
    /// A checkpoint of a running attempt.
    Checkpoint { frame: FrameId, attempt: u32, checkpoint: bytes::Bytes },
    /// A task is completed by hand.
    Skip { task: String, output: Option<planaria_kernel::Json>, reason: String },
    /// Go on from an earlier task.
    Rerun { task: String, input: Option<planaria_kernel::Json> },
    /// An event for the workflow; whoever sent it is told whether a listen task took it.
    Signal { id: String, event: planaria_kernel::Json, told: Reply<bool> },
    /// Somebody waits for the end.
    Wait(Reply<Ended>),
    /// Look whether it can go on.
    Check,
    /// The store shows nothing open, though it runs: open again whatever should be.
    Quiet,
    /// It is over, and the store shows something open.
    Leftover,
    /// Go on where the last step stopped because of its limit.
    Continue,
    /// A timer is overdue, and nothing in memory would fire it.
    Overdue(FrameId, Timer),
    /// A queued task that no route has.
    Stranded(FrameId),
    /// A running task whose session is over.
    Orphaned(FrameId),
    /// The rows of what is open differ from the history: write them anew.
    Mend(Box<Mending>),
    /// A running task that limits are to count.
    Count { frame: FrameId, session: Uuid },
}

/// What an audit found wrong with the rows of a workflow.
pub(crate) struct Mending {
    /// The length of the history that they were held against.
    pub(crate) seq: u64,
    /// When the workflow ended by that history, in Unix milliseconds.
    pub(crate) ended_at_ms: Option<u64>,
    /// What it faulted with, as rows have it.
    pub(crate) fault: Option<bytes::Bytes>,
    /// Where they differ.
    pub(crate) differences: Vec<planaria_kernel::repair::books::Difference>,
    /// The highest attempts that the rows have, right or wrong.
    pub(crate) attempts: BTreeMap<FrameId, u32>,
}

/// A lost attempt.
pub(crate) struct Loss {
    pub(crate) frame: FrameId,
    pub(crate) attempt: u32,
    pub(crate) session: Uuid,
    pub(crate) worker: String,
    pub(crate) cause: LossCause,
    pub(crate) signal_at_ms: u64,
    pub(crate) detail: String,
    /// The last that the function said of its progress.
    pub(crate) progress: String,
    pub(crate) checkpoint: Option<bytes::Bytes>,
    pub(crate) reply_released: bool,
    pub(crate) evidence: Evidence,
}

/// What a loss says of whether the task causes its workers' ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It was the only one that could have: nothing else ran there, or nothing else was on
    /// probation.
    Against,
    /// It was one of several.
    Company,
    /// It had outlived its probation, and another had not.
    Cleared,
}

/// What trials told of a task, as far as is remembered: who forgets it tries the task once more.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    /// How often a worker came to its end that spoke against it.
    pub(crate) convictions: u32,
    /// How often it was acquitted.
    pub(crate) acquittals: u32,
}

impl MailKind {
    /// Whether it does not wait for the values of expressions: it may be what ends them.
    pub(crate) const fn interrupts(&self) -> bool {
        matches!(self, Self::Input(Input::Cancel { .. } | Input::Suspend { .. }))
    }
}

impl Mail {
    /// Mail that nobody waits for.
    pub(crate) const fn quiet(kind: MailKind) -> Self {
        Self { kind, reply: None }
    }

    /// Mail that somebody waits for.
    pub(crate) const fn answered(kind: MailKind, reply: Reply<()>) -> Self {
        Self { kind, reply: Some(reply) }
    }

    /// Tells whoever waits that it came to nothing.
    pub(crate) fn refuse(self, error: Error) {
        match self.kind {
            MailKind::Wait(reply) => drop(reply.send(Err(error))),
            MailKind::Signal { told, .. } => drop(told.send(Err(error))),
            _ => drop(self.reply.map(|reply| reply.send(Err(error)))),
        }
    }
}

/// The phase that people see of a workflow, if it has function tasks to execute or not.
pub(crate) fn phase_of(workflow: &Workflow, has_tasks: bool) -> Phase {
    use planaria_kernel::workflow::Phase as Kernel;
    match workflow.phase {
        Kernel::Pending => Phase::Pending,
        Kernel::Running if has_tasks || workflow.can_continue() => Phase::Running,
        Kernel::Running => Phase::Waiting,
        Kernel::Suspended => Phase::Suspended,
        Kernel::Cancelled => Phase::Cancelled,
        Kernel::Faulted { .. } => Phase::Faulted,
        Kernel::Completed { .. } => Phase::Completed,
    }
}

impl Entry {
    /// The phase that people see: running only if something is executed or about to be.
    pub(crate) fn phase(&self) -> Phase {
        phase_of(&self.workflow, self.tasks.len() > self.retrying)
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&self, id: Uuid) -> Option<Ended> {
        use planaria_kernel::workflow::Phase as Kernel;
        let (output, error) = match &self.workflow.phase {
            Kernel::Completed { output } => (Some(output.clone()), None),
            Kernel::Faulted { error, .. } => (None, Some(error.clone())),
            Kernel::Cancelled => (None, None),
            _ => return None,
        };
        Some(Ended { id, phase: self.phase(), output, error })
    }

    /// Nothing in memory would be lost with it.
    pub(crate) fn is_idle(&self) -> bool {
        self.uncommitted == 0
            && self.evaluating.is_none()
            && self.mailbox.is_empty()
            && self.waiters.is_empty()
            && self.starters.is_empty()
    }

    /// Whether a task runs with that attempt in that session.
    pub(crate) fn is_current(&self, frame: FrameId, attempt: u32, session: Uuid) -> bool {
        self.tasks.get(&frame).is_some_and(|row| {
            row.state == TaskState::Running
                && row.attempt == attempt
                && row.session == Some(session)
        })
    }
}
