//! The service between services.

use std::pin::Pin;

use planaria_proto::orchestrator::v1::orchestrator_service_server::OrchestratorService;
use planaria_proto::orchestrator::v1::{
    ApplyRetryDecisionsRequest, ApplyRetryDecisionsResponse, GetStatisticsRequest,
    GetStatisticsResponse, ListFaultedRequest, ListFaultedResponse, ListShardsRequest,
    ListShardsResponse, ObserveSessionsRequest, ObserveSessionsResponse, ReadLogRequest,
    ReadLogResponse, ReportVerdictsRequest, ReportVerdictsResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::FakeOrchestrator;
use crate::log::SHARD;

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl OrchestratorService for FakeOrchestrator {
    type ReadLogStream = Stream<ReadLogResponse>;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        let start = {
            let state = self.state();
            match request.after {
                Some(after) if request.with_gaps || state.log.reaches(after.seq) => after.seq,
                Some(_) => return Err(Status::out_of_range("the position is not kept any more")),
                None if request.from_end => state.log.end().seq,
                None => 0,
            }
        };
        let (sender, receiver) = mpsc::channel(16);
        self.note(|state| {
            state.log_streams += 1;
            state.log_streams_open += 1;
        });
        let fake = self.clone();
        tokio::spawn(async move {
            follow(&fake, start, sender).await;
            fake.note(|state| state.log_streams_open -= 1);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn observe_sessions(
        &self,
        _request: Request<ObserveSessionsRequest>,
    ) -> Result<Response<ObserveSessionsResponse>, Status> {
        Err(Status::unimplemented("this fake has no sessions"))
    }

    async fn report_verdicts(
        &self,
        _request: Request<ReportVerdictsRequest>,
    ) -> Result<Response<ReportVerdictsResponse>, Status> {
        Err(Status::unimplemented("this fake has no sessions"))
    }

    async fn apply_retry_decisions(
        &self,
        request: Request<ApplyRetryDecisionsRequest>,
    ) -> Result<Response<ApplyRetryDecisionsResponse>, Status> {
        let decisions = request.into_inner().decisions;
        if let Some(status) = self.state().decision_failures.pop() {
            return Err(status);
        }
        let now_ms = planaria_runtime::clock::now_ms();
        let mut applied = Vec::new();
        self.note(|state| {
            for decision in decisions {
                applied.push(!state.decisions.iter().any(|(known, _)| *known == decision));
                state.decisions.push((decision, now_ms));
            }
        });
        Ok(Response::new(ApplyRetryDecisionsResponse { applied }))
    }

    async fn list_shards(
        &self,
        _request: Request<ListShardsRequest>,
    ) -> Result<Response<ListShardsResponse>, Status> {
        Ok(Response::new(ListShardsResponse { shards: vec![SHARD] }))
    }

    async fn get_statistics(
        &self,
        _request: Request<GetStatisticsRequest>,
    ) -> Result<Response<GetStatisticsResponse>, Status> {
        self.note(|state| state.statistics_calls += 1);
        Ok(Response::new(self.state().statistics.clone()))
    }

    async fn list_faulted(
        &self,
        request: Request<ListFaultedRequest>,
    ) -> Result<Response<ListFaultedResponse>, Status> {
        let request = request.into_inner();
        self.note(|state| state.faulted_calls += 1);
        let state = self.state();
        let asked = usize::try_from(request.page_size).unwrap_or(usize::MAX);
        let page = asked.min(state.faulted_page_max.unwrap_or(usize::MAX));
        let mut behind = state
            .faulted
            .iter()
            .filter(|faulted| faulted.workflow_id > request.after_workflow_id)
            .cloned();
        let workflows = behind.by_ref().take(page).collect();
        Ok(Response::new(ListFaultedResponse { workflows, more: behind.next().is_some() }))
    }
}

/// Sends what is behind `seq`, then what comes, until the reader goes.
async fn follow(
    fake: &FakeOrchestrator,
    mut seq: u64,
    sender: mpsc::Sender<Result<ReadLogResponse, Status>>,
) {
    let mut changes = fake.changed.subscribe();
    let mut first = true;
    loop {
        let (records, end) = {
            let state = fake.state();
            (state.log.after(seq), state.log.end())
        };
        if first || !records.is_empty() {
            first = false;
            seq = end.seq;
            let response = ReadLogResponse { records, position: Some(end) };
            if sender.send(Ok(response)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}
