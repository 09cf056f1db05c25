//! `TaskService`: the workers' door.

use planaria_proto::orchestrator::v1::observe_sessions_request::Observation;
use planaria_proto::task::v1::report_results_response::Verdict;
use planaria_proto::task::v1::result::Outcome as WireOutcome;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::task::v1::task_service_server::TaskService;
use planaria_proto::task::v1::{
    Acceptance, CloseSessionRequest, CloseSessionResponse, OpenSessionRequest, OpenSessionResponse,
    PullTasksRequest, PullTasksResponse, RenewSessionRequest, RenewSessionResponse,
    ReportResultsRequest, ReportResultsResponse, Result as WireResult,
};
use planaria_proto::types::v1::{Payload, WorkflowError};
use planaria_runtime::Identity;
use planaria_runtime::clock::now_ms;
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::batches::{Part, with};
use super::followed::Followed;
use super::route::{Route, Streamed, engine_of, forwarded, streamed};
use super::{Api, MESSAGE_BYTES_MAX, access, cut, invalid, reason};
use crate::convert::{duration, duration_ms, error_from, timestamp};
use crate::engine::{Command, HANDED_MAX, Handed, Handle, Outcome, ReportItem, settled};
use crate::error::Error;
use crate::store::Shard;
use crate::token::Tokens;
use crate::token::namespace_digest;

/// Longest name of a worker, function, queue or label.
const NAME_BYTES_MAX: usize = 128;
/// Longest type, title or instance of a worker's error.
const KIND_BYTES_MAX: usize = 1024;
/// Longest detail of a worker's error.
const DETAIL_BYTES_MAX: usize = 16 * 1024;
/// Most functions, queues or labels of a worker.
const NAMES_MAX: usize = 256;
/// Most attempts that a worker executes at the same time.
const CAPACITY_MAX: u32 = 10_000;
/// Longest checkpoint.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;
/// Most results in one report.
const RESULTS_MAX: usize = 10_000;

#[tonic::async_trait]
impl TaskService for Api {
    type PullTasksStream = Streamed<PullTasksResponse>;

    async fn open_session(
        &self,
        request: Request<OpenSessionRequest>,
    ) -> Result<Response<OpenSessionResponse>, Status> {
        let caller = Identity::of(&request)?;
        check_session(request.get_ref())?;
        let mut request = request;
        let opened = request.get_mut();
        opened.worker_id = access::worker_name(&caller, &opened.worker_id);
        // Whatever the worker says of itself: its key decides whose tasks it gets.
        opened.namespace = caller.only_namespace().unwrap_or_default().to_owned();
        // A worker has one session, wherever it asks.
        let worker = &request.get_ref().worker_id;
        let shard = match self.store.session_of(worker).await.map_err(Error::from)? {
            Some(session) => Shard::of(session),
            None => self.shards.of_name(worker).await?,
        };
        let engine = engine_of!(self, shard, request, TaskServiceClient.open_session);
        let request = Box::new(request.into_inner());
        let open = |reply| Command::OpenSession { request, is_lent: false, reply };
        let id = engine.ask(open).await?;
        Ok(Response::new(OpenSessionResponse {
            session_id: id.to_string(),
            replicas: vec![self.address.clone()],
            lease: Some(duration(self.config.lease_ms)),
            heartbeat_interval: Some(duration(self.config.heartbeat_ms)),
            output_bytes_max: self.config.payload_bytes_max as u64,
        }))
    }

    async fn pull_tasks(
        &self,
        request: Request<PullTasksRequest>,
    ) -> Result<Response<Self::PullTasksStream>, Status> {
        let caller = Identity::of(&request)?;
        let id = session_id(&request.get_ref().session_id)?;
        let engine = match self.route_call(Shard::of(id), &request).await? {
            Route::Here(local) => local.engine,
            Route::There(peer) => {
                let mut client = TaskServiceClient::new(peer.channel.clone())
                    .max_decoding_message_size(MESSAGE_BYTES_MAX);
                let request = forwarded(&request);
                let call = async move { client.pull_tasks(request).await };
                return peer.answer(call).await.map(|there| streamed(there, &self.stop));
            }
        };
        access::check_session(&caller, &engine, id).await?;
        let (sender, handed) = mpsc::channel(HANDED_MAX);
        engine.ask(|reply| Command::Pull(id, sender, reply)).await?;
        let told = |handed: Handed| PullTasksResponse { assignments: handed.assignments };
        Ok(Response::new(Followed::stream(handed, &self.stop, told)))
    }

