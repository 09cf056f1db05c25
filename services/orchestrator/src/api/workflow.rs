//! `WorkflowService`.

use std::sync::Arc;

use planaria_kernel::Json;
use planaria_kernel::time::rfc3339;
use planaria_proto::types::v1::{CloudEvent, Phase};
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_proto::workflow::v1::workflow_service_server::WorkflowService;
use planaria_proto::workflow::v1::*;
use planaria_runtime::Identity;
use planaria_runtime::clock::now_ms;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Extensions, Request, Response, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::route::{Route, Streamed, engine_of, forwarded, is_forwarded, is_only_for, streamed};
use super::{Api, MESSAGE_BYTES_MAX, access, invalid, page_size, reason, view, watch};
use crate::convert::{error_to, history, milliseconds};
use crate::engine::{Command, Ended, Signalled, StartRequest, Started, Steering, json_payload};
use crate::error::Error;
use crate::store::{Shard, WorkflowFilter};

/// Longest idempotency key.
const KEY_BYTES_MAX: usize = 128;
/// Most starts in one call.
const STARTS_MAX: usize = 1_000;
/// Items that a watcher may be behind before it is let go.
const WATCH_BEHIND_MAX: usize = 1_024;

#[tonic::async_trait]
impl WorkflowService for Api {
    type WatchWorkflowStream = Streamed<WatchWorkflowResponse>;

