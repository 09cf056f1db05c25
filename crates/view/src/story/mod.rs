//! What a workflow's history says: its runs of tasks, and the attempts that they took.
//!
//! It is folded from the events one by one, so that it can be shown as it was after any of them.

mod fold;
mod heal;
mod line;
mod run;
mod states;

use std::collections::HashMap;

use planaria_proto::types::v1::{Phase, WorkflowError};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use planaria_proto::workflow::v1::{Execution, HistoryEvent};

use crate::words::millis;
pub use heal::{Heal, heals};
pub use line::{Class, Line, frame, payload};
pub use run::{Attempt, Outcome, Run, State};
pub use states::TaskState;

/// A workflow as its history tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Story {
    /// How it is.
    pub phase: Phase,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Its raw input.
    pub input: Vec<u8>,
    /// Its output.
    pub output: Option<Vec<u8>>,
    /// What it faulted with, and the task that raised it.
    pub error: Option<(WorkflowError, String)>,
    /// Why it was suspended or cancelled.
    pub reason: String,
    /// The runs of its tasks, in the order in which they were entered.
    pub runs: Vec<Run>,
    /// The last event.
    pub seq: u64,
    /// When that was.
    pub last_ms: i64,
    by_frame: HashMap<u32, usize>,
    children: HashMap<u32, Vec<u32>>,
}

impl Story {
    /// Folds a history from its beginning.
    #[must_use]
    pub fn fold(events: &[HistoryEvent]) -> Self {
        let mut story = Self::default();
        let reruns = |event: &HistoryEvent| matches!(event.event, Some(Event::WorkflowRerun(_)));
        if !events.iter().any(reruns) {
            for event in events {
                story.take(event);
            }
            return story;
        }
        // As the engine folds it: what a rerun left behind is not part of the state.
        let holds = holding(events);
        for (event, _) in events.iter().zip(&holds).filter(|(_, holds)| **holds) {
            story.take(event);
        }
        let mut all = Self::default();
        for event in events {
            all.take(event);
            if reruns(event) {
                let left = all.runs.iter_mut().filter(|run| story.run(run.frame).is_none());
                left.for_each(|run| run.end(State::Abandoned, all.last_ms));
            }
        }
        story.remember(all);
        story
    }

    /// How it was after the first `count` events: with the attempts that ran then.
    #[must_use]
    pub fn after(events: &[HistoryEvent], count: usize) -> Self {
        let (before, later) = events.split_at(count.min(events.len()));
        let mut story = Self::fold(before);
        let at = story.last_ms;
        for event in later {
            if let Some((frame, execution)) = execution(event)
                && started_ms(execution).is_some_and(|started| started <= at)
            {
                story.runs_on(frame, execution);
            }
        }
        story
    }

    /// Takes one more event. `before` are those that it took already.
    pub fn go_on(&mut self, before: &[HistoryEvent], event: &HistoryEvent) {
        if matches!(event.event, Some(Event::WorkflowRerun(_))) {
            let mut all = before.to_vec();
            all.push(event.clone());
            *self = Self::fold(&all);
        } else {
            self.take(event);
        }
    }

    /// An attempt runs, as the watch told.
    pub fn attempt_started(&mut self, started: &AttemptStarted) {
        if let Some(execution) = &started.execution {
            self.runs_on(started.frame, execution);
        }
    }

    /// The run with that frame.
    #[must_use]
    pub fn run(&self, frame: u32) -> Option<&Run> {
        self.runs.get(*self.by_frame.get(&frame)?)
    }

    /// The runs of a task, in their order.
    pub fn runs_of<'s>(&'s self, task: &'s str) -> impl Iterator<Item = &'s Run> {
        self.runs.iter().filter(move |run| run.task == task)
    }

    /// How many tasks are around a run.
    #[must_use]
    pub fn depth(&self, run: &Run) -> usize {
        let mut depth = 0;
        let mut parent = run.parent;
        while let Some(run) = self.run(parent).filter(|run| run.frame != 0 && depth < 64) {
            depth += usize::from(!crate::document::is_body(&run.task));
            parent = run.parent;
        }
        depth
    }

    fn run_mut(&mut self, frame: u32) -> Option<&mut Run> {
        let run = self.runs.get_mut(*self.by_frame.get(&frame)?)?;
        (!run.left_behind).then_some(run)
    }

    fn runs_on(&mut self, frame: u32, execution: &Execution) {
        let Some(run) = self.run_mut(frame).filter(|run| !run.state.is_over()) else { return };
        let attempt = run.attempt(execution.attempt);
        if attempt.outcome == Outcome::Running {
            attempt.worker.clone_from(&execution.worker_id);
            attempt.started_ms = started_ms(execution).unwrap_or_default();
            run.state = State::Running;
        }
    }

    /// Keeps what a rerun left behind, to be looked at.
    fn remember(&mut self, all: Self) {
        for mut run in all.runs {
            match self.run_mut(run.frame) {
                Some(ours) => {
                    for attempt in run.attempts {
                        if attempt.outcome != Outcome::Running {
                            let number = attempt.number;
                            *ours.attempt(number) = attempt;
                        }
                    }
                }
                None if run.frame == 0 => {}
                None => {
                    run.left_behind = true;
                    self.by_frame.insert(run.frame, self.runs.len());
                    self.runs.push(run);
                }
            }
        }
        self.runs.sort_by_key(|run| run.started_ms);
        let frames = self.runs.iter().enumerate().map(|(index, run)| (run.frame, index));
        self.by_frame = frames.filter(|(frame, _)| *frame != 0).collect();
    }
}

/// Which events led to the state: all but those that a rerun that counts went back behind.
fn holding(events: &[HistoryEvent]) -> Vec<bool> {
    let mut holds = vec![true; events.len()];
    let mut end = events.len();
    for (position, event) in events.iter().enumerate().rev() {
        if position >= end {
            holds[position] = false;
        } else if let Some(Event::WorkflowRerun(rerun)) = &event.event {
            end = usize::try_from(rerun.from_seq.saturating_sub(1)).unwrap_or(0).min(position);
        }
    }
    holds
}

/// The attempt that an event tells the end of.
fn execution(event: &HistoryEvent) -> Option<(u32, &Execution)> {
    let (frame, execution) = match event.event.as_ref()? {
        Event::TaskCompleted(event) => (event.frame, &event.execution),
        Event::AttemptFailed(event) => (event.frame, &event.execution),
        Event::AttemptLost(event) => (event.frame, &event.execution),
        _ => return None,
    };
    Some((frame, execution.as_ref()?))
}

fn started_ms(execution: &Execution) -> Option<i64> {
    execution.started_at.as_ref().map(millis)
}

#[cfg(test)]
mod tests;
