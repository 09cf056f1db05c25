//! The state of a workflow: where it is, and the data that flows there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::Json;
use crate::definition::{Graph, Kind, NodeId};
use crate::workflow::{Effect, ErrorObject, FrameId, Timer};

/// Variables of enclosing tasks, the innermost last.
pub type Variables = Arc<[(Arc<str>, Json)]>;

/// A workflow: the fold of its history.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Its id.
    pub id: Arc<str>,
    /// Its definition, compiled.
    pub graph: Arc<Graph>,
    /// Whether and how it lives.
    pub phase: Phase,
    /// When it was started, in Unix milliseconds.
    pub started_at_ms: u64,
    /// Its raw input.
    pub input: Json,
    /// Its place in a trace, if that is recorded; may be set before the start.
    pub trace_parent: Option<Arc<str>>,
    /// `$context`.
    pub context: Json,
    /// The tasks that were entered and are not done.
    pub frames: BTreeMap<FrameId, Frame>,
    /// Frames that can go on without anybody's help.
    pub ready: BTreeSet<FrameId>,
    /// Events that no listen task has taken yet.
    pub inbox: BTreeMap<u32, ReceivedEvent>,
    /// Ids of all events received, for idempotence.
    pub event_ids: BTreeSet<String>,
    /// The highest frame number used.
    pub last_frame: u32,
    /// Attempts are numbered behind this.
    pub attempt_base: u32,
    /// Events in the history.
    pub seq: u64,
    /// Output of the root, once it is done.
    pub(crate) root_output: Option<Json>,
}

/// An event in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// Its id.
    pub id: String,
    /// The CloudEvent in JSON format.
    pub event: Json,
}

/// Whether and how a workflow lives. What is true in one phase only stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started: the state before the first fact.
    Pending,
    /// It goes on by itself.
    Running,
    /// Somebody holds it.
    Suspended,
    /// It ended by somebody's word.
    Cancelled,
    /// An error was caught by nothing.
    Faulted {
        /// The frame that raised it.
        frame: FrameId,
        /// The error.
        error: ErrorObject,
    },
    /// It came to its end.
    Completed {
        /// Its output.
        output: Json,
    },
}

impl Phase {
    /// The name that people see.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Faulted { .. } => "faulted",
            Self::Completed { .. } => "completed",
        }
    }

    /// Whether the workflow is over (a faulted one can be retried).
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Faulted { .. } | Self::Completed { .. })
    }
}

/// One run of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The task.
    pub node: NodeId,
    /// The enclosing frame; `None` for the root.
    pub parent: Option<FrameId>,
    /// Iteration of a for, branch of a fork, or run of a try's body, from 0.
    pub iteration: u32,
    /// What came in.
    pub raw_input: Json,
    /// What `input.from` made of it.
    pub input: Json,
    /// Variables of the enclosing tasks.
    pub variables: Variables,
    /// Unix milliseconds.
    pub started_at_ms: u64,
    /// When its timeout strikes.
    pub timeout_at_ms: Option<u64>,
    /// The highest attempt number known to be used.
    pub attempts: u32,
    /// How often its function failed.
    pub failures: u32,
    /// How often a worker was lost with it.
    pub losses: u32,
    /// The error of its function's last failure.
    pub last_error: Option<ErrorObject>,
    /// Whether that failure was its last by its policy: nobody needs to ask.
    pub hopeless: bool,
    /// Where it stands.
    pub state: FrameState,
}