    async fn run_workflow(
        &self,
        request: Request<RunWorkflowRequest>,
    ) -> Result<Response<RunWorkflowResponse>, Status> {
        let trace = self.trace_of(request.metadata());
        let caller = Identity::of(&request)?;
        let start = self.prepare(&caller, request.get_ref().start.clone(), trace).await?;
        let existing = self.existing(&start).await?;
        let shard = self.shard_of_start(&start, existing).await?;
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.run_workflow);
        let ended = match existing {
            Some(id) => engine.ask(|reply| Command::Wait(id, reply)).await?,
            None => {
                let start = Box::new(self.admit(start)?);
                engine.ask(|reply| Command::Start(start, Started::End(reply))).await?
            }
        };
        Ok(Response::new(ended_message(ended)))
    }

    async fn start_workflow(
        &self,
        request: Request<StartWorkflowRequest>,
    ) -> Result<Response<StartWorkflowResponse>, Status> {
        let trace = self.trace_of(request.metadata());
        let caller = Identity::of(&request)?;
        let start = self.prepare(&caller, request.get_ref().start.clone(), trace).await?;
        let existing = self.existing(&start).await?;
        let shard = self.shard_of_start(&start, existing).await?;
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.start_workflow);
        let (id, existed) = match existing {
            Some(id) => (id, true),
            None => {
                let start = Box::new(self.admit(start)?);
                engine.ask(|reply| Command::Start(start, Started::Start(reply))).await?
            }
        };
        let workflow_id = id.to_string();
        Ok(Response::new(StartWorkflowResponse { workflow_id, existed }))
    }

    async fn start_workflows(
        &self,
        request: Request<StartWorkflowsRequest>,
    ) -> Result<Response<StartWorkflowsResponse>, Status> {
        let (metadata, extensions, StartWorkflowsRequest { starts }) = request.into_parts();
        if starts.len() > STARTS_MAX {
            let message = format!("has {} starts; at most {STARTS_MAX} are allowed", starts.len());
            return Err(invalid("REQUEST_INVALID", "starts", message).into());
        }
        let start = |start| {
            let request = StartWorkflowRequest { start: Some(start) };
            let request = Request::from_parts(metadata.clone(), extensions.clone(), request);
            self.start_workflow(request)
        };
        let all = starts.into_iter().map(start);
        let outcomes = futures_util::future::join_all(all).await;
        let outcomes = outcomes.into_iter().map(outcome_message).collect();
        Ok(Response::new(StartWorkflowsResponse { outcomes }))
    }

    async fn get_workflow(
        &self,
        request: Request<GetWorkflowRequest>,
    ) -> Result<Response<GetWorkflowResponse>, Status> {
        self.visible(&request, &request.get_ref().workflow_id).await?;
        let workflow = view::workflow(self, &request.into_inner().workflow_id).await?;
        Ok(Response::new(GetWorkflowResponse { workflow: Some(workflow) }))
    }

    async fn list_workflows(
        &self,
        request: Request<ListWorkflowsRequest>,
    ) -> Result<Response<ListWorkflowsResponse>, Status> {
        let caller = Identity::of(&request)?;
        let mut request = request.into_inner();
        let definition = request.filter.get_or_insert_default().definition.get_or_insert_default();
        match access::listed(&caller, std::mem::take(&mut definition.namespace)) {
            Ok(namespace) => definition.namespace = namespace.unwrap_or_default(),
            Err(()) => return Ok(Response::new(ListWorkflowsResponse::default())),
        }
        let filter = self.filter(&request).await?;
        let rows = self.store.workflows(&filter).await.map_err(Error::from)?;
        let next_page_token = match rows.last() {
            Some(last) if rows.len() >= filter.limit as usize => last.id.to_string(),
            _ => String::new(),
        };
        let workflows = view::summaries(self, &rows).await?;
        Ok(Response::new(ListWorkflowsResponse { workflows, next_page_token }))
    }

    async fn watch_workflow(
        &self,
        request: Request<WatchWorkflowRequest>,
    ) -> Result<Response<Self::WatchWorkflowStream>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let row = self.store.workflow_row(id).await.map_err(Error::from)?;
        row.ok_or_else(|| Error::WorkflowNotFound(request.get_ref().workflow_id.clone()))?;
        let engine = match self.route_call(Shard::of(id), &request).await? {
            Route::Here(local) => local.engine,
            Route::There(peer) => {
                let mut client = WorkflowServiceClient::new(peer.channel.clone())
                    .max_decoding_message_size(MESSAGE_BYTES_MAX);
                let request = forwarded(&request);
                let call = async move { client.watch_workflow(request).await };
                return peer.answer(call).await.map(|there| streamed(there, &self.stop));
            }
        };
        let request = request.into_inner();
        let (sender, items) = mpsc::channel(WATCH_BEHIND_MAX);
        engine.ask(|reply| Command::Watch(id, sender, reply)).await?;
        let (to_client, stream) = mpsc::channel(16);
        let watch = watch::Watch { api: self.clone(), id, after: request.after_seq, to_client };
        tokio::spawn(watch.follow(items));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_history(
        &self,
        request: Request<GetHistoryRequest>,
    ) -> Result<Response<GetHistoryResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let request = request.into_inner();
        let limit = page_size(request.page_size, 1_000, 10_000);
        let row = self.store.workflow_row(id).await.map_err(Error::from)?;
        row.ok_or_else(|| Error::WorkflowNotFound(request.workflow_id.clone()))?;
        let records = self
            .store
            .records(id, request.after_seq, limit.saturating_add(2))
            .await
            .map_err(Error::from)?;
        let mut events =
            history::events(&records).map_err(|error| Error::Corrupt(error.to_string()))?;
        events.retain(|event| event.seq > request.after_seq);
        let more = events.len() > limit as usize;
        events.truncate(limit as usize);
        Ok(Response::new(GetHistoryResponse { events, more }))
    }

    async fn suspend_workflow(
        &self,
        request: Request<SuspendWorkflowRequest>,
    ) -> Result<Response<SuspendWorkflowResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.suspend_workflow);
        let steering = Steering::Suspend(reason(request.into_inner().reason));
        let outcome = engine.ask(|reply| Command::Steer(id, steering, reply)).await;
        already(outcome, "suspended")?;
        Ok(Response::new(SuspendWorkflowResponse {}))
    }

    async fn resume_workflow(
        &self,
        request: Request<ResumeWorkflowRequest>,
    ) -> Result<Response<ResumeWorkflowResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.resume_workflow);
        let outcome = engine.ask(|reply| Command::Steer(id, Steering::Resume, reply)).await;
        already(outcome, "running")?;
        Ok(Response::new(ResumeWorkflowResponse {}))
    }

    async fn cancel_workflow(
        &self,
        request: Request<CancelWorkflowRequest>,
    ) -> Result<Response<CancelWorkflowResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.cancel_workflow);
        let steering = Steering::Cancel(reason(request.into_inner().reason));
        let outcome = engine.ask(|reply| Command::Steer(id, steering, reply)).await;
        already(outcome, "cancelled")?;
        Ok(Response::new(CancelWorkflowResponse {}))
    }

    async fn retry_workflow(
        &self,
        request: Request<RetryWorkflowRequest>,
    ) -> Result<Response<RetryWorkflowResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.retry_workflow);
        let steering = Steering::Retry(reason(request.into_inner().reason));
        engine.ask(|reply| Command::Steer(id, steering, reply)).await?;
        Ok(Response::new(RetryWorkflowResponse {}))
    }

    async fn rerun_workflow(
        &self,
        request: Request<RerunWorkflowRequest>,
    ) -> Result<Response<RerunWorkflowResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.rerun_workflow);
        let request = request.into_inner();
        let input = request.input.map(|input| self.json("input", input)).transpose()?;
        let steering = Steering::Rerun(request.task, input);
        engine.ask(|reply| Command::Steer(id, steering, reply)).await?;
        Ok(Response::new(RerunWorkflowResponse {}))
    }

    async fn skip_task(
        &self,
        request: Request<SkipTaskRequest>,
    ) -> Result<Response<SkipTaskResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.skip_task);
        let request = request.into_inner();
        let output = request.output.map(|output| self.json("output", output)).transpose()?;
        let steering =
            Steering::Skip { task: request.task, output, reason: reason(request.reason) };
        engine.ask(|reply| Command::Steer(id, steering, reply)).await?;
        Ok(Response::new(SkipTaskResponse {}))
    }

    async fn signal_workflow(
        &self,
        request: Request<SignalWorkflowRequest>,
    ) -> Result<Response<SignalWorkflowResponse>, Status> {
        let id = self.visible(&request, &request.get_ref().workflow_id).await?;
        let shard = Shard::of(id);
        let engine = engine_of!(self, shard, request, WorkflowServiceClient.signal_workflow);
        let event = self.event(request.into_inner().event)?;
        let consumed = engine.ask(|reply| Command::Signal(id, event, reply)).await?;
        Ok(Response::new(SignalWorkflowResponse { consumed }))
    }

    async fn publish_event(
        &self,
        request: Request<PublishEventRequest>,
    ) -> Result<Response<PublishEventResponse>, Status> {
        let caller = Identity::of(&request)?;
        let mut event = self.event(request.get_ref().event.clone())?;
        event.namespace =
            is_only_for(&request).or_else(|| caller.only_namespace().map(str::to_owned));
        let mut consumers = 0;
        for local in self.shards.here() {
            let event = event.clone();
            consumers += local.engine.ask(|reply| Command::Publish(event, reply)).await?;
        }
        if is_forwarded(&request) {
            return Ok(Response::new(PublishEventResponse { consumers }));
        }
        // The id makes the same event of it everywhere, also when this call is repeated.
        let (metadata, _, mut message) = request.into_parts();
        message.event.get_or_insert_default().id = event.id;
        for address in self.shards.elsewhere() {
            let request =
                Request::from_parts(metadata.clone(), Extensions::default(), message.clone());
            let mut client = WorkflowServiceClient::new(self.peers.channel(&address)?);
            let answer = client.publish_event(forwarded(&request)).await?;
            consumers += answer.into_inner().consumers;
        }
        Ok(Response::new(PublishEventResponse { consumers }))
    }
}

