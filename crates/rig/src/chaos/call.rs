//! One call of a client, as often as it is tried.

use std::time::Duration;

use planaria_sdk::Client;
use planaria_sdk::contract::workflow::v1::{
    CancelWorkflowRequest, GetWorkflowRequest, SignalWorkflowRequest, StartWorkflowRequest,
};
use tonic::{Code, Request, Status};

/// What is called.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Start(StartWorkflowRequest),
    Get(GetWorkflowRequest),
    Signal(SignalWorkflowRequest),
    Cancel(CancelWorkflowRequest),
}

impl Call {
    /// Tries it once; the answer is the workflow's id.
    pub(super) async fn send(&self, client: &Client, limit: Duration) -> Result<String, Status> {
        let mut service = client.workflow_service();
        match self {
            Self::Start(request) => {
                let answer = service.start_workflow(limited(request.clone(), limit)).await?;
                Ok(answer.into_inner().workflow_id)
            }
            Self::Get(request) => {
                service.get_workflow(limited(request.clone(), limit)).await?;
                Ok(request.workflow_id.clone())
            }
            Self::Signal(request) => {
                service.signal_workflow(limited(request.clone(), limit)).await?;
                Ok(request.workflow_id.clone())
            }
            Self::Cancel(request) => {
                service.cancel_workflow(limited(request.clone(), limit)).await?;
                Ok(request.workflow_id.clone())
            }
        }
    }
}

/// Whether the answer says that the call was not performed and never will be.
pub(super) fn is_final(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
            | Code::ResourceExhausted
    )
}

pub(super) fn limited<M>(message: M, limit: Duration) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}