/// Where a frame stands.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameState {
    /// To be entered again after a fault.
    Entering,
    /// A task list.
    Sequence {
        /// What to enter next; meaningful when `child` is `None`.
        position: usize,
        /// Whether a task of the list runs.
        child: bool,
        /// The data that flows from task to task.
        value: Json,
        /// Whether a task said `end`.
        ended: bool,
    },
    /// A for.
    Loop {
        /// Its items.
        items: Arc<[Json]>,
        /// The iteration that runs or comes next.
        index: usize,
        /// Whether an iteration runs.
        child: bool,
        /// Output of the last iteration, the input at first.
        value: Json,
        /// Whether a task said `end`.
        ended: bool,
    },
    /// A fork.
    Fork {
        /// How many branches were entered.
        entered: usize,
        /// Outputs of the branches that are done.
        outputs: Vec<Option<Json>>,
        /// Branches that are not done.
        open: usize,
        /// Output of the branch that won, if they compete.
        winner: Option<Json>,
        /// Whether a task said `end`.
        ended: bool,
    },
    /// A try.
    Try {
        /// How often the body was run again.
        retries: u32,
        /// Where the try stands.
        stage: TryStage,
    },
    /// A task that the machine itself executes.
    Local,
    /// A function task that waits for its result.
    Call {
        /// The arguments, where they are not the task's input.
        arguments: Option<Json>,
    },
    /// A wait.
    Wait {
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// A listen.
    Listen,
    /// It has its raw output; the rest (`output`, `export`) is to be done.
    Finishing {
        /// The raw output.
        output: Json,
    },
    /// It raised an error.
    Faulted {
        /// The error.
        error: ErrorObject,
    },
}

/// Where a try stands.
#[derive(Clone, Debug, PartialEq)]
pub enum TryStage {
    /// The body is to be entered.
    Start,
    /// The body runs.
    Body,
    /// The body runs again at that time.
    Delay {
        /// Unix milliseconds.
        until_ms: u64,
    },
    /// The error is to be handled.
    Caught {
        /// The error.
        error: ErrorObject,
    },
    /// `catch.do` runs.
    Handler,
    /// Done.
    Done {
        /// The raw output.
        output: Json,
        /// Whether an error was caught on the way.
        caught: bool,
        /// Whether a task said `end`.
        ended: bool,
    },
}

impl Workflow {
    /// A workflow without any history.
    #[must_use]
    pub fn new(id: Arc<str>, graph: Arc<Graph>) -> Self {
        Self {
            id,
            graph,
            phase: Phase::Pending,
            started_at_ms: 0,
            input: Json::NULL,
            trace_parent: None,
            context: Json::EMPTY_OBJECT,
            frames: BTreeMap::new(),
            ready: BTreeSet::new(),
            inbox: BTreeMap::new(),
            event_ids: BTreeSet::new(),
            last_frame: 0,
            attempt_base: 0,
            seq: 0,
            root_output: None,
        }
    }

    /// Whether the machine has something to do without anybody's help.
    #[must_use]
    pub fn can_continue(&self) -> bool {
        self.phase == Phase::Running && (!self.ready.is_empty() || self.root_output.is_some())
    }

    /// Whether function tasks are open.
    #[must_use]
    pub fn has_open_calls(&self) -> bool {
        self.frames.values().any(|frame| matches!(frame.state, FrameState::Call { .. }))
    }

    /// Whether something outside can bring the workflow on: a function task, a timer or an event.
    #[must_use]
    pub fn has_something_open(&self) -> bool {
        self.frames.values().any(|frame| {
            frame.timeout_at_ms.is_some()
                || matches!(
                    frame.state,
                    FrameState::Call { .. }
                        | FrameState::Wait { .. }
                        | FrameState::Listen
                        | FrameState::Try { stage: TryStage::Delay { .. }, .. }
                )
        })
    }

