//! Starts, shows and steers workflows.

use bytes::Bytes;
use planaria_proto::types::v1::{CloudEvent, DefinitionReference, Payload};
use planaria_proto::workflow::v1 as contract;
use planaria_proto::workflow::v1::{HistoryEvent, Workflow, WorkflowStart};
use serde::Serialize;
use uuid::Uuid;

use super::Client;
use super::retrying::{through_outages, up_to_three_times};
use super::watch::Watch;
use crate::Error;

/// Events of the history that one call asks for.
const HISTORY_PAGE: u32 = 1_000;

/// What to start, with which input.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "it starts nothing by itself"]
pub struct Start {
    start: WorkflowStart,
}

impl Start {
    /// A workflow of the definition, in its highest published version, with the input `{}`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let (namespace, name) = (namespace.into(), name.into());
        let definition = Some(DefinitionReference { namespace, name, version: String::new() });
        // A key of its own makes every start safe to repeat when its answer got lost.
        let idempotency_key = Uuid::now_v7().to_string();
        Self { start: WorkflowStart { definition, input: None, idempotency_key } }
    }

    /// This version of the definition.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        if let Some(definition) = &mut self.start.definition {
            definition.version = version.into();
        }
        self
    }

    /// The input, as JSON.
    ///
    /// # Errors
    /// The value does not become JSON.
    pub fn input<T: Serialize + ?Sized>(self, input: &T) -> Result<Self, Error> {
        Ok(self.raw_input(serde_json::to_vec(input)?))
    }

    /// The input, in the bytes of a JSON document.
    pub fn raw_input(mut self, input: impl Into<Bytes>) -> Self {
        self.start.input = Some(Payload { content_type: String::new(), data: input.into() });
        self
    }

    /// The same key, ever: the same workflow, so that a program that starts anew does not start
    /// twice. At most 128 bytes. Default: a key that nobody else has.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.start.idempotency_key = key.into();
        self
    }
}

impl From<Start> for WorkflowStart {
    fn from(start: Start) -> Self {
        start.start
    }
}

impl Client {
    /// Starts a workflow and waits for its end, also through restarts of the engine.
    ///
    /// # Errors
    /// It was not started, or the engine was away for too long. That the workflow faulted is no
    /// error of this call.
    pub async fn run(&self, start: Start) -> Result<contract::RunWorkflowResponse, Error> {
        let request = contract::RunWorkflowRequest { start: Some(start.into()) };
        let traced = self.traced("run workflow");
        let outcome = through_outages(self.outage_max, async || {
            self.workflow_service().run_workflow(traced.request(request.clone())).await
        });
        let outcome = outcome.await;
        traced.ended(outcome)
    }

    /// Starts a workflow and returns at once.
    ///
    /// # Errors
    /// It was not started.
    pub async fn start(&self, start: Start) -> Result<contract::StartWorkflowResponse, Error> {
        let request = contract::StartWorkflowRequest { start: Some(start.into()) };
        let traced = self.traced("start workflow");
        let outcome = up_to_three_times(async || {
            self.workflow_service().start_workflow(traced.request(request.clone())).await
        });
        let outcome = outcome.await;
        traced.ended(outcome)
    }

    /// Starts up to 1000 workflows; each has its own outcome, in the order of `starts`.
    ///
    /// # Errors
    /// The request as a whole was refused.
    pub async fn start_many(
        &self,
        starts: impl IntoIterator<Item = Start>,
    ) -> Result<Vec<contract::start_workflows_response::Outcome>, Error> {
        let starts = starts.into_iter().map(WorkflowStart::from).collect();
        let request = contract::StartWorkflowsRequest { starts };
        let traced = self.traced("start workflows");
        let outcome = up_to_three_times(async || {
            self.workflow_service().start_workflows(traced.request(request.clone())).await
        });
        let outcome = outcome.await;
        traced.ended(outcome).map(|answer| answer.outcomes)
    }

    /// Shows a workflow with its tasks.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`.
    pub async fn get(&self, workflow_id: &str) -> Result<Workflow, Error> {
        let request = contract::GetWorkflowRequest { workflow_id: workflow_id.to_owned() };
        up_to_three_times(async || self.workflow_service().get_workflow(request.clone()).await)
            .await
            .map(|answer| answer.workflow.unwrap_or_default())
    }

