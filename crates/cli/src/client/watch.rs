//! Following one workflow to its end, over any number of broken streams.

use std::collections::HashMap;

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{WatchWorkflowRequest, WatchWorkflowResponse};
use tonic::Status;

use super::{Backoff, Client, story};
use crate::Error;
use crate::error::is_passing;
use crate::output::style::Style;

/// What happened, in order, as it is told.
#[derive(Debug)]
pub(crate) struct Line {
    /// Milliseconds since the epoch; 0 if the fact has no time.
    pub(crate) at_ms: u64,
    pub(crate) style: Style,
    pub(crate) text: String,
}

/// Turns messages of the watch stream into lines; remembers which task a frame is a run of, and
/// which attempt of it was told last.
#[derive(Debug, Default)]
pub(crate) struct Narrator {
    tasks: HashMap<u32, String>,
    attempts: HashMap<u32, u32>,
}

impl Narrator {
    /// The lines of one message.
    pub(crate) fn tell(&mut self, message: &WatchWorkflowResponse) -> Vec<Line> {
        let mut lines = Vec::new();
        for event in &message.events {
            let at_ms = event.at.as_ref().map(crate::output::time::millis).unwrap_or_default();
            if let Some(Event::TaskStarted(started)) = &event.event {
                self.tasks.insert(started.frame, started.task.clone());
            }
            let told = story::tell(event, &|frame| self.task(frame));
            lines.extend(told.map(|(style, text)| Line { at_ms, style, text }));
        }
        for attempt in &message.attempts {
            self.tasks.insert(attempt.frame, attempt.task.clone());
            let number = attempt.execution.as_ref().map_or(0, |execution| execution.attempt);
            // A stream that was opened again begins with the attempts that run.
            if self.attempts.insert(attempt.frame, number) == Some(number) {
                continue;
            }
            let started = attempt.execution.as_ref().and_then(|e| e.started_at.as_ref());
            let at_ms = started.map(crate::output::time::millis).unwrap_or_default();
            let (style, text) = story::tell_attempt(attempt);
            lines.push(Line { at_ms, style, text });
        }
        lines
    }

    fn task(&self, frame: u32) -> String {
        self.tasks.get(&frame).cloned().unwrap_or_else(|| "the workflow".into())
    }
}

/// Follows the workflow until it has ended; opens the stream again behind the last fact seen as
/// often as it breaks. Every message goes to `see`.
///
/// # Errors
/// The mesh refuses, or `see` fails.
pub(crate) async fn follow(
    client: &Client,
    workflow_id: &str,
    mut see: impl FnMut(&WatchWorkflowResponse) -> Result<(), Error>,
) -> Result<Phase, Error> {
    let mut after_seq = 0;
    let mut backoff = Backoff::default();
    let mut answered = false;
    loop {
        let request = WatchWorkflowRequest { workflow_id: workflow_id.to_owned(), after_seq };
        let broken = match client.workflows().watch_workflow(request).await {
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            (answered, after_seq) = (true, last_seq(&message, after_seq));
                            backoff.reset();
                            see(&message)?;
                            if message.ended() != Phase::Unspecified {
                                return Ok(message.ended());
                            }
                        }
                        Ok(None) => break Status::unavailable("the stream ended early"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        // A mesh that answered once is being restarted; one that never did is not there.
        if !is_passing(&broken) || (!answered && broken.code() != tonic::Code::Unavailable) {
            return Err(client.refused(format!("cannot follow {workflow_id}"), broken));
        }
        backoff.pause().await;
    }
}

fn last_seq(message: &WatchWorkflowResponse, before: u64) -> u64 {
    message.events.iter().map(|event| event.seq).fold(before, u64::max)
}

#[cfg(test)]
mod tests {
    use planaria_proto::workflow::v1::Execution;
    use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;

    use super::*;

    #[test]
    fn an_attempt_is_told_once_over_streams_that_break() {
        let message = |attempt| WatchWorkflowResponse {
            attempts: vec![AttemptStarted {
                frame: 3,
                task: "/do/0/pay".into(),
                execution: Some(Execution {
                    attempt,
                    worker_id: "worker-1".into(),
                    ..Execution::default()
                }),
            }],
            ..WatchWorkflowResponse::default()
        };
        let mut narrator = Narrator::default();
        let mut told = |attempt| {
            let lines = narrator.tell(&message(attempt));
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        assert_eq!(told(1), ["/do/0/pay runs on worker-1, attempt 1"]);
        assert_eq!(told(1), Vec::<String>::new());
        assert_eq!(told(2), ["/do/0/pay runs on worker-1, attempt 2"]);
    }
}
