//! Calls of the orchestrator: each with a deadline.

use std::collections::HashMap;
use std::time::Duration;

use planaria_proto::orchestrator::v1::ApplyRetryDecisionsRequest;
use planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision;
use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::{ListFaultedRequest, ListFaultedResponse};
use planaria_proto::types::v1::{Payload, Phase};
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_proto::workflow::v1::{
    GetHistoryRequest, GetHistoryResponse, GetWorkflowRequest, RerunWorkflowRequest,
    RetryWorkflowRequest,
};
use planaria_runtime::{Directory, ServiceChannel};
use tonic::{Code, Request, Status};

/// The orchestrator's name in the directory.
pub(crate) const ORCHESTRATOR: &str = "orchestrator";

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Orchestrator {
    internal: OrchestratorServiceClient<ServiceChannel>,
    workflows: WorkflowServiceClient<ServiceChannel>,
    deadline: Duration,
}

impl Orchestrator {
    pub(crate) fn new(directory: &Directory, deadline: Duration, message_bytes_max: usize) -> Self {
        let channel = directory.channel(ORCHESTRATOR);
        Self {
            internal: OrchestratorServiceClient::new(channel.clone()),
            workflows: WorkflowServiceClient::new(channel)
                .max_decoding_message_size(message_bytes_max),
            deadline,
        }
    }

    /// Tells which decisions changed something, in their order.
    pub(crate) async fn apply(&self, decisions: Vec<Decision>) -> Result<Vec<bool>, Status> {
        let request = self.request(ApplyRetryDecisionsRequest { decisions });
        let answer = self.within(self.internal.clone().apply_retry_decisions(request)).await?;
        Ok(answer.applied)
    }

    pub(crate) async fn faulted(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<ListFaultedResponse, Status> {
        let request = ListFaultedRequest { after_workflow_id: after.to_owned(), page_size: limit };
        let request = self.request(request);
        self.within(self.internal.clone().list_faulted(request)).await
    }

    /// The task of each run of one (JSON pointer by frame); none of a workflow that is gone.
    pub(crate) async fn tasks(&self, workflow: &str) -> Result<HashMap<u32, String>, Status> {
        let request = self.request(GetWorkflowRequest { workflow_id: workflow.to_owned() });
        match self.within(self.workflows.clone().get_workflow(request)).await {
            Ok(answer) => {
                let runs = answer.workflow.unwrap_or_default().tasks.into_iter();
                Ok(runs.map(|run| (run.frame, run.reference)).collect())
            }
            Err(status) if status.code() == Code::NotFound => Ok(HashMap::new()),
            Err(status) => Err(status),
        }
    }

    /// Whether the workflow has ended for good, or never was.
    pub(crate) async fn is_over(&self, workflow: &str) -> Result<bool, Status> {
        let request = self.request(GetWorkflowRequest { workflow_id: workflow.to_owned() });
        match self.within(self.workflows.clone().get_workflow(request)).await {
            Ok(answer) => {
                let phase = answer.workflow.map(|workflow| workflow.phase());
                Ok(matches!(phase, Some(Phase::Completed | Phase::Cancelled)))
            }
            Err(status) if status.code() == Code::NotFound => Ok(true),
            Err(status) => Err(status),
        }
    }

    pub(crate) async fn retry_workflow(&self, workflow: &str, reason: &str) -> Result<(), Status> {
        let request =
            RetryWorkflowRequest { workflow_id: workflow.to_owned(), reason: reason.to_owned() };
        let request = self.request(request);
        self.within(self.workflows.clone().retry_workflow(request)).await.map(drop)
    }

    /// Goes on from a task's last run, with a new raw input.
    pub(crate) async fn rerun_workflow(
        &self,
        workflow: &str,
        task: &str,
        input: &[u8],
    ) -> Result<(), Status> {
        let data = bytes::Bytes::copy_from_slice(input);
        let request = self.request(RerunWorkflowRequest {
            workflow_id: workflow.to_owned(),
            task: task.to_owned(),
            input: Some(Payload { content_type: String::new(), data }),
        });
        self.within(self.workflows.clone().rerun_workflow(request)).await.map(drop)
    }

    pub(crate) async fn history(
        &self,
        workflow: &str,
        after_seq: u64,
        page_size: u32,
    ) -> Result<GetHistoryResponse, Status> {
        let workflow_id = workflow.to_owned();
        let request = self.request(GetHistoryRequest { workflow_id, after_seq, page_size });
        self.within(self.workflows.clone().get_history(request)).await
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    /// The far side is told the deadline, and may still be too far gone to keep it.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        let answered = tokio::time::timeout(self.deadline, call).await;
        let answered = answered.map_err(|_| Status::deadline_exceeded("no answer in time"))?;
        answered.map(tonic::Response::into_inner)
    }
}

/// Whether the same call can succeed a moment later.
pub(crate) fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
            | Code::Unknown
    )
}
