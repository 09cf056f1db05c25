//! `OrchestratorService`: what the other services ask.

use std::time::Duration;

use planaria_proto::orchestrator::v1::apply_retry_decisions_request::Decision;
use planaria_proto::orchestrator::v1::get_statistics_response::PhaseCount;
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::orchestrator::v1::log_record::Body;
use planaria_proto::orchestrator::v1::observe_sessions_request::Observation;
use planaria_proto::orchestrator::v1::observe_sessions_response::Answer;
use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::orchestrator_service_server::OrchestratorService;
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::orchestrator::v1::*;
use planaria_proto::types::v1::Healing;
use planaria_proto::workflow::v1::{HistoryRecord, WorkflowFaulted};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::batches::{Part, with};
use super::route::{Route, Streamed, forwarded, is_forwarded, mark, streamed};
use super::statistics::{add, statistics};
use super::task::session_id;
use super::{Api, MESSAGE_BYTES_MAX, page_size, workflow_id};
use crate::convert::attempt::cause;
use crate::convert::{duration, milliseconds, timestamp};
use crate::engine::{
    Attempted, Command, Handle, RetryDecision, RetryVerdict, VerdictItem, settled,
};
use crate::error::Error;
use crate::log::LogTail;
use crate::store::{LogEntry, Position, Shard, Subject, TaskKey};
use crate::token::parse_attempt_id;

/// How long another orchestrator's counts are waited for.
const STATISTICS_WAIT: Duration = Duration::from_secs(1);