    async fn report_results(
        &self,
        request: Request<ReportResultsRequest>,
    ) -> Result<Response<ReportResultsResponse>, Status> {
        let (count, most) = (request.get_ref().results.len(), RESULTS_MAX);
        if count > most {
            let message = format!("has {count} results; at most {most}");
            return Err(invalid("REQUEST_INVALID", "results", message).into());
        }
        let caller = Identity::of(&request)?;
        let session = request.get_ref().session_id.clone();
        let results = with(request, |request| request.results);
        // A token that nobody signed is refused wherever it goes.
        let shard_of = |result: &WireResult| Tokens::shard_of(&result.token);
        let answer = async |part: Part, request: Request<Vec<WireResult>>| match part {
            Part::Here(engine) => self.report(&caller, &engine, request.into_inner()).await,
            Part::There(peer) => {
                let mut client = TaskServiceClient::new(peer.channel.clone());
                let request = with(request, |results| ReportResultsRequest {
                    session_id: session.clone(),
                    results,
                });
                let call = async move { client.report_results(request).await };
                Ok(peer.answer(call).await?.into_inner().verdicts)
            }
        };
        let verdicts = self.by_shard(results, shard_of, answer).await?;
        Ok(Response::new(ReportResultsResponse { verdicts }))
    }

    async fn renew_session(
        &self,
        request: Request<RenewSessionRequest>,
    ) -> Result<Response<RenewSessionResponse>, Status> {
        let caller = Identity::of(&request)?;
        let session = session_id(&request.get_ref().session_id)?;
        let shard = Shard::of(session);
        let engine = engine_of!(self, shard, request, TaskServiceClient.renew_session);
        access::check_session(&caller, &engine, session).await?;
        let request = request.into_inner();
        let seen = Observation {
            session_id: request.session_id,
            attempt_ids: request.attempt_ids,
            at: Some(timestamp(now_ms())),
            ..Observation::default()
        };
        let answers = self.observe(&engine, vec![seen]).await?;
        let answer = answers.into_iter().next().filter(|answer| !answer.session_gone);
        let abandon = answer.ok_or(Error::SessionNotFound)?.abandon;
        let lease = Some(duration(self.config.lease_ms));
        Ok(Response::new(RenewSessionResponse { lease, abandon }))
    }

    async fn close_session(
        &self,
        request: Request<CloseSessionRequest>,
    ) -> Result<Response<CloseSessionResponse>, Status> {
        let caller = Identity::of(&request)?;
        let id = session_id(&request.get_ref().session_id)?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, TaskServiceClient.close_session);
        access::check_session(&caller, &engine, id).await?;
        let reason = reason(request.into_inner().reason);
        engine.ask(|reply| Command::CloseSession(id, reason, reply)).await?;
        Ok(Response::new(CloseSessionResponse {}))
    }
}

impl Api {
    /// Reports results to an engine; what became of each.
    async fn report(
        &self,
        caller: &Identity,
        engine: &Handle,
        results: Vec<WireResult>,
    ) -> Result<Vec<Verdict>, Status> {
        let mut items = Vec::with_capacity(results.len());
        let mut answers = Vec::with_capacity(results.len());
        for result in results {
            match self.item(caller, result) {
                Ok(item) => {
                    let (reply, answer) = oneshot::channel();
                    items.push((item, reply));
                    answers.push(Ok(answer));
                }
                Err(verdict) => answers.push(Err(verdict)),
            }
        }
        engine.send(Command::Report(items)).await?;
        let mut verdicts = Vec::with_capacity(answers.len());
        for answer in answers {
            verdicts.push(match answer {
                Ok(answer) => verdict(settled(answer).await)?,
                Err(verdict) => verdict,
            });
        }
        Ok(verdicts)
    }