impl Api {
    /// Where a start belongs: with the workflow that its key has started; else where its key
    /// leads everybody, so that two starts with one key meet; without a key, here.
    async fn shard_of_start(
        &self,
        start: &StartRequest,
        existing: Option<Uuid>,
    ) -> Result<Shard, Error> {
        match (existing, &start.idempotency_key) {
            (Some(id), _) => Ok(Shard::of(id)),
            (None, Some(key)) => self.shards.of_name(key).await,
            (None, None) => Ok(self.shards.any().await?.shard),
        }
    }

    /// Checks a start and finds its definition.
    async fn prepare(
        &self,
        caller: &Identity,
        start: Option<WorkflowStart>,
        trace_parent: Option<Arc<str>>,
    ) -> Result<StartRequest, Error> {
        let start = start.unwrap_or_default();
        let key = (!start.idempotency_key.is_empty()).then_some(start.idempotency_key);
        let is_key = |key: &String| key.len() <= KEY_BYTES_MAX && !key.contains(char::is_control);
        if key.as_ref().is_some_and(|key| !is_key(key)) {
            let message = format!("has more than {KEY_BYTES_MAX} bytes, or control characters");
            return Err(invalid("REQUEST_INVALID", "start.idempotency_key", message));
        }
        let named = start.definition.as_ref().is_some_and(|reference| !reference.name.is_empty());
        if !named {
            let message = "names no definition: give namespace and name";
            return Err(invalid("REQUEST_INVALID", "start.definition", message));
        }
        let wanted = access::reference(caller, start.definition)?;
        let definition = self.definitions.resolve(wanted).await?;
        // Keys of different namespaces never meet.
        let key = key.map(|key| format!("{}/{key}", definition.key.namespace));
        let input = match start.input {
            Some(input) => self.json("start.input", input)?,
            None => Json::EMPTY_OBJECT,
        };
        let digest = key.as_ref().map(|_| {
            let mut digest = Sha256::new();
            digest.update(definition.row.digest.as_bytes());
            // The same document however it is laid out.
            let mut document = input.to_value();
            document.sort_all_objects();
            digest.update(document.to_string());
            digest.finalize().to_vec()
        });
        Ok(StartRequest {
            definition,
            input,
            idempotency_key: key,
            digest,
            trace_parent,
            place: None,
        })
    }

    /// A start that has found room to wait for its commit.
    fn admit(&self, start: StartRequest) -> Result<StartRequest, Error> {
        let place = self.intake.admit(start.input.len())?;
        Ok(StartRequest { place: Some(place), ..start })
    }

