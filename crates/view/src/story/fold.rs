//! How one event changes the story.

use planaria_proto::types::v1::{Phase, Signal, WorkflowError};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::task_started::Detail;
use planaria_proto::workflow::v1::{
    AttemptFailed, AttemptLost, Execution, HistoryEvent, TaskCompleted, TaskStarted,
};

use super::{Attempt, Outcome, Run, State, Story, started_ms};
use crate::words::millis;

impl Story {
    pub(super) fn take(&mut self, event: &HistoryEvent) {
        let at_ms = event.at.as_ref().map_or(self.last_ms, millis);
        (self.seq, self.last_ms) = (event.seq, at_ms);
        let Some(fact) = &event.event else { return };
        match fact {
            Event::WorkflowStarted(event) => {
                self.goes_on();
                self.started_ms = Some(at_ms);
                self.input = event.input.to_vec();
            }
            Event::WorkflowSuspended(event) => {
                self.phase = Phase::Suspended;
                self.reason.clone_from(&event.reason);
            }
            Event::WorkflowResumed(_) => self.goes_on(),
            Event::WorkflowCancelled(event) => {
                self.ends(Phase::Cancelled, at_ms);
                self.reason.clone_from(&event.reason);
                for run in &mut self.runs {
                    run.end(State::Cancelled, at_ms);
                }
            }
            Event::WorkflowFaulted(event) => {
                self.ends(Phase::Faulted, at_ms);
                self.error = Some((event.error.clone().unwrap_or_default(), event.task.clone()));
                self.abandon_attempts(at_ms);
            }
            Event::WorkflowCompleted(event) => {
                self.ends(Phase::Completed, at_ms);
                self.output = Some(event.output.to_vec());
            }
            Event::WorkflowRetried(_) => {
                self.goes_on();
                self.try_again();
            }
            Event::WorkflowRerun(_) => self.goes_on(),
            Event::TaskStarted(event) => self.started(event, at_ms),
            Event::TaskCompleted(event) => self.completed(event, at_ms),
            Event::TaskSkipped(event) => self.runs.push(Run {
                parent: event.parent,
                state: State::Skipped,
                ended_ms: Some(at_ms),
                ..Run::new(0, &event.task, at_ms)
            }),
            Event::TaskFaulted(event) => self.faulted(event.frame, event.error.as_ref(), at_ms),
            Event::AttemptFailed(event) => self.failed(event, at_ms),
            Event::AttemptLost(event) => self.lost(event, at_ms),
            Event::ErrorCaught(event) => {
                self.end_inside(event.frame, at_ms);
                if let Some(run) = self.run_mut(event.frame) {
                    run.caught += 1;
                    run.error.clone_from(&event.error);
                    run.until_ms = event.retry_at.as_ref().map(millis);
                    run.state = if run.until_ms.is_some() { State::Retrying } else { State::Open };
                }
            }
            Event::RetryStarted(event) => {
                if let Some(run) = self.run_mut(event.frame) {
                    (run.state, run.until_ms) = (State::Open, None);
                }
            }
            Event::EventEmitted(_) | Event::EventReceived(_) | Event::EventConsumed(_) => {}
        }
    }

    fn goes_on(&mut self) {
        self.phase = Phase::Running;
        (self.ended_ms, self.error, self.output) = (None, None, None);
        self.reason.clear();
    }

    fn ends(&mut self, phase: Phase, at_ms: i64) {
        self.phase = phase;
        self.ended_ms = Some(at_ms);
    }

    fn abandon_attempts(&mut self, at_ms: i64) {
        for run in self.runs.iter_mut().filter(|run| !run.state.is_over()) {
            let state = run.state;
            run.end(State::Abandoned, at_ms);
            // It keeps its place: a retry of the workflow goes on from it.
            run.ended_ms = None;
            run.state = if state == State::Running { State::Queued } else { state };
        }
    }

    /// What faulted and was not caught is tried again.
    fn try_again(&mut self) {
        for index in 0..self.runs.len() {
            let Some(run) = self.runs.get(index).filter(|run| run.state == State::Faulted) else {
                continue;
            };
            let around = self.run(run.parent);
            if run.parent != 0 && around.is_none_or(|around| around.state.is_over()) {
                continue;
            }
            if let Some(run) = self.runs.get_mut(index) {
                run.state = if run.is_call { State::Queued } else { State::Open };
                (run.ended_ms, run.failures) = (None, 0);
            }
        }
    }

