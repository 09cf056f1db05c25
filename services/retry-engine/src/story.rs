//! What happened to the task of a dead letter, from its workflow's history.

use std::collections::{HashSet, VecDeque};

use planaria_proto::types::v1::Payload;
use planaria_proto::workflow::v1::HistoryEvent;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::task_started::Detail;
use tonic::Code;

use crate::error::Error;
use crate::orchestrator::Orchestrator;

/// Events asked for at once.
const PAGE: u32 = 1_000;

/// A task's events and its last arguments.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) events: VecDeque<HistoryEvent>,
    pub(crate) arguments: Option<Payload>,
    frames: HashSet<u32>,
}

/// Reads the history once; keeps the last `events_max` events of the task. A workflow that does
/// not exist any more has an empty story.
pub(crate) async fn read(
    orchestrator: &Orchestrator,
    workflow: &str,
    task: &str,
    events_max: usize,
) -> Result<Story, Error> {
    let mut story = Story::default();
    let mut after_seq = 0;
    loop {
        let page = match orchestrator.history(workflow, after_seq, PAGE).await {
            Ok(page) => page,
            Err(status) if status.code() == Code::NotFound => return Ok(story),
            Err(status) => {
                return Err(Error::OrchestratorUnavailable(status.message().to_owned()));
            }
        };
        let last_seq = page.events.last().map_or(after_seq, |event| event.seq);
        for event in page.events {
            story.take(event, task, events_max);
        }
        // A page without progress would be asked for for ever.
        if !page.more || last_seq <= after_seq {
            return Ok(story);
        }
        after_seq = last_seq;
    }
}

impl Story {
    fn take(&mut self, event: HistoryEvent, task: &str, events_max: usize) {
        if !self.concerns(&event, task) {
            return;
        }
        if self.events.len() >= events_max {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Whether it is about one of the task's runs, or about what the fault did to the workflow.
    fn concerns(&mut self, event: &HistoryEvent, task: &str) -> bool {
        let frame = match &event.event {
            Some(Event::TaskStarted(started)) if started.task == task => {
                self.frames.insert(started.frame);
                let call = match &started.detail {
                    Some(Detail::Call(call)) => call.arguments.as_ref(),
                    _ => None,
                };
                let arguments = call.or(started.input.as_ref());
                self.arguments = arguments
                    .map(|data| Payload { content_type: String::new(), data: data.clone() });
                return true;
            }
            Some(Event::WorkflowFaulted(faulted)) => return faulted.task == task,
            Some(Event::WorkflowRetried(_) | Event::WorkflowRerun(_)) => {
                return !self.frames.is_empty();
            }
            Some(Event::TaskCompleted(completed)) => completed.frame,
            Some(Event::TaskFaulted(faulted)) => faulted.frame,
            Some(Event::AttemptFailed(failed)) => failed.frame,
            Some(Event::AttemptLost(lost)) => lost.frame,
            Some(Event::ErrorCaught(caught)) => caught.frame,
            Some(Event::RetryStarted(started)) => started.frame,
            _ => return false,
        };
        self.frames.contains(&frame)
    }
}