#[tonic::async_trait]
impl OrchestratorService for Api {
    type ReadLogStream = Streamed<ReadLogResponse>;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let shard = Shard(u16::try_from(request.get_ref().shard).unwrap_or(u16::MAX));
        let tail = match self.route_call(shard, &request).await? {
            Route::Here(local) => local.tail,
            Route::There(peer) => {
                let mut client = OrchestratorServiceClient::new(peer.channel.clone())
                    .max_decoding_message_size(MESSAGE_BYTES_MAX);
                let request = forwarded(&request);
                let call = async move { client.read_log(request).await };
                return peer.answer(call).await.map(|there| streamed(there, &self.stop));
            }
        };
        let request = request.into_inner();
        let topics = request.topics().fold(0, |topics, topic| topics | 1 << topic as u32);
        let topics = if topics == 0 { u32::MAX } else { topics };
        let with_gaps = request.with_gaps || request.after.is_none();
        let after = match request.after {
            Some(after) => Position { log: after.log >> 16, seq: after.seq },
            None if request.from_end => tail.last(),
            None => Position::default(),
        };
        let (sender, stream) = mpsc::channel(8);
        let what = Wanted { after, topics, with_gaps };
        tokio::spawn(tell_log((shard, tail), what, sender, self.stop.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn observe_sessions(
        &self,
        request: Request<ObserveSessionsRequest>,
    ) -> Result<Response<ObserveSessionsResponse>, Status> {
        let observations = with(request, |request| request.observations);
        let answers = self.observe_all(observations).await?;
        Ok(Response::new(ObserveSessionsResponse { answers }))
    }

    async fn report_verdicts(
        &self,
        request: Request<ReportVerdictsRequest>,
    ) -> Result<Response<ReportVerdictsResponse>, Status> {
        let verdicts = with(request, |request| request.verdicts);
        self.pronounce_all(verdicts).await?;
        Ok(Response::new(ReportVerdictsResponse {}))
    }

    async fn apply_retry_decisions(
        &self,
        request: Request<ApplyRetryDecisionsRequest>,
    ) -> Result<Response<ApplyRetryDecisionsResponse>, Status> {
        let decisions = with(request, |request| request.decisions);
        let shard_of = |decision: &Decision| {
            Uuid::try_parse(&decision.workflow_id).map_or_else(|_| Shard::default(), Shard::of)
        };
        let answer = async |part: Part, request: Request<Vec<Decision>>| match part {
            Part::Here(engine) => decide(&engine, request.into_inner()).await,
            Part::There(peer) => {
                let mut client = OrchestratorServiceClient::new(peer.channel.clone());
                let request = with(request, |decisions| ApplyRetryDecisionsRequest { decisions });
                let call = async move { client.apply_retry_decisions(request).await };
                Ok(peer.answer(call).await?.into_inner().applied)
            }
        };
        let applied = self.by_shard(decisions, shard_of, answer).await?;
        Ok(Response::new(ApplyRetryDecisionsResponse { applied }))
    }

    async fn get_statistics(
        &self,
        request: Request<GetStatisticsRequest>,
    ) -> Result<Response<GetStatisticsResponse>, Status> {
        let mut answer = self.own_statistics().await?;
        if is_forwarded(&request) {
            return Ok(Response::new(answer));
        }
        for address in self.shards.elsewhere() {
            let mut client = OrchestratorServiceClient::new(self.peers.channel(&address)?);
            let mut request = Request::new(GetStatisticsRequest {});
            request.set_timeout(STATISTICS_WAIT);
            mark(&mut request);
            // Who does not answer has nothing that anybody could see now.
            match client.get_statistics(request).await {
                Ok(theirs) => add(&mut answer, theirs.into_inner()),
                Err(status) => tracing::debug!(address, %status, "statistics are missing"),
            }
        }
        let phases = self.store.phase_counts().await.map_err(Error::from)?;
        let phases =
            phases.into_iter().map(|(phase, count)| PhaseCount { phase: phase.into(), count });
        answer.phases = phases.collect();
        Ok(Response::new(answer))
    }

    async fn list_shards(
        &self,
        _request: Request<ListShardsRequest>,
    ) -> Result<Response<ListShardsResponse>, Status> {
        let mut shards = Vec::new();
        for shard in self.shards.all() {
            shards.push(u32::from(shard.0));
        }
        Ok(Response::new(ListShardsResponse { shards }))
    }

    async fn list_faulted(
        &self,
        request: Request<ListFaultedRequest>,
    ) -> Result<Response<ListFaultedResponse>, Status> {
        let request = request.into_inner();
        let after = match request.after_workflow_id.as_str() {
            "" => Uuid::nil(),
            id => workflow_id(id)?,
        };
        let limit = page_size(request.page_size, 100, 1_000);
        let rows = self.store.faulted(after, limit).await.map_err(Error::from)?;
        let more = rows.len() >= limit as usize;
        let mut workflows = Vec::with_capacity(rows.len());
        for row in rows {
            // What cannot be read is not told; that it faulted is.
            let fault = row.fault.and_then(|fault| WorkflowFaulted::decode(fault).ok());
            let fault = fault.unwrap_or_default();
            workflows.push(Faulted {
                workflow_id: row.id.to_string(),
                definition: Some(super::definition::reference(&row.definition)),
                at: row.ended_at_ms.map(timestamp),
                task: fault.task,
                error: fault.error,
            });
        }
        Ok(Response::new(ListFaultedResponse { workflows, more }))
    }
}

impl Api {
    async fn own_statistics(&self) -> Result<GetStatisticsResponse, Error> {
        let mut all = GetStatisticsResponse::default();
        for local in self.shards.here() {
            let counts = local.engine.ask(Command::Statistics).await?;
            add(&mut all, statistics(*counts, (local.shard, local.tail.last())));
        }
        Ok(all)
    }

    /// Tells the orchestrators that have the sessions what was observed of them.
    async fn observe_all(
        &self,
        observations: Request<Vec<Observation>>,
    ) -> Result<Vec<Answer>, Status> {
        let shard_of = |observation: &Observation| session_shard(&observation.session_id);
        let answer = async |part: Part, request: Request<Vec<Observation>>| match part {
            Part::Here(engine) => self.observe(&engine, request.into_inner()).await,
            Part::There(peer) => {
                let mut client = OrchestratorServiceClient::new(peer.channel.clone())
                    .max_decoding_message_size(MESSAGE_BYTES_MAX);
                let request = with(request, |observations| ObserveSessionsRequest { observations });
                let call = async move { client.observe_sessions(request).await };
                Ok(peer.answer(call).await?.into_inner().answers)
            }
        };
        self.by_shard(observations, shard_of, answer).await
    }

    /// Observations of sessions, and what they say of attempts in other shards: observations of
    /// the workers' lent sessions, each with the place of the one it is taken from. Attempts of a
    /// shard that the worker is not lent to yet are left out: nobody can judge them now.
    fn split(
        &self,
        observations: Vec<Observation>,
    ) -> (Vec<Observation>, Vec<(usize, Observation)>) {
        let mut lent = Vec::new();
        let mut own = observations;
        let several = self.shards.all().len() > 1;
        for (place, observation) in own.iter_mut().enumerate() {
            let Ok(session) = session_id(&observation.session_id) else { continue };
            let home = Shard::of(session);
            for (shard, theirs) in self.lent.of(session) {
                let is_theirs = |id: &String| attempt_shard(id) == Some(shard);
                let ids = &observation.attempt_ids;
                let checkpoints = observation.checkpoints.iter();
                lent.push((
                    place,
                    Observation {
                        session_id: theirs.to_string(),
                        attempt_ids: ids.iter().filter(|id| is_theirs(id)).cloned().collect(),
                        at: observation.at,
                        checkpoints: checkpoints
                            .filter(|told| is_theirs(&told.attempt_id))
                            .cloned()
                            .collect(),
                        draining: observation.draining,
                        worker_id: observation.worker_id.clone(),
                    },
                ));
            }
            if several {
                let is_own = |id: &str| attempt_shard(id).is_none_or(|shard| shard == home);
                observation.attempt_ids.retain(|id| is_own(id));
                observation.checkpoints.retain(|told| is_own(&told.attempt_id));
            }
        }
        (own, lent)
    }

    /// Tells the orchestrators that have the sessions what is pronounced on them.
    pub(crate) async fn pronounce_all(
        &self,
        verdicts: Request<Vec<Verdict>>,
    ) -> Result<(), Status> {
        let shard_of = |verdict: &Verdict| session_shard(&verdict.session_id);
        let answer = async |part: Part, request: Request<Vec<Verdict>>| {
            let count = request.get_ref().len();
            match part {
                Part::Here(engine) => self.pronounce(&engine, request.into_inner()).await?,
                Part::There(peer) => {
                    let mut client = OrchestratorServiceClient::new(peer.channel.clone());
                    let request = with(request, |verdicts| ReportVerdictsRequest { verdicts });
                    peer.answer(async move { client.report_verdicts(request).await }).await?;
                }
            }
            Ok(vec![(); count])
        };
        self.by_shard(verdicts, shard_of, answer).await.map(drop)
    }

    /// Verdicts on sessions of an engine. One on an attempt in another shard is one on the
    /// worker's lent session there.
    async fn pronounce(&self, engine: &Handle, verdicts: Vec<Verdict>) -> Result<(), Status> {
        let (mut own, mut lent) = (Vec::new(), Vec::new());
        for mut verdict in verdicts {
            let session = session_id(&verdict.session_id).unwrap_or_default();
            let shard = attempt_shard(&verdict.attempt_id).unwrap_or_else(|| Shard::of(session));
            let theirs = self.lent.of(session).into_iter().find(|(other, _)| *other == shard);
            match theirs {
                Some((_, theirs)) => {
                    verdict.session_id = theirs.to_string();
                    lent.push(verdict);
                }
                None => own.extend(verdict_item(verdict)),
            }
        }
        engine.send(Command::Verdicts(own)).await?;
        if lent.is_empty() {
            Ok(())
        } else {
            Box::pin(self.pronounce_all(Request::new(lent))).await
        }
    }

    /// Observations of sessions of an engine.
    pub(super) async fn observe(
        &self,
        engine: &Handle,
        observations: Vec<Observation>,
    ) -> Result<Vec<Answer>, Status> {
        let (own, lent) = self.split(observations);
        let seen = own.into_iter().map(|observation| self.attempted(observation));
        let seen: Vec<Attempted> = seen.collect();
        let answers = engine.ask(|reply| Command::Observe(seen, reply)).await?;
        let lease = Some(duration(self.config.lease_ms));
        let answers = answers.into_iter().map(|abandon| match abandon {
            Some(abandon) => Answer { lease, abandon, session_gone: false },
            None => Answer { lease: None, abandon: Vec::new(), session_gone: true },
        });
        let mut answers: Vec<Answer> = answers.collect();
        // A worker's attempts in other shards are theirs to judge; whoever cannot be reached now
        // judges them with the next heartbeat.
        let (places, lent): (Vec<usize>, Vec<Observation>) = lent.into_iter().unzip();
        if !lent.is_empty()
            && let Ok(theirs) = Box::pin(self.observe_all(Request::new(lent))).await
        {
            for (place, theirs) in places.into_iter().zip(theirs) {
                if let Some(answer) = answers.get_mut(place) {
                    answer.abandon.extend(theirs.abandon);
                }
            }
        }
        Ok(answers)
    }

    /// What a worker said, without the checkpoints that are none.
    fn attempted(&self, observation: Observation) -> Attempted {
        let said = observation.checkpoints.iter().filter(|told| !told.progress.is_empty());
        let progress = said.filter_map(|told| {
            let (task, attempt) = parse_attempt_id(&told.attempt_id)?;
            Some((task, attempt, told.progress.clone()))
        });
        let progress = progress.collect();
        let checkpoints = observation.checkpoints.into_iter().filter_map(|told| {
            let (task, attempt) = parse_attempt_id(&told.attempt_id)?;
            Some((task, attempt, self.checkpoint(told.checkpoint).ok()??))
        });
        Attempted {
            // What is no id at all is no session either: nil is none.
            session: session_id(&observation.session_id).unwrap_or_default(),
            worker: observation.worker_id,
            attempts: observation
                .attempt_ids
                .iter()
                .filter_map(|id| parse_attempt_id(id))
                .collect(),
            at_ms: milliseconds(observation.at.as_ref()),
            checkpoints: checkpoints.collect(),
            progress,
            draining: observation.draining,
        }
    }
}

/// What a reader of a log wants.
struct Wanted {
    after: Position,
    topics: u32,
    /// Whether entries may be missing.
    with_gaps: bool,
}

/// Sends a log from a position on, for as long as somebody reads it.
async fn tell_log(
    (shard, tail): (Shard, LogTail),
    Wanted { mut after, topics, with_gaps }: Wanted,
    to_client: mpsc::Sender<Result<ReadLogResponse, Status>>,
    stop: CancellationToken,
) {
    // At once, so that the reader knows where it goes on whenever it breaks off.
    let first = ReadLogResponse { records: Vec::new(), position: Some(position(shard, after)) };
    if to_client.send(Ok(first)).await.is_err() {
        return;
    }
    // A reader that has seen a long stretch without its topics is told where it stands.
    let mut told = after;
    loop {
        let read = tokio::select! {
            read = tail.read(after, topics, with_gaps) => read,
            () = to_client.closed() => return,
            () = stop.cancelled() => return,
        };
        let (entries, last) = match read {
            Ok(read) => read,
            Err(error) => {
                let _ = to_client.send(Err(error.into())).await;
                return;
            }
        };
        after = last;
        if entries.is_empty() && last.log == told.log && last.seq < told.seq + 1_000 {
            continue;
        }
        told = last;
        let records = match records(shard, &entries) {
            Ok(records) => records,
            Err(error) => {
                let _ = to_client.send(Err(error.into())).await;
                return;
            }
        };
        let response = ReadLogResponse { records, position: Some(position(shard, last)) };
        if to_client.send(Ok(response)).await.is_err() {
            return;
        }
    }
}

fn records(shard: Shard, entries: &[std::sync::Arc<LogEntry>]) -> Result<Vec<LogRecord>, Error> {
    let corrupt = |error: prost::DecodeError| Error::Corrupt(error.to_string());
    let mut records = Vec::with_capacity(entries.len());
    for entry in entries {
        let body = match entry.subject {
            Subject::Workflow { id, .. } => {
                let Ok(record) = HistoryRecord::decode(entry.body.clone()) else {
                    // One that is damaged is no reason to keep the others from those who follow.
                    tracing::error!(workflow = %id, "a record cannot be read: it is left out");
                    continue;
                };
                let definition = entry.definition.as_deref().map(super::definition::reference);
                let workflow_id = id.to_string();
                let record = Some(record);
                Body::Workflow(WorkflowRecord { workflow_id, definition, record })
            }
            Subject::Healing => {
                Body::Healing(Healing::decode(entry.body.clone()).map_err(corrupt)?)
            }
            Subject::Session => {
                Body::Session(SessionChange::decode(entry.body.clone()).map_err(corrupt)?)
            }
        };
        records.push(LogRecord {
            position: Some(position(shard, entry.position)),
            namespace: entry
                .definition
                .as_ref()
                .map_or_else(String::new, |key| key.namespace.clone()),
            at: Some(timestamp(entry.at_ms)),
            body: Some(body),
        });
    }
    Ok(records)
}

/// A position outside: the log's number tells the shard too.
pub(super) fn position(shard: Shard, position: Position) -> LogPosition {
    LogPosition { log: position.log << 16 | u64::from(shard.0), seq: position.seq }
}

fn verdict_item(verdict: Verdict) -> Option<VerdictItem> {
    let signal = verdict.signal();
    Some(VerdictItem {
        session: session_id(&verdict.session_id).ok()?,
        worker: verdict.worker_id,
        attempt: parse_attempt_id(&verdict.attempt_id),
        cause: cause(signal),
        signal_at_ms: milliseconds(verdict.signal_at.as_ref()),
        detail: verdict.detail,
    })
}

/// The shard of a session; what is no id at all is a session of no shard.
fn session_shard(id: &str) -> Shard {
    session_id(id).map_or_else(|_| Shard::default(), Shard::of)
}

/// The shard of an attempt's workflow.
fn attempt_shard(id: &str) -> Option<Shard> {
    parse_attempt_id(id).map(|(task, _)| Shard::of(task.workflow))
}

async fn decide(engine: &Handle, decisions: Vec<Decision>) -> Result<Vec<bool>, Status> {
    let mut items = Vec::new();
    let mut answers = Vec::new();
    for decision in decisions {
        let workflow = workflow_id(&decision.workflow_id)?;
        let frame = planaria_kernel::workflow::FrameId(decision.frame);
        let verdict = match (decision.give_up_reason, decision.deferred_until) {
            (reason, _) if !reason.is_empty() => RetryVerdict::GiveUp(reason),
            (_, Some(until)) => RetryVerdict::Deferred { until_ms: milliseconds(Some(&until)) },
            (_, None) => RetryVerdict::Now,
        };
        let task = TaskKey { workflow, frame };
        let item = RetryDecision { task, attempt: decision.attempt, verdict };
        let (reply, answer) = oneshot::channel();
        items.push((item, reply));
        answers.push(answer);
    }
    engine.send(Command::Decide(items)).await?;
    let mut applied = Vec::with_capacity(answers.len());
    for answer in answers {
        applied.push(match settled(answer).await {
            Ok(()) => true,
            Err(error @ (Error::Store(_) | Error::Unavailable)) => return Err(error.into()),
            Err(_) => false,
        });
    }
    Ok(applied)
}