    /// The effects that must be in force for the frames that are open: what a shell needs after
    /// a resume, a retry or a rerun, or to check its books. None once the workflow is over.
    #[must_use]
    pub fn standing_effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.phase.is_over() {
            return effects;
        }
        for &id in self.frames.keys() {
            self.standing_effects_of(id, &mut effects);
        }
        effects
    }

    pub(crate) fn standing_effects_of(&self, id: FrameId, effects: &mut Vec<Effect>) {
        let Some(frame) = self.frames.get(&id) else { return };
        if let Some(due_ms) = frame.timeout_at_ms {
            effects.push(Effect::Arm { frame: id, timer: Timer::Timeout, due_ms });
        }
        match &frame.state {
            FrameState::Call { arguments } => effects.push(Effect::Schedule {
                frame: id,
                node: frame.node,
                attempt: frame.attempts.max(self.attempt_base) + 1,
                arguments: arguments.as_ref().unwrap_or(&frame.input).clone(),
                deadline_ms: frame.timeout_at_ms,
            }),
            FrameState::Wait { until_ms } => {
                effects.push(Effect::Arm { frame: id, timer: Timer::Wait, due_ms: *until_ms });
            }
            FrameState::Try { stage: TryStage::Delay { until_ms }, .. } => {
                effects.push(Effect::Arm { frame: id, timer: Timer::Retry, due_ms: *until_ms });
            }
            _ => {}
        }
    }

    /// The effects that end what stands open for a frame.
    pub(crate) fn ending_effects_of(&self, id: FrameId, effects: &mut Vec<Effect>) {
        let Some(frame) = self.frames.get(&id) else { return };
        if frame.timeout_at_ms.is_some() {
            effects.push(Effect::Disarm { frame: id, timer: Timer::Timeout });
        }
        match &frame.state {
            FrameState::Call { .. } => effects.push(Effect::Abandon { frame: id }),
            FrameState::Wait { .. } => {
                effects.push(Effect::Disarm { frame: id, timer: Timer::Wait });
            }
            FrameState::Try { stage: TryStage::Delay { .. }, .. } => {
                effects.push(Effect::Disarm { frame: id, timer: Timer::Retry });
            }
            _ => {}
        }
    }

    /// All frames below one, without itself.
    #[must_use]
    pub fn descendants(&self, of: FrameId) -> Vec<FrameId> {
        // A child's number is higher than its parent's, so one pass in order finds all.
        let mut found = BTreeSet::from([of]);
        for (&id, frame) in self.frames.range(of..) {
            if frame.parent.is_some_and(|parent| found.contains(&parent)) {
                found.insert(id);
            }
        }
        found.remove(&of);
        found.into_iter().collect()
    }

    /// The latest run of a task that is open or faulted.
    #[must_use]
    pub fn frame_of(&self, node: NodeId) -> Option<FrameId> {
        self.frames.iter().rev().find(|(_, frame)| frame.node == node).map(|(&id, _)| id)
    }
}

impl FrameState {
    /// How a frame of that kind begins once it is entered.
    pub(crate) fn beginning(graph: &Graph, node: NodeId, input: &Json) -> Self {
        match &graph.node(node).kind {
            Kind::Do { .. } => {
                Self::Sequence { position: 0, child: false, value: input.clone(), ended: false }
            }
            Kind::For { .. } => Self::Loop {
                items: Arc::new([]),
                index: 0,
                child: false,
                value: input.clone(),
                ended: false,
            },
            Kind::Fork { branches, .. } => Self::Fork {
                entered: 0,
                outputs: vec![None; branches.len()],
                open: branches.len(),
                winner: None,
                ended: false,
            },
            Kind::Try { .. } => Self::Try { retries: 0, stage: TryStage::Start },
            Kind::Call(_) => Self::Call { arguments: None },
            Kind::Wait { .. } => Self::Wait { until_ms: 0 },
            Kind::Listen { .. } => Self::Listen,
            Kind::Set { .. } | Kind::Switch { .. } | Kind::Raise { .. } | Kind::Emit { .. } => {
                Self::Local
            }
        }
    }

    /// Whether the machine goes on from here by itself.
    pub(crate) const fn is_ready(&self) -> bool {
        match self {
            Self::Sequence { child, .. } | Self::Loop { child, .. } => !*child,
            Self::Fork { entered, outputs, open, winner, .. } => {
                *entered < outputs.len() || *open == 0 || winner.is_some()
            }
            Self::Try { stage, .. } => {
                matches!(stage, TryStage::Start | TryStage::Caught { .. } | TryStage::Done { .. })
            }
            Self::Entering | Self::Local | Self::Finishing { .. } | Self::Faulted { .. } => true,
            Self::Call { .. } | Self::Wait { .. } | Self::Listen => false,
        }
    }

    /// Whether frames may stand below this one.
    pub(crate) const fn has_children(&self) -> bool {
        match self {
            Self::Sequence { child, .. } | Self::Loop { child, .. } => *child,
            Self::Fork { entered, open, .. } => *entered > 0 && *open > 0,
            Self::Try { stage, .. } => matches!(stage, TryStage::Body | TryStage::Handler),
            _ => false,
        }
    }
}
