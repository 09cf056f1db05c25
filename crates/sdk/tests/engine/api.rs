//! The engine's services.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Instant;

use planaria_proto::failure_detector::v1::failure_detector_service_server::FailureDetectorService;
use planaria_proto::failure_detector::v1::{
    DrainWorkerRequest, DrainWorkerResponse, HeartbeatRequest, HeartbeatResponse,
    ListWorkersRequest, ListWorkersResponse, WatchWorkersRequest, WatchWorkersResponse,
};
use planaria_proto::task::v1::report_results_response::Verdict;
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::task_service_server::TaskService;
use planaria_proto::task::v1::{
    Acceptance, CloseSessionRequest, CloseSessionResponse, OpenSessionRequest, OpenSessionResponse,
    PullTasksRequest, PullTasksResponse, RenewSessionRequest, RenewSessionResponse,
    ReportResultsRequest, ReportResultsResponse, Result as TaskResult,
};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Shared, State};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Binds also a port on which killed connections linger.
pub async fn bind(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

fn not_found() -> Status {
    let details = ErrorDetails::with_error_info("SESSION_NOT_FOUND", "planaria.dev", []);
    Status::with_error_details(Code::NotFound, "no such session", details)
}

fn known(state: &State, session_id: &str) -> Result<(), Status> {
    if state.session.as_deref() == Some(session_id) { Ok(()) } else { Err(not_found()) }
}

/// The replica that a call is for.
fn replica_of<T>(request: &Request<T>) -> String {
    let replica = request.metadata().get("planaria-replica");
    replica.map_or_else(String::new, |replica| replica.to_str().unwrap().to_owned())
}

#[tonic::async_trait]
impl TaskService for Shared {
    async fn open_session(
        &self,
        request: Request<OpenSessionRequest>,
    ) -> Result<Response<OpenSessionResponse>, Status> {
        let request = request.into_inner();
        let (session_id, lease) = self.change(|state| {
            state.opened.push(request);
            let number = state.closed.len() + 1;
            let id = state.session.get_or_insert_with(|| format!("session-{number}")).clone();
            (id, state.lease)
        });
        Ok(Response::new(OpenSessionResponse {
            session_id,
            replicas: vec!["replica-1".into()],
            lease: Some(lease.try_into().unwrap()),
            heartbeat_interval: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
            output_bytes_max: 256 * 1024,
        }))
    }

    type PullTasksStream = Answers<PullTasksResponse>;

    async fn pull_tasks(
        &self,
        request: Request<PullTasksRequest>,
    ) -> Result<Response<Self::PullTasksStream>, Status> {
        let replica = replica_of(&request);
        let (sender, receiver) = mpsc::channel(100);
        self.change(|state| {
            known(state, &request.get_ref().session_id)?;
            state.pulls.insert(replica, sender);
            state.pulls_opened += 1;
            Ok::<_, Status>(())
        })?;
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn report_results(
        &self,
        request: Request<ReportResultsRequest>,
    ) -> Result<Response<ReportResultsResponse>, Status> {
        let replica = replica_of(&request);
        self.change(|state| {
            state.routed.push(("ReportResults", replica));
            state.reports += 1;
            state.reports_under_way += 1;
        });
        self.until("reports being answered", |state| !state.hold_reports).await;
        let verdicts = self.change(|state| {
            state.reports_under_way -= 1;
            let results = request.into_inner().results.into_iter();
            results.map(|result| judge(state, result)).collect()
        });
        Ok(Response::new(ReportResultsResponse { verdicts }))
    }

    async fn renew_session(
        &self,
        request: Request<RenewSessionRequest>,
    ) -> Result<Response<RenewSessionResponse>, Status> {
        let replica = replica_of(&request);
        let request = request.into_inner();
        self.change(|state| {
            state.routed.push(("RenewSession", replica));
            known(state, &request.session_id)?;
            if state.refuse_renewals {
                return Err(Status::unavailable("not now"));
            }
            state.renewals.push(request);
            let lease = Some(state.lease.try_into().unwrap());
            Ok(Response::new(RenewSessionResponse { lease, abandon: Vec::new() }))
        })
    }

    async fn close_session(
        &self,
        request: Request<CloseSessionRequest>,
    ) -> Result<Response<CloseSessionResponse>, Status> {
        let replica = replica_of(&request);
        self.change(|state| {
            state.routed.push(("CloseSession", replica));
            state.closed.push(request.into_inner().session_id);
            state.beating_at_goodbye.push(state.beating);
            state.session = None;
        });
        Ok(Response::new(CloseSessionResponse {}))
    }
}

fn judge(state: &mut State, result: TaskResult) -> Verdict {
    let output = match &result.outcome {
        Some(Outcome::Output(output)) => Some(output.data.to_vec()),
        _ => None,
    };
    let acceptance = if output.is_some() && output == state.rejects {
        Acceptance::Rejected
    } else {
        let repeated = state.results.iter().any(|known| known.token == result.token);
        if !repeated {
            state.results.push(result);
        }
        Acceptance::Accepted
    };
    state.verdicts.push(acceptance);
    Verdict { acceptance: acceptance.into(), detail: "as the test wants it".into() }
}

/// A heartbeat stream that is open.
struct Beating(Shared);

impl Beating {
    fn new(shared: &Shared) -> Self {
        shared.change(|state| state.beating += 1);
        Self(shared.clone())
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.change(|state| state.beating -= 1);
    }
}

#[tonic::async_trait]
impl FailureDetectorService for Shared {
    type HeartbeatStream = Answers<HeartbeatResponse>;

    async fn heartbeat(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let refused = self.change(|state| {
            let refused = state.refuse_beats > 0;
            state.refuse_beats -= usize::from(refused);
            refused
        });
        if refused {
            return Err(Status::unavailable("as the test wants it"));
        }
        let (shared, open) = (self.clone(), Beating::new(self));
        let answers = request.into_inner().map(move |beat| {
            let _open = &open;
            let beat = beat?;
            shared.change(|state| {
                let answer = HeartbeatResponse {
                    sequence: beat.sequence,
                    lease: state.renew.then(|| state.lease.try_into().unwrap()),
                    abandon: std::mem::take(&mut state.abandon),
                    drain: state.drain,
                    session_gone: state.gone && known(state, &beat.session_id).is_err(),
                };
                state.beats.push((Instant::now(), beat));
                Ok(answer)
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_workers(
        &self,
        _: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        Err(Status::unimplemented("not needed by workers"))
    }

    type WatchWorkersStream = Answers<WatchWorkersResponse>;

    async fn watch_workers(
        &self,
        _: Request<WatchWorkersRequest>,
    ) -> Result<Response<Self::WatchWorkersStream>, Status> {
        Err(Status::unimplemented("not needed by workers"))
    }

    async fn drain_worker(
        &self,
        _: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        Err(Status::unimplemented("not needed by workers"))
    }
}
