//! How each task is, for the drawing: its latest run, and what came before.

use std::collections::HashMap;

use planaria_proto::types::v1::Phase;

use super::{State, Story};
use crate::document::Kind;
use crate::names;

/// How a task of the document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Of its latest run.
    pub state: State,
    /// In words.
    pub word: String,
    /// Attempts, losses, retries.
    pub remark: Option<String>,
    /// How often it ran.
    pub runs: usize,
    /// Somebody has to look at it.
    pub attention: bool,
}

impl Story {
    /// The state of each task that was entered, by its reference.
    #[must_use]
    pub fn states(&self) -> HashMap<&str, TaskState> {
        let mut states: HashMap<&str, TaskState> = HashMap::new();
        for run in self.runs.iter().filter(|run| !run.left_behind) {
            let runs = states.get(&*run.task).map_or(0, |state| state.runs);
            let remark = match (run.remark(), run.caught) {
                (Some(remark), _) => Some(remark),
                (None, 0) => None,
                (None, 1) => Some("caught an error".to_owned()),
                (None, caught) => Some(format!("caught {caught} errors")),
            };
            let state = TaskState {
                state: run.state,
                word: self.word(run.state, run.until_ms.is_some(), run.is_call).to_owned(),
                remark,
                runs: runs + 1,
                attention: run.state == State::Faulted,
            };
            states.insert(&run.task, state);
        }
        states
    }

    fn word(&self, state: State, timed: bool, is_call: bool) -> &'static str {
        match state {
            State::Open | State::Queued | State::Retrying if names::is_over(self.phase) => "held",
            State::Open if timed && !is_call => "waiting",
            State::Open if self.phase == Phase::Suspended => "suspended",
            State::Open => "under way",
            other => other.name(),
        }
    }
}

impl TaskState {
    /// With what the document knows of the task.
    #[must_use]
    pub fn told(mut self, kind: Kind) -> Self {
        if self.state == State::Open && self.word == "under way" && kind == Kind::Listen {
            self.word = "listening".to_owned();
        }
        self
    }
}