    /// The workflow that the key of a start has started before.
    async fn existing(&self, start: &StartRequest) -> Result<Option<Uuid>, Error> {
        let Some(key) = &start.idempotency_key else { return Ok(None) };
        match self.store.workflow_by_key(key).await? {
            None => Ok(None),
            Some(row) if row.start_digest == start.digest => Ok(Some(row.id)),
            Some(row) => Err(Error::IdempotencyKeyReused { key: key.clone(), id: row.id }),
        }
    }

    async fn filter(&self, request: &ListWorkflowsRequest) -> Result<WorkflowFilter, Error> {
        let wanted = request.filter.clone().unwrap_or_default();
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(Uuid::try_parse(token).map_err(|_| {
                let message = "is not a token of an earlier answer";
                invalid("PAGE_TOKEN_INVALID", "page_token", message)
            })?),
        };
        let waiting_beyond = if wanted.waiting_for_worker {
            Some(self.functions().await?.into_iter().collect())
        } else {
            None
        };
        let definition = wanted.definition.clone().unwrap_or_default();
        let text = |text: String| (!text.is_empty()).then_some(text);
        Ok(WorkflowFilter {
            phases: wanted.phases().filter(|phase| *phase != Phase::Unspecified).collect(),
            namespace: text(definition.namespace),
            name: text(definition.name),
            version: text(definition.version),
            started_after_ms: wanted.started_after.as_ref().map(|at| milliseconds(Some(at))),
            started_before_ms: wanted.started_before.as_ref().map(|at| milliseconds(Some(at))),
            retrying: wanted.retrying,
            frozen: wanted.frozen,
            waiting_beyond,
            before,
            limit: page_size(request.page_size, 100, 500),
        })
    }

    /// Checks an event, and fills in what it lacks.
    fn event(&self, event: Option<CloudEvent>) -> Result<Signalled, Error> {
        let event = event.unwrap_or_default();
        if event.r#type.is_empty() {
            return Err(invalid("EVENT_INVALID", "event.type", "is empty: events have a type"));
        }
        let data = if event.data.is_empty() {
            Value::Null
        } else {
            // The event goes around it.
            let levels = Json::EVENT_DEPTH_MAX - 1;
            let data = self.json_within(levels, "event.data", event.data);
            let data = data.map_err(|error| match error {
                Error::Invalid { field, message, .. } => {
                    Error::Invalid { reason: "EVENT_INVALID", field, message }
                }
                other => other,
            })?;
            data.to_value()
        };
        let or = |text: String, default: String| if text.is_empty() { default } else { text };
        let id = or(event.id, Uuid::now_v7().to_string());
        let time = event.time.as_ref().map_or_else(now_ms, |time| milliseconds(Some(time)));
        let mut members: Map<String, Value> =
            event.extensions.into_iter().map(|(key, text)| (key, Value::from(text))).collect();
        let texts = [
            ("specversion", or(event.spec_version, "1.0".to_owned())),
            ("id", id.clone()),
            ("source", or(event.source, "/planaria/clients".to_owned())),
            ("type", event.r#type.clone()),
            ("time", rfc3339(time)),
            ("subject", event.subject),
            ("datacontenttype", event.data_content_type),
            ("dataschema", event.data_schema),
        ];
        for (key, text) in texts {
            if !text.is_empty() {
                members.insert(key.to_owned(), Value::from(text));
            }
        }
        members.insert("data".to_owned(), data);
        let event_json = Json::from_value(&Value::Object(members));
        let (have, most) = (event_json.len(), self.config.payload_bytes_max);
        if have > most {
            return Err(Error::PayloadTooLarge { field: "event", have, most });
        }
        Ok(Signalled { id, kind: event.r#type, event: event_json, namespace: None })
    }
}

/// What is so already needs no change.
fn already(outcome: Result<(), Error>, phase: &str) -> Result<(), Error> {
    match outcome {
        Err(Error::PhaseInvalid(now)) if now == phase => Ok(()),
        other => other,
    }
}

fn ended_message(ended: Ended) -> RunWorkflowResponse {
    RunWorkflowResponse {
        workflow_id: ended.id.to_string(),
        phase: ended.phase.into(),
        output: ended.output.map(|output| json_payload(output.into_bytes())),
        error: ended.error.as_ref().map(error_to),
    }
}

fn outcome_message(
    outcome: Result<Response<StartWorkflowResponse>, Status>,
) -> start_workflows_response::Outcome {
    match outcome.map(Response::into_inner) {
        Ok(StartWorkflowResponse { workflow_id, existed }) => start_workflows_response::Outcome {
            workflow_id,
            existed,
            ..start_workflows_response::Outcome::default()
        },
        Err(status) => {
            let info = status.get_details_error_info();
            start_workflows_response::Outcome {
                error_reason: info.map_or_else(String::new, |info| info.reason),
                error_message: status.message().to_owned(),
                ..start_workflows_response::Outcome::default()
            }
        }
    }
}
