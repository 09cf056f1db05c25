//! The calls to the orchestrators, one at a time of each kind.

use std::time::Duration;

use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::orchestrator::v1::{
    ObserveSessionsRequest, ObserveSessionsResponse, ReportVerdictsRequest,
};
use planaria_runtime::ServiceChannel;
use tonic::{Code, Request, Status};

use crate::Config;
use crate::observations::Observed;

/// The outcome of a call.
#[derive(Debug)]
pub(crate) enum Done {
    Observed { batch: Vec<Observed>, outcome: Result<ObserveSessionsResponse, Status> },
    Reported { numbers: Vec<u64>, outcome: Result<(), Status> },
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Orchestrators {
    client: OrchestratorServiceClient<ServiceChannel>,
    deadline: Duration,
}

impl Orchestrators {
    pub(crate) fn new(channel: ServiceChannel, config: &Config) -> Self {
        let deadline = Duration::from_millis(config.call_ms_max);
        let client =
            OrchestratorServiceClient::new(channel).max_decoding_message_size(64 * 1024 * 1024);
        Self { client, deadline }
    }

    pub(crate) async fn observe(mut self, batch: Vec<Observed>) -> Done {
        let observations = batch.iter().map(|observed| observed.observation.clone()).collect();
        let request = self.request(ObserveSessionsRequest { observations });
        let call = self.client.observe_sessions(request);
        let outcome = within(self.deadline, call).await;
        Done::Observed { batch, outcome }
    }

    pub(crate) async fn report(mut self, verdicts: Vec<(u64, Verdict)>) -> Done {
        let (numbers, verdicts) = verdicts.into_iter().unzip();
        let request = self.request(ReportVerdictsRequest { verdicts });
        let call = self.client.report_verdicts(request);
        let outcome = within(self.deadline, call).await.map(drop);
        Done::Reported { numbers, outcome }
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }
}

/// Whether the same call can never succeed.
pub(crate) fn is_hopeless(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange)
}

async fn within<M>(
    deadline: Duration,
    call: impl Future<Output = Result<tonic::Response<M>, Status>>,
) -> Result<M, Status> {
    match tokio::time::timeout(deadline, call).await {
        Ok(outcome) => outcome.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no orchestrator answered in time")),
    }
}