    /// A result as the engine takes it, or why it cannot.
    fn item(&self, caller: &Identity, result: WireResult) -> Result<ReportItem, Verdict> {
        let own = caller.only_namespace().map(namespace_digest);
        let verified = self.tokens.verify(&result.token);
        let claims = verified.filter(|claims| own.is_none_or(|own| own == claims.namespace));
        let claims = claims.ok_or_else(|| {
            refused(Acceptance::TokenInvalid, "the token is not one of this mesh's")
        })?;
        let rejected = |error: &Error| refused(Acceptance::Rejected, error.to_string());
        let outcome = match result.outcome {
            None => return Err(refused(Acceptance::Rejected, "the result has no outcome")),
            Some(WireOutcome::Output(output)) => {
                let output = self.json("output", output).map_err(|error| rejected(&error))?;
                Outcome::Output(output)
            }
            Some(WireOutcome::Failure(failure)) => Outcome::Failed {
                error: error_from(failure.error.map(short)),
                retryable: failure.retryable,
                retry_after_ms: failure.retry_after.as_ref().map(duration_ms),
                checkpoint: self.checkpoint(failure.checkpoint).map_err(|e| rejected(&e))?,
            },
            Some(WireOutcome::Release(release)) => Outcome::Released {
                reason: reason(release.reason),
                checkpoint: self.checkpoint(release.checkpoint).map_err(|e| rejected(&e))?,
            },
        };
        Ok(ReportItem { claims, outcome })
    }

    pub(super) fn checkpoint(
        &self,
        checkpoint: Option<Payload>,
    ) -> Result<Option<bytes::Bytes>, Error> {
        let Some(payload) = checkpoint else { return Ok(None) };
        let (field, have, most) = ("checkpoint", payload.data.len(), CHECKPOINT_BYTES_MAX);
        if have > most {
            return Err(Error::PayloadTooLarge { field, have, most });
        }
        Ok(Some(self.json(field, payload)?.into_bytes()))
    }
}

fn refused(acceptance: Acceptance, detail: impl Into<String>) -> Verdict {
    Verdict { acceptance: acceptance.into(), detail: detail.into() }
}

/// What became of one result. What is not known fails the whole call, which is safe to repeat.
fn verdict(outcome: Result<(), Error>) -> Result<Verdict, Error> {
    match outcome {
        Ok(()) => Ok(refused(Acceptance::Accepted, "")),
        Err(error @ (Error::Store(_) | Error::Unavailable)) => Err(error),
        Err(error) => Ok(refused(Acceptance::Stale, error.to_string())),
    }
}

pub(super) fn session_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::SessionNotFound)
}

/// Whether a text can name something, in lists with one name a line too.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control)
}

/// An error as the history keeps it: cut where it is too long.
fn short(mut error: WorkflowError) -> WorkflowError {
    cut(&mut error.r#type, KIND_BYTES_MAX);
    cut(&mut error.title, KIND_BYTES_MAX);
    cut(&mut error.instance, KIND_BYTES_MAX);
    cut(&mut error.detail, DETAIL_BYTES_MAX);
    error
}

fn check_session(request: &OpenSessionRequest) -> Result<(), Error> {
    let wrong = |field: &str, message: String| Err(invalid("SESSION_INVALID", field, message));
    let named = [("worker_id", &request.worker_id), ("incarnation", &request.incarnation)];
    for (field, text) in named {
        if !is_name(text) {
            return wrong(field, format!("has 1 to {NAME_BYTES_MAX} bytes, none of them control"));
        }
    }
    if request.functions.is_empty() || request.functions.len() > NAMES_MAX {
        return wrong("functions", format!("are 1 to {NAMES_MAX}"));
    }
    if request.queues.len() > NAMES_MAX || request.labels.len() > NAMES_MAX {
        return wrong("queues", format!("and labels are at most {NAMES_MAX} each"));
    }
    if request.capacity == 0 || request.capacity > CAPACITY_MAX {
        return wrong("capacity", format!("is 1 to {CAPACITY_MAX}"));
    }
    let functions = request.functions.iter().map(|function| &function.name);
    for name in functions.chain(&request.queues) {
        if !is_name(name) {
            return wrong("functions", format!("and queues have names of 1 to {NAME_BYTES_MAX}"));
        }
    }
    let texts = request.labels.iter().flat_map(|(key, value)| [key, value]);
    let versions = request.functions.iter().map(|function| &function.version);
    for text in texts.chain(versions).chain([&request.host, &request.version]) {
        if text.len() > NAME_BYTES_MAX {
            let message = format!("versions and host have at most {NAME_BYTES_MAX} bytes each");
            return wrong("labels", message);
        }
    }
    Ok(())
}
