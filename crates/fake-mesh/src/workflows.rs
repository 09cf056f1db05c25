//! What clients call: only what the services of the mesh call too.

use std::pin::Pin;

use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::workflow_service_server::WorkflowService;
use planaria_proto::workflow::v1::*;
use tonic::{Request, Response, Status};

use crate::{FakeOrchestrator, record_at, workflow_events};

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("no service calls this"))
}

#[tonic::async_trait]
impl WorkflowService for FakeOrchestrator {
    type WatchWorkflowStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<WatchWorkflowResponse, Status>> + Send>>;

    async fn get_workflow(
        &self,
        request: Request<GetWorkflowRequest>,
    ) -> Result<Response<GetWorkflowResponse>, Status> {
        let workflow = self.state().workflows.get(&request.into_inner().workflow_id).cloned();
        let workflow = workflow.ok_or_else(|| Status::not_found("there is no such workflow"))?;
        Ok(Response::new(GetWorkflowResponse { workflow: Some(workflow) }))
    }

    async fn get_history(
        &self,
        request: Request<GetHistoryRequest>,
    ) -> Result<Response<GetHistoryResponse>, Status> {
        let request = request.into_inner();
        let state = self.state();
        let events = state.histories.get(&request.workflow_id);
        let events = events.ok_or_else(|| Status::not_found("there is no such workflow"))?;
        let mut behind = events.iter().filter(|event| event.seq > request.after_seq).cloned();
        let page = behind.by_ref().take(request.page_size as usize).collect();
        Ok(Response::new(GetHistoryResponse { events: page, more: behind.next().is_some() }))
    }

    async fn retry_workflow(
        &self,
        request: Request<RetryWorkflowRequest>,
    ) -> Result<Response<RetryWorkflowResponse>, Status> {
        let request = request.into_inner();
        if let Some(status) = self.state().retry_refusals.get(&request.workflow_id) {
            return Err(status.clone());
        }
        let mut told = None;
        self.note(|state| {
            // Where it has a history, what it was told is in it, and in the log.
            if let Some(history) = state.histories.get_mut(&request.workflow_id) {
                let seq = history.last().map_or(0, |event| event.seq) + 1;
                let retried = WorkflowRetried { reason: request.reason.clone() };
                let event = Event::WorkflowRetried(retried);
                let record = workflow_events(&request.workflow_id, seq, [event.clone()]);
                told = Some(record_at(record, planaria_runtime::clock::now_ms()));
                history.push(HistoryEvent { seq, event: Some(event), ..HistoryEvent::default() });
            }
            state.faulted.retain(|faulted| faulted.workflow_id != request.workflow_id);
            state.retried.push((request.workflow_id, request.reason));
        });
        self.push_all(told);
        Ok(Response::new(RetryWorkflowResponse {}))
    }

    async fn run_workflow(
        &self,
        _request: Request<RunWorkflowRequest>,
    ) -> Result<Response<RunWorkflowResponse>, Status> {
        not_here()
    }

    async fn start_workflow(
        &self,
        _request: Request<StartWorkflowRequest>,
    ) -> Result<Response<StartWorkflowResponse>, Status> {
        not_here()
    }

    async fn start_workflows(
        &self,
        _request: Request<StartWorkflowsRequest>,
    ) -> Result<Response<StartWorkflowsResponse>, Status> {
        not_here()
    }

    async fn list_workflows(
        &self,
        _request: Request<ListWorkflowsRequest>,
    ) -> Result<Response<ListWorkflowsResponse>, Status> {
        not_here()
    }

    async fn suspend_workflow(
        &self,
        _request: Request<SuspendWorkflowRequest>,
    ) -> Result<Response<SuspendWorkflowResponse>, Status> {
        not_here()
    }

    async fn resume_workflow(
        &self,
        _request: Request<ResumeWorkflowRequest>,
    ) -> Result<Response<ResumeWorkflowResponse>, Status> {
        not_here()
    }

    async fn cancel_workflow(
        &self,
        _request: Request<CancelWorkflowRequest>,
    ) -> Result<Response<CancelWorkflowResponse>, Status> {
        not_here()
    }

    async fn rerun_workflow(
        &self,
        request: Request<RerunWorkflowRequest>,
    ) -> Result<Response<RerunWorkflowResponse>, Status> {
        let RerunWorkflowRequest { workflow_id, task, input } = request.into_inner();
        let input = input.unwrap_or_default().data.to_vec();
        self.note(|state| {
            state.faulted.retain(|faulted| faulted.workflow_id != workflow_id);
            state.rerun.push((workflow_id, task, input));
        });
        Ok(Response::new(RerunWorkflowResponse {}))
    }

    async fn skip_task(
        &self,
        _request: Request<SkipTaskRequest>,
    ) -> Result<Response<SkipTaskResponse>, Status> {
        not_here()
    }

    async fn signal_workflow(
        &self,
        _request: Request<SignalWorkflowRequest>,
    ) -> Result<Response<SignalWorkflowResponse>, Status> {
        not_here()
    }

    async fn publish_event(
        &self,
        _request: Request<PublishEventRequest>,
    ) -> Result<Response<PublishEventResponse>, Status> {
        not_here()
    }

    async fn watch_workflow(
        &self,
        _request: Request<WatchWorkflowRequest>,
    ) -> Result<Response<Self::WatchWorkflowStream>, Status> {
        not_here()
    }
}