    /// A page of workflows, newest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(
        &self,
        request: contract::ListWorkflowsRequest,
    ) -> Result<contract::ListWorkflowsResponse, Error> {
        up_to_three_times(async || self.workflow_service().list_workflows(request.clone()).await)
            .await
    }

    /// Follows a workflow from behind the event `after_seq` (0 = from its start) to its end, also
    /// through restarts of the engine.
    #[must_use]
    pub fn watch(&self, workflow_id: &str, after_seq: u64) -> Watch {
        Watch::new(self.workflow_service(), self.outage_max, workflow_id, after_seq)
    }

    /// The whole history of a workflow.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`.
    pub async fn history(&self, workflow_id: &str) -> Result<Vec<HistoryEvent>, Error> {
        let mut events: Vec<HistoryEvent> = Vec::new();
        loop {
            let request = contract::GetHistoryRequest {
                workflow_id: workflow_id.to_owned(),
                after_seq: events.last().map_or(0, |event| event.seq),
                page_size: HISTORY_PAGE,
            };
            let call = async || self.workflow_service().get_history(request.clone()).await;
            let page = up_to_three_times(call).await?;
            let ended = !page.more || page.events.is_empty();
            events.extend(page.events);
            if ended {
                return Ok(events);
            }
        }
    }

    /// Lets a suspended workflow go on.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`, `WORKFLOW_PHASE_INVALID`.
    pub async fn resume(&self, workflow_id: &str) -> Result<(), Error> {
        let request = contract::ResumeWorkflowRequest { workflow_id: workflow_id.to_owned() };
        up_to_three_times(async || self.workflow_service().resume_workflow(request.clone()).await)
            .await
            .map(|_| ())
    }

    /// Completes a task with this output, or with its own input.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`, `WORKFLOW_PHASE_INVALID`, `TASK_NOT_FOUND`.
    pub async fn skip_task(&self, request: contract::SkipTaskRequest) -> Result<(), Error> {
        up_to_three_times(async || self.workflow_service().skip_task(request.clone()).await)
            .await
            .map(|_| ())
    }

    /// Lets a workflow go on from an earlier task.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`, `WORKFLOW_PHASE_INVALID`, `TASK_NOT_FOUND`.
    pub async fn rerun(&self, request: contract::RerunWorkflowRequest) -> Result<(), Error> {
        up_to_three_times(async || self.workflow_service().rerun_workflow(request.clone()).await)
            .await
            .map(|_| ())
    }

    /// Delivers an event of this type, with JSON data, to the workflow. True if a task took it at
    /// once; otherwise it is kept until one does.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`, `WORKFLOW_PHASE_INVALID`, `EVENT_INVALID`.
    pub async fn signal<T: Serialize + ?Sized>(
        &self,
        workflow_id: &str,
        event_type: &str,
        data: &T,
    ) -> Result<bool, Error> {
        let event = CloudEvent {
            // Chosen here, so that a repeated call delivers once.
            id: Uuid::now_v7().to_string(),
            r#type: event_type.to_owned(),
            data_content_type: "application/json".to_owned(),
            data: serde_json::to_vec(data)?.into(),
            ..CloudEvent::default()
        };
        self.signal_event(workflow_id, event).await
    }

    /// The same with a whole event, which should have an id.
    ///
    /// # Errors
    /// As [`Client::signal`].
    pub async fn signal_event(&self, workflow_id: &str, event: CloudEvent) -> Result<bool, Error> {
        let workflow_id = workflow_id.to_owned();
        let request = contract::SignalWorkflowRequest { workflow_id, event: Some(event) };
        up_to_three_times(async || self.workflow_service().signal_workflow(request.clone()).await)
            .await
            .map(|answer| answer.consumed)
    }

    /// Delivers an event to every workflow that listens to such now; says how many took it.
    ///
    /// # Errors
    /// `EVENT_INVALID`. Not repeated: a lost answer may mean that it was delivered.
    pub async fn publish(&self, event: CloudEvent) -> Result<u32, Error> {
        let request = contract::PublishEventRequest { event: Some(event) };
        let answer = self.workflow_service().publish_event(request).await?;
        Ok(answer.into_inner().consumers)
    }
}

/// Calls that take a workflow and a reason, and answer nothing.
macro_rules! steering {
    ($($name:ident, $rpc:ident, $request:ident, $what:literal;)*) => {
        impl Client {
            $(
                #[doc = $what]
                ///
                /// # Errors
                /// `WORKFLOW_NOT_FOUND`, `WORKFLOW_PHASE_INVALID`.
                pub async fn $name(&self, workflow_id: &str, reason: &str) -> Result<(), Error> {
                    let (workflow_id, reason) = (workflow_id.to_owned(), reason.to_owned());
                    let request = contract::$request { workflow_id, reason };
                    up_to_three_times(async || self.workflow_service().$rpc(request.clone()).await)
                        .await
                        .map(|_| ())
                }
            )*
        }
    };
}

steering! {
    suspend, suspend_workflow, SuspendWorkflowRequest,
        "Holds a workflow: attempts that run may end, nothing new starts.";
    cancel, cancel_workflow, CancelWorkflowRequest, "Ends a workflow, abandoning what it has open.";
    retry, retry_workflow, RetryWorkflowRequest,
        "Lets a faulted workflow go on from its fault, with fresh retries.";
}
