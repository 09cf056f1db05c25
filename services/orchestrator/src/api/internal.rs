//! `OrchestratorService`: what the other services ask.

use planaria_proto::orchestrator::v1::get_statistics_response::{PhaseCount, WaitingFunction};
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::orchestrator::v1::log_record::Body;
use planaria_proto::orchestrator::v1::observe_sessions_request::Observation;
use planaria_proto::orchestrator::v1::observe_sessions_response::Answer;
use planaria_proto::orchestrator::v1::orchestrator_service_server::OrchestratorService;
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::orchestrator::v1::*;
use planaria_proto::types::v1::Healing;
use planaria_proto::workflow::v1::{HistoryRecord, WorkflowFaulted};
use planaria_runtime::clock::now_ms;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::task::session_id;
use super::{Api, page_size, workflow_id};
use crate::convert::attempt::cause;
use crate::convert::{duration, milliseconds, timestamp};
use crate::engine::{Attempted, Command, RetryDecision, RetryVerdict, VerdictItem, settled};
use crate::error::Error;
use crate::store::{LogEntry, Position, Subject, TaskKey};
use crate::token::parse_attempt_id;

#[tonic::async_trait]
impl OrchestratorService for Api {
    type ReadLogStream = ReceiverStream<Result<ReadLogResponse, Status>>;

