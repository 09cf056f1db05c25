//! Following one workflow: first what the store has, then what happens, to the end.

use std::collections::{HashMap, HashSet};

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use planaria_proto::workflow::v1::{Execution, HistoryEvent, WatchWorkflowResponse};
use tokio::sync::mpsc;
use tonic::Status;
use uuid::Uuid;

use super::Api;
use crate::convert::{history, timestamp};
use crate::engine::WatchItem;
use crate::error::Error;
use crate::store::{TaskRow, TaskState};

/// Somebody follows a workflow.
pub(super) struct Watch {
    pub(super) api: Api,
    pub(super) id: Uuid,
    pub(super) after: u64,
    pub(super) to_client: mpsc::Sender<Result<WatchWorkflowResponse, Status>>,
}

/// Frame and number of an attempt.
type AttemptKey = (u32, u32);

impl Watch {
    /// Sends everything, until the workflow is over or nobody reads any more.
    pub(super) async fn follow(mut self, mut items: mpsc::Receiver<WatchItem>) {
        let told = match self.tell_stored().await {
            Ok(Some(told)) => told,
            Ok(None) => return,
            Err(error) => {
                let _ = self.to_client.send(Err(error.into())).await;
                return;
            }
        };
        let stop = self.api.stop.clone();
        loop {
            let item = tokio::select! {
                item = items.recv() => item,
                () = self.to_client.closed() => return,
                () = stop.cancelled() => None,
            };
            let Some(item) = item else {
                let gone = Status::unavailable("the watch was interrupted; watch again");
                let _ = self.to_client.send(Err(gone)).await;
                return;
            };
            let WatchItem { mut events, mut attempts, ended } = item;
            events.retain(|event| event.seq > self.after);
            self.after = events.last().map_or(self.after, |event| event.seq);
            attempts.retain(|attempt| !key(attempt).is_some_and(|key| told.contains(&key)));
            let phase = ended.unwrap_or_default();
            let response = WatchWorkflowResponse { events, attempts, ended: phase.into() };
            if self.to_client.send(Ok(response)).await.is_err() || ended.is_some() {
                return;
            }
        }
    }

    /// Tells what is in the store; the attempts that were told, or `None` if the workflow is over.
    async fn tell_stored(&mut self) -> Result<Option<HashSet<AttemptKey>>, Error> {
        // The phase first: the events read after it are all there if it says that none follow.
        let row = self.api.store.workflow_row(self.id).await?;
        let mut running = self.api.store.tasks_of(&[self.id]).await?;
        running.retain(|task| task.state == TaskState::Running);
        // The names of tasks that run may stand in what the client has already.
        let from = if running.is_empty() { self.after } else { 0 };
        let records = self.api.store.records(self.id, from, u32::MAX).await?;
        let mut events =
            history::events(&records).map_err(|error| Error::Corrupt(error.to_string()))?;
        let attempts = self.attempts(&running, &events).await?;
        let told = attempts.iter().filter_map(key).collect();
        events.retain(|event| event.seq > self.after);
        self.after = events.last().map_or(self.after, |event| event.seq);
        let phase = row.map_or(Phase::Unspecified, |row| row.phase);
        let over = matches!(phase, Phase::Cancelled | Phase::Faulted | Phase::Completed);
        let ended = if over { phase } else { Phase::Unspecified };
        let response = WatchWorkflowResponse { events, attempts, ended: ended.into() };
        let _ = self.to_client.send(Ok(response)).await;
        Ok((!over).then_some(told))
    }

    /// The attempts that run, of sessions that are known here.
    async fn attempts(
        &self,
        running: &[TaskRow],
        events: &[HistoryEvent],
    ) -> Result<Vec<AttemptStarted>, Error> {
        if running.is_empty() {
            return Ok(Vec::new());
        }
        let sessions = self.api.store_of(self.id).sessions().await?;
        let workers: HashMap<Uuid, &str> =
            sessions.iter().map(|session| (session.id, session.worker_id.as_str())).collect();
        let names: HashMap<u32, &str> = events.iter().filter_map(started).collect();
        // The events were read after the tasks.
        let over: HashSet<AttemptKey> = events.iter().filter_map(ended).collect();
        let attempt = |row: &TaskRow| {
            let session =
                row.session.filter(|_| !over.contains(&(row.key.frame.0, row.attempt)))?;
            let execution = Execution {
                attempt: row.attempt,
                worker_id: (*workers.get(&session)?).to_owned(),
                session_id: session.to_string(),
                started_at: Some(timestamp(row.since_ms)),
                ..Execution::default()
            };
            let (frame, task) = (row.key.frame.0, *names.get(&row.key.frame.0)?);
            Some(AttemptStarted { frame, task: task.to_owned(), execution: Some(execution) })
        };
        Ok(running.iter().filter_map(attempt).collect())
    }
}

fn key(attempt: &AttemptStarted) -> Option<AttemptKey> {
    let execution = attempt.execution.as_ref()?;
    Some((attempt.frame, execution.attempt))
}

/// The frame and the reference of a task that the event tells the start of.
fn started(event: &HistoryEvent) -> Option<(u32, &str)> {
    match &event.event {
        Some(Event::TaskStarted(started)) => Some((started.frame, &started.task)),
        _ => None,
    }
}

/// The attempt that the event tells the end of.
fn ended(event: &HistoryEvent) -> Option<AttemptKey> {
    let (frame, execution) = match event.event.as_ref()? {
        Event::TaskCompleted(event) => (event.frame, event.execution.as_ref()),
        Event::AttemptFailed(event) => (event.frame, event.execution.as_ref()),
        Event::AttemptLost(event) => (event.frame, event.execution.as_ref()),
        _ => return None,
    };
    Some((frame, execution?.attempt))
}
