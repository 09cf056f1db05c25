//! Asks a mesh whose parts may be away just now.

use std::time::{Duration, Instant};

use planaria_proto::failure_detector::v1::{ListWorkersRequest, Liveness, Worker};
use planaria_proto::monitoring::v1::ListHealingsRequest;
use planaria_proto::types::v1::{Healing, Phase};
use planaria_proto::workflow::v1::{
    GetHistoryRequest, GetWorkflowRequest, HistoryEvent, ListWorkflowsRequest,
    PutDefinitionRequest, Workflow, list_workflows_request,
};
use planaria_sdk::Client;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

use crate::binary::look_again;

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const CALL: Duration = Duration::from_secs(3);

/// The stable reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Calls until there is an answer. Only outages are put up with: a refusal fails the test.
pub(crate) async fn ask<T>(mut call: impl AsyncFnMut() -> Result<Response<T>, Status>) -> T {
    let began = Instant::now();
    loop {
        let problem = match tokio::time::timeout(CALL, call()).await {
            Ok(Ok(answer)) => return answer.into_inner(),
            Ok(Err(status)) if status.code() == Code::Unavailable => status.to_string(),
            Ok(Err(status)) => panic!("refused: {status}"),
            Err(_) => format!("no answer within {CALL:?}"),
        };
        assert!(began.elapsed() < PATIENCE, "away for too long: {problem}");
        look_again().await;
    }
}

/// Looks until there is what is wanted; `what` names it where it never comes.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        look_again().await;
    }
}

pub(crate) async fn put(client: &Client, source: &str) {
    let source = bytes::Bytes::copy_from_slice(source.as_bytes());
    let request = PutDefinitionRequest { source };
    ask(async || client.definition_service().put_definition(request.clone()).await).await;
}

pub(crate) async fn get(client: &Client, workflow_id: &str) -> Workflow {
    let request = GetWorkflowRequest { workflow_id: workflow_id.to_owned() };
    let answer = ask(async || client.workflow_service().get_workflow(request.clone()).await).await;
    answer.workflow.unwrap()
}

/// Waits until a workflow has ended.
pub(crate) async fn ended(client: &Client, workflow_id: &str) -> Workflow {
    until(&format!("{workflow_id} has ended"), async || {
        let workflow = get(client, workflow_id).await;
        workflow.ended_at.is_some().then_some(workflow)
    })
    .await
}

/// How many workflows are in a phase, up to 500.
pub(crate) async fn count(client: &Client, phase: Phase) -> usize {
    let phases = vec![phase.into()];
    let filter = Some(list_workflows_request::Filter { phases, ..Default::default() });
    let request = ListWorkflowsRequest { filter, page_size: 500, ..Default::default() };
    let answer = ask(async || client.workflow_service().list_workflows(request.clone()).await);
    answer.await.workflows.len()
}

/// The whole history of a workflow.
pub(crate) async fn history(client: &Client, workflow_id: &str) -> Vec<HistoryEvent> {
    let mut events: Vec<HistoryEvent> = Vec::new();
    loop {
        let after_seq = events.last().map_or(0, |event| event.seq);
        let workflow_id = workflow_id.to_owned();
        let request = GetHistoryRequest { workflow_id, after_seq, page_size: 0 };
        let page = ask(async || client.workflow_service().get_history(request.clone()).await).await;
        events.extend(page.events);
        if !page.more {
            return events;
        }
    }
}

pub(crate) async fn workers(client: &Client) -> Vec<Worker> {
    let request = ListWorkersRequest::default();
    ask(async || client.failure_detector_service().list_workers(request).await).await.workers
}

/// Waits until a worker is alive and more holds of it.
pub(crate) async fn worker(
    client: &Client,
    id: &str,
    what: &str,
    wanted: impl Fn(&Worker) -> bool,
) -> Worker {
    until(&format!("{id} is alive and {what}"), async || {
        let alive = |worker: &Worker| worker.id == id && worker.liveness() == Liveness::Alive;
        workers(client).await.into_iter().find(|worker| alive(worker) && wanted(worker))
    })
    .await
}

/// All healings, up to 500.
pub(crate) async fn healings(client: &Client) -> Vec<Healing> {
    let request = ListHealingsRequest { page_size: 500, ..Default::default() };
    let answer = ask(async || client.monitoring_service().list_healings(request.clone()).await);
    answer.await.healings
}
