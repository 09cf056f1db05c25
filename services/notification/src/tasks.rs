//! Which task a run is of. Facts number the run; the world outside wants the task's name.
//!
//! Readers note what they pass; what they did not is asked of the orchestrator. Bounded: of two
//! generations, the older is dropped when the younger is full.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use planaria_proto::orchestrator::v1::{LogRecord, log_record};
use planaria_proto::types::v1::CloudEvent;
use planaria_proto::workflow::v1::GetWorkflowRequest;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_runtime::{Directory, ServiceChannel};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request, Status};

use crate::config::Config;
use crate::events::Draft;
use crate::gauges::Gauges;

/// By workflow and run.
type Names = HashMap<(Arc<str>, u32), Arc<str>>;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    client: WorkflowServiceClient<ServiceChannel>,
    known: Arc<Mutex<Known>>,
    deadline: Duration,
    pause: Duration,
    gauges: Gauges,
}

#[derive(Debug)]
struct Known {
    young: Names,
    old: Names,
    generation_max: usize,
}

impl Tasks {
    pub(crate) fn new(directory: &Directory, config: &Config, gauges: Gauges) -> Self {
        let client = WorkflowServiceClient::new(directory.channel("orchestrator"))
            .max_decoding_message_size(config.tail.message_bytes_max);
        let generation_max = (config.tasks_max / 2).max(1);
        let known = Known { young: Names::new(), old: Names::new(), generation_max };
        Self {
            client,
            known: Arc::new(Mutex::new(known)),
            deadline: Duration::from_millis(config.call_ms_max),
            pause: Duration::from_millis(config.retry_ms),
            gauges,
        }
    }

    /// Notes the tasks that a record starts.
    pub(crate) fn note(&self, record: &LogRecord) {
        let Some(log_record::Body::Workflow(workflow)) = &record.body else { return };
        let events = workflow.record.iter().flat_map(|record| &record.events);
        let mut started = events.filter_map(|event| match &event.event {
            Some(Event::TaskStarted(started)) => Some(started),
            _ => None,
        });
        let Some(first) = started.next() else { return };
        let id: Arc<str> = workflow.workflow_id.as_str().into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for started in std::iter::once(first).chain(started) {
            known.put((Arc::clone(&id), started.frame), started.task.as_str().into());
        }
    }

    /// The name of the task that a run is of (JSON pointer); empty if its workflow is gone. Waits
    /// for the orchestrator for as long as it takes.
    pub(crate) async fn name(&self, workflow: &str, frame: u32) -> Arc<str> {
        let key = (Arc::from(workflow), frame);
        loop {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key);
            if let Some(name) = known {
                return name;
            }
            match self.look_up(workflow).await {
                Ok(names) => {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    for (frame, name) in names {
                        known.put((Arc::clone(&key.0), frame), name.into());
                    }
                    return known.get(&key).unwrap_or_default();
                }
                Err(status) => {
                    tracing::debug!(workflow, %status, "cannot name a task yet");
                    sleep(self.pause).await;
                }
            }
        }
    }

    /// The event of a draft, with the name of its task.
    pub(crate) async fn finish(&self, draft: Draft, record: &LogRecord) -> CloudEvent {
        match (draft.frame, &record.body) {
            (Some(frame), Some(log_record::Body::Workflow(workflow))) => {
                let name = self.name(&workflow.workflow_id, frame).await;
                draft.finish(Some(&name))
            }
            _ => draft.finish(None),
        }
    }

    async fn look_up(&self, workflow: &str) -> Result<Vec<(u32, String)>, Status> {
        self.gauges.lookups.inc();
        let mut request = Request::new(GetWorkflowRequest { workflow_id: workflow.to_owned() });
        request.set_timeout(self.deadline);
        let mut client = self.client.clone();
        let answer = timeout(self.deadline, client.get_workflow(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        match answer {
            Ok(answer) => {
                let runs = answer.into_inner().workflow.unwrap_or_default().tasks.into_iter();
                Ok(runs.map(|run| (run.frame, run.reference)).collect())
            }
            Err(status) if status.code() == Code::NotFound => Ok(Vec::new()),
            Err(status) => Err(status),
        }
    }
}

impl Known {
    fn put(&mut self, key: (Arc<str>, u32), name: Arc<str>) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, name);
    }

    fn get(&mut self, key: &(Arc<str>, u32)) -> Option<Arc<str>> {
        if let Some(name) = self.young.get(key) {
            return Some(Arc::clone(name));
        }
        let name = self.old.remove(key)?;
        self.put(key.clone(), Arc::clone(&name));
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut known = Known { young: Names::new(), old: Names::new(), generation_max: 4 };
        let key = |frame| (Arc::from("w"), frame);
        for frame in 0..1_000 {
            known.put(key(frame), frame.to_string().into());
            assert_eq!(known.get(&key(0)).as_deref(), Some("0"));
            assert!(known.young.len() + known.old.len() <= 8);
        }
        assert_eq!(known.get(&key(1)), None);
    }
}
