//! One run of one task, and the attempts that it took.

use planaria_proto::types::v1::{Signal, WorkflowError};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has not ended.
    Running,
    /// It yielded the task's output.
    Completed,
    /// The function failed.
    Failed {
        /// With what.
        error: String,
        /// Whether another attempt may help.
        retryable: bool,
    },
    /// Its worker was lost, or lost it.
    Lost {
        /// What told so.
        signal: Signal,
        /// The same for people.
        detail: String,
        /// When it was told first.
        signal_ms: i64,
    },
    /// Nobody waits for it any more.
    Abandoned,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Its number.
    pub number: u32,
    /// Who has or had it.
    pub worker: String,
    /// When it started.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a run of a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Entered; nothing of it runs on a worker.
    Open,
    /// A function task that waits for a worker.
    Queued,
    /// A function task that a worker has.
    Running,
    /// A function task that lost its worker and runs again soon.
    Healing,
    /// It failed and is tried again later.
    Retrying,
    /// It let somebody else's output stand in for its own.
    SkippedByHand,
    /// Its condition was false.
    Skipped,
    /// It ended well.
    Completed,
    /// It raised an error.
    Faulted,
    /// It was ended from outside: another branch won, or an error went past it.
    Abandoned,
    /// The workflow was cancelled.
    Cancelled,
}

impl State {
    /// In a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Healing => "healing",
            Self::Retrying => "retrying",
            Self::SkippedByHand => "skipped by hand",
            Self::Skipped => "left out",
            Self::Completed => "completed",
            Self::Faulted => "faulted",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
        }
    }

    /// In a sign that can be told from the others without colours.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Open => "◌",
            Self::Queued => "…",
            Self::Running => "▶",
            Self::Healing => "✚",
            Self::Retrying => "↻",
            Self::SkippedByHand => "↷",
            Self::Skipped => "∅",
            Self::Completed => "✓",
            Self::Faulted => "✗",
            Self::Abandoned => "–",
            Self::Cancelled => "■",
        }
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Open | Self::Queued | Self::Running | Self::Healing | Self::Retrying)
    }
}

/// One run of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Unique in the workflow; 0 for a task that was left out.
    pub frame: u32,
    /// JSON pointer of the task.
    pub task: String,
    /// Frame of the task around it.
    pub parent: u32,
    /// Which iteration, branch or run of a try's body.
    pub iteration: u32,
    /// How it is.
    pub state: State,
    /// Whether a worker executes it.
    pub is_call: bool,
    /// When it was entered.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Until when it waits.
    pub until_ms: Option<i64>,
    /// The transformed input, where it has one of its own.
    pub input: Option<Vec<u8>>,
    /// The function's arguments, where they are not the input.
    pub arguments: Option<Vec<u8>>,
    /// How many items a for goes through.
    pub items: Option<usize>,
    /// The transformed output; nothing where the input went on unchanged.
    pub output: Option<Vec<u8>>,
    /// What it faulted with, or failed with last.
    pub error: Option<WorkflowError>,
    /// In the order of their numbers.
    pub attempts: Vec<Attempt>,
    /// How often it failed.
    pub failures: u32,
    /// How many attempts were lost.
    pub losses: u32,
    /// How many errors it caught.
    pub caught: u32,
    /// Why somebody skipped it.
    pub skipped_because: Option<String>,
    /// A rerun went back to before it.
    pub left_behind: bool,
}

impl Run {
    /// The attempt with that number; a new one if there is none.
    pub(super) fn attempt(&mut self, number: u32) -> &mut Attempt {
        let at = match self.attempts.binary_search_by_key(&number, |attempt| attempt.number) {
            Ok(at) => at,
            Err(at) => {
                let attempt = Attempt {
                    number,
                    worker: String::new(),
                    started_ms: 0,
                    ended_ms: None,
                    outcome: Outcome::Running,
                };
                self.attempts.insert(at, attempt);
                at
            }
        };
        &mut self.attempts[at]
    }

    /// Ends what runs of it, and itself, from outside.
    pub(super) fn end(&mut self, state: State, at_ms: i64) {
        if !self.state.is_over() {
            self.state = state;
            self.ended_ms = Some(at_ms);
        }
        for attempt in &mut self.attempts {
            if attempt.outcome == Outcome::Running {
                (attempt.outcome, attempt.ended_ms) = (Outcome::Abandoned, Some(at_ms));
            }
        }
    }

    /// Worth a word beside the state: attempts, losses, retries.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let is_lost = |attempt: &&Attempt| matches!(attempt.outcome, Outcome::Lost { .. });
        let lost = self.attempts.iter().rev().find(is_lost);
        let last = self.attempts.last()?;
        let number = last.number;
        match (lost, self.failures) {
            (Some(lost), _) if number > lost.number => {
                Some(format!("attempt {number}, {} lost", lost.worker))
            }
            (Some(lost), _) => Some(format!("{} lost", lost.worker)),
            (None, 0) if number == 1 => None,
            (None, 0) => Some(format!("attempt {number}")),
            (None, 1) => Some(format!("attempt {number}, failed once")),
            (None, failures) => Some(format!("attempt {number}, failed {failures} times")),
        }
    }
}