    async fn read_log(
        &self,
        request: Request<ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        let topics = request.topics().fold(0, |topics, topic| topics | 1 << topic as u32);
        let topics = if topics == 0 { u32::MAX } else { topics };
        let after = match request.after {
            Some(after) => Position { log: after.log, seq: after.seq },
            None if request.from_end => self.tail.last(),
            None => Position::default(),
        };
        let (sender, stream) = mpsc::channel(8);
        tokio::spawn(self.clone().tell_log(after, topics, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn observe_sessions(
        &self,
        request: Request<ObserveSessionsRequest>,
    ) -> Result<Response<ObserveSessionsResponse>, Status> {
        let observations = request.into_inner().observations;
        let seen = observations.into_iter().map(|observation| self.attempted(observation));
        let seen: Vec<Attempted> = seen.collect();
        let answers = self.engine.ask(|reply| Command::Observe(seen, reply)).await?;
        let lease = Some(duration(self.config.lease_ms));
        let answers = answers.into_iter().map(|abandon| match abandon {
            Some(abandon) => Answer { lease, abandon, session_gone: false },
            None => Answer { lease: None, abandon: Vec::new(), session_gone: true },
        });
        Ok(Response::new(ObserveSessionsResponse { answers: answers.collect() }))
    }

    async fn report_verdicts(
        &self,
        request: Request<ReportVerdictsRequest>,
    ) -> Result<Response<ReportVerdictsResponse>, Status> {
        let verdicts = request.into_inner().verdicts.into_iter();
        let verdicts = verdicts.filter_map(verdict_item).collect();
        self.engine.send(Command::Verdicts(verdicts)).await?;
        Ok(Response::new(ReportVerdictsResponse {}))
    }

    async fn apply_retry_decisions(
        &self,
        request: Request<ApplyRetryDecisionsRequest>,
    ) -> Result<Response<ApplyRetryDecisionsResponse>, Status> {
        let mut items = Vec::new();
        let mut answers = Vec::new();
        for decision in request.into_inner().decisions {
            let workflow = workflow_id(&decision.workflow_id)?;
            let frame = planaria_kernel::workflow::FrameId(decision.frame);
            let verdict = match (decision.give_up_reason, decision.deferred_until) {
                (reason, _) if !reason.is_empty() => RetryVerdict::GiveUp(reason),
                (_, Some(until)) => RetryVerdict::Deferred { until_ms: milliseconds(Some(&until)) },
                (_, None) => RetryVerdict::Now,
            };
            let item = RetryDecision {
                task: TaskKey { workflow, frame },
                attempt: decision.attempt,
                verdict,
            };
            let (reply, answer) = oneshot::channel();
            items.push((item, reply));
            answers.push(answer);
        }
        self.engine.send(Command::Decide(items)).await?;
        let mut applied = Vec::with_capacity(answers.len());
        for answer in answers {
            applied.push(match settled(answer).await {
                Ok(()) => true,
                Err(error @ (Error::Store(_) | Error::Unavailable)) => return Err(error.into()),
                Err(_) => false,
            });
        }
        Ok(Response::new(ApplyRetryDecisionsResponse { applied }))
    }

    async fn get_statistics(
        &self,
        _request: Request<GetStatisticsRequest>,
    ) -> Result<Response<GetStatisticsResponse>, Status> {
        let counts = self.engine.ask(Command::Statistics).await?;
        let phases = self.store.phase_counts().await.map_err(Error::from)?;
        let phases =
            phases.into_iter().map(|(phase, count)| PhaseCount { phase: phase.into(), count });
        let waiting = counts.waiting.into_iter();
        let waiting = waiting.map(|(queue, function, count, has_worker)| WaitingFunction {
            function,
            queue,
            count,
            has_worker,
        });
        let age = |since_ms| duration(now_ms().saturating_sub(since_ms));
        Ok(Response::new(GetStatisticsResponse {
            phases: phases.collect(),
            tasks_queued: counts.queued,
            tasks_running: counts.running,
            tasks_retrying: counts.retrying,
            sessions: counts.sessions,
            capacity: counts.capacity,
            workflows_started: counts.started,
            workflows_completed: counts.completed,
            workflows_faulted: counts.faulted,
            workflows_cancelled: counts.cancelled,
            oldest_queued: counts.oldest_queued_ms.map(age),
            waiting: waiting.collect(),
            log_end: Some(position(self.tail.last())),
        }))
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
        let limit = page_size(request.page_size, 100, 500);
        let rows = self.store.faulted(after, limit).await.map_err(Error::from)?;
        let mut workflows = Vec::with_capacity(rows.len());
        for row in rows {
            let fault = row.fault.map(WorkflowFaulted::decode).transpose();
            let fault = fault.map_err(|error| Error::Corrupt(error.to_string()))?;
            let fault = fault.unwrap_or_default();
            workflows.push(Faulted {
                workflow_id: row.id.to_string(),
                definition: Some(super::definition::reference(&row.definition)),
                at: row.ended_at_ms.map(timestamp),
                task: fault.task,
                error: fault.error,
            });
        }
        Ok(Response::new(ListFaultedResponse { workflows }))
    }
}

impl Api {
    async fn tell_log(
        self,
        mut after: Position,
        topics: u32,
        to_client: mpsc::Sender<Result<ReadLogResponse, Status>>,
    ) {
        // At once, so that the reader knows where it goes on whenever it breaks off.
        let first = ReadLogResponse { records: Vec::new(), position: Some(position(after)) };
        if to_client.send(Ok(first)).await.is_err() {
            return;
        }
        // A reader that has seen a long stretch without its topics is told where it stands.
        let mut told = after;
        loop {
            let read = tokio::select! {
                read = self.tail.read(after, topics) => read,
                () = to_client.closed() => return,
                () = self.stop.cancelled() => return,
            };
            let (entries, last) = match read {
                Ok(read) => read,
                Err(error) => {
                    let _ = to_client.send(Err(Error::from(error).into())).await;
                    return;
                }
            };
            after = last;
            if entries.is_empty() && last.log == told.log && last.seq < told.seq + 1_000 {
                continue;
            }
            told = last;
            let records = match Self::records(&entries) {
                Ok(records) => records,
                Err(error) => {
                    let _ = to_client.send(Err(error.into())).await;
                    return;
                }
            };
            let response = ReadLogResponse { records, position: Some(position(last)) };
            if to_client.send(Ok(response)).await.is_err() {
                return;
            }
        }
    }

    /// What a worker said, without the checkpoints that are none.
    fn attempted(&self, observation: Observation) -> Attempted {
        let checkpoints = observation.checkpoints.into_iter().filter_map(|told| {
            let (task, attempt) = parse_attempt_id(&told.attempt_id)?;
            Some((task, attempt, self.checkpoint(told.checkpoint).ok()??))
        });
        Attempted {
            // What is no id at all is no session either: nil is none.
            session: session_id(&observation.session_id).unwrap_or_default(),
            attempts: observation
                .attempt_ids
                .iter()
                .filter_map(|id| parse_attempt_id(id))
                .collect(),
            at_ms: milliseconds(observation.at.as_ref()),
            checkpoints: checkpoints.collect(),
            draining: observation.draining,
        }
    }

    fn records(entries: &[std::sync::Arc<LogEntry>]) -> Result<Vec<LogRecord>, Error> {
        let corrupt = |error: prost::DecodeError| Error::Corrupt(error.to_string());
        let mut records = Vec::with_capacity(entries.len());
        for entry in entries {
            let body = match entry.subject {
                Subject::Workflow { id, .. } => {
                    let record = HistoryRecord::decode(entry.body.clone()).map_err(corrupt)?;
                    let definition = entry.definition.as_deref();
                    let definition = definition.map(super::definition::reference);
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
                position: Some(position(entry.position)),
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
}

const fn position(position: Position) -> LogPosition {
    LogPosition { log: position.log, seq: position.seq }
}

fn verdict_item(verdict: Verdict) -> Option<VerdictItem> {
    let signal = verdict.signal();
    Some(VerdictItem {
        session: session_id(&verdict.session_id).ok()?,
        attempt: parse_attempt_id(&verdict.attempt_id),
        cause: cause(signal),
        signal_at_ms: milliseconds(verdict.signal_at.as_ref()),
        detail: verdict.detail,
    })
}