    fn started(&mut self, event: &TaskStarted, at_ms: i64) {
        let new = Run::new(event.frame, &event.task, at_ms);
        let index = match self.by_frame.get(&event.frame) {
            Some(&index) => index,
            None => {
                self.by_frame.insert(event.frame, self.runs.len());
                self.children.entry(event.parent).or_default().push(event.frame);
                self.runs.push(new);
                self.runs.len() - 1
            }
        };
        let Some(run) = self.runs.get_mut(index) else { return };
        (run.parent, run.iteration) = (event.parent, event.iteration);
        (run.state, run.ended_ms) = (State::Open, None);
        run.input = event.input.as_ref().map(|input| input.to_vec());
        match &event.detail {
            Some(Detail::Call(call)) => {
                (run.is_call, run.state) = (true, State::Queued);
                run.arguments = call.arguments.as_ref().map(|arguments| arguments.to_vec());
            }
            Some(Detail::Wait(wait)) => run.until_ms = wait.until.as_ref().map(millis),
            Some(Detail::Loop(items)) => run.items = Some(items.items.len()),
            None => {}
        }
    }

    fn completed(&mut self, event: &TaskCompleted, at_ms: i64) {
        self.end_inside(event.frame, at_ms);
        let Some(run) = self.run_mut(event.frame) else { return };
        run.output = event.output.as_ref().map(|output| output.to_vec());
        run.skipped_because.clone_from(&event.skipped_because);
        run.until_ms = None;
        if let Some(execution) = &event.execution {
            ended(run, execution, at_ms, Outcome::Completed);
        }
        // Also where it had faulted: somebody skips it.
        run.state = State::Open;
        let by_hand = run.skipped_because.is_some();
        run.end(if by_hand { State::SkippedByHand } else { State::Completed }, at_ms);
    }

    fn faulted(&mut self, frame: u32, error: Option<&WorkflowError>, at_ms: i64) {
        self.end_inside(frame, at_ms);
        if let Some(run) = self.run_mut(frame) {
            run.error = error.cloned();
            run.end(State::Faulted, at_ms);
        }
    }

    fn failed(&mut self, event: &AttemptFailed, at_ms: i64) {
        let Some(run) = self.run_mut(event.frame) else { return };
        run.failures = event.failure;
        run.error.clone_from(&event.error);
        run.until_ms = event.latest_start.as_ref().map(millis);
        run.state = State::Retrying;
        let error = crate::letters::error(event.error.as_ref());
        let outcome = Outcome::Failed { error, retryable: event.retryable };
        if let Some(execution) = &event.execution {
            ended(run, execution, at_ms, outcome);
        }
    }

    fn lost(&mut self, event: &AttemptLost, at_ms: i64) {
        let Some(run) = self.run_mut(event.frame) else { return };
        run.losses += 1;
        run.state = State::Healing;
        let outcome = Outcome::Lost {
            signal: Signal::try_from(event.signal).unwrap_or_default(),
            detail: event.detail.clone(),
            signal_ms: event.signal_at.as_ref().map_or(at_ms, millis),
        };
        if let Some(execution) = &event.execution {
            ended(run, execution, at_ms, outcome);
        }
    }

    /// Ends what is inside a run and has not ended.
    fn end_inside(&mut self, frame: u32, at_ms: i64) {
        let mut inside = self.children.get(&frame).cloned().unwrap_or_default();
        while let Some(frame) = inside.pop() {
            inside.extend(self.children.get(&frame).into_iter().flatten());
            if let Some(run) = self.run_mut(frame) {
                run.end(State::Abandoned, at_ms);
            }
        }
        // They are never looked at again: the next run of a try's body has frames of its own.
        self.children.remove(&frame);
    }
}

impl Run {
    fn new(frame: u32, task: &str, at_ms: i64) -> Self {
        Self {
            frame,
            task: task.to_owned(),
            parent: 0,
            iteration: 0,
            state: State::Open,
            is_call: false,
            started_ms: at_ms,
            ended_ms: None,
            until_ms: None,
            input: None,
            arguments: None,
            items: None,
            output: None,
            error: None,
            attempts: Vec::new(),
            failures: 0,
            losses: 0,
            caught: 0,
            skipped_because: None,
            left_behind: false,
        }
    }
}

fn ended(run: &mut Run, execution: &Execution, at_ms: i64, outcome: Outcome) {
    let attempt: &mut Attempt = run.attempt(execution.attempt);
    attempt.worker.clone_from(&execution.worker_id);
    attempt.started_ms = started_ms(execution).unwrap_or(at_ms);
    attempt.ended_ms = Some(at_ms);
    attempt.outcome = outcome;
}
