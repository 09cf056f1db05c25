//! Doing something to many workflows: first they are counted, then it is done, a few at once.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::{
    CancelWorkflowRequest, ListWorkflowsRequest, ResumeWorkflowRequest, RetryWorkflowRequest,
    SuspendWorkflowRequest,
};
use planaria_view::workflows::{Bulk, WorkflowFilter};
use tonic::Status;

use crate::clock::now_ms;
use crate::mesh::{self, Failure};

/// Calls at once.
const AT_ONCE: usize = 4;
const PAGE: u32 = 500;

/// Ids of the workflows that fit and whose phase allows it. `told` hears how many were found, and
/// says whether to go on.
pub(super) async fn count(
    bulk: Bulk,
    filter: WorkflowFilter,
    told: impl Fn(usize) -> bool,
) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    let phases = bulk.of(&filter.phases);
    if phases.is_empty() {
        return Ok(ids);
    }
    // One moment for all pages: the last hour does not move while it is counted.
    let asked = WorkflowFilter { phases, ..filter.clone() }.request(now_ms());
    let mut page_token = String::new();
    loop {
        let request = ListWorkflowsRequest {
            filter: Some(asked.clone()),
            page_size: PAGE,
            page_token: page_token.clone(),
        };
        let answer = mesh::workflows().list_workflows(request).await?.into_inner();
        let fit = answer.workflows.iter().filter(|workflow| filter.text_holds(workflow));
        ids.extend(fit.map(|workflow| workflow.id.clone()));
        page_token = answer.next_page_token;
        if !told(ids.len()) || page_token.is_empty() {
            return Ok(ids);
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) done: usize,
    pub(super) failed: usize,
    /// Why calls failed: how many, and one of them.
    pub(super) failures: BTreeMap<String, (usize, String)>,
}

/// Does it to each. `told` hears what came of it so far, and says whether to go on.
pub(super) async fn perform(
    bulk: Bulk,
    ids: Vec<String>,
    reason: String,
    told: impl Fn(&Outcome) -> bool,
) {
    let calls = ids.into_iter().map(|id| {
        let reason = reason.clone();
        async move {
            let answer = call(bulk, id.clone(), reason).await;
            (id, answer)
        }
    });
    let mut answers = stream::iter(calls).buffer_unordered(AT_ONCE);
    let mut outcome = Outcome::default();
    while let Some((id, answer)) = answers.next().await {
        match answer {
            Ok(()) => outcome.done += 1,
            Err(status) => {
                outcome.failed += 1;
                let failure = Failure::from(status);
                let why = match failure.reason.as_str() {
                    "" => failure.message,
                    // The message names the workflow; its reason brings the same ones together.
                    reason => reason.to_owned(),
                };
                outcome.failures.entry(why).or_insert((0, id)).0 += 1;
            }
        }
        if !told(&outcome) {
            break;
        }
    }
}

async fn call(bulk: Bulk, workflow_id: String, reason: String) -> Result<(), Status> {
    let mut workflows = mesh::workflows();
    match bulk {
        Bulk::Suspend => {
            let request = SuspendWorkflowRequest { workflow_id, reason };
            workflows.suspend_workflow(request).await.map(|_| ())
        }
        Bulk::Resume => {
            let request = ResumeWorkflowRequest { workflow_id };
            workflows.resume_workflow(request).await.map(|_| ())
        }
        Bulk::Cancel => {
            let request = CancelWorkflowRequest { workflow_id, reason };
            workflows.cancel_workflow(request).await.map(|_| ())
        }
        Bulk::Retry => {
            let request = RetryWorkflowRequest { workflow_id, reason };
            workflows.retry_workflow(request).await.map(|_| ())
        }
    }
}

/// Whether the phase of a workflow allows it.
pub(super) fn allows(bulk: Bulk, phase: i32) -> bool {
    Phase::try_from(phase).is_ok_and(|phase| bulk.phases().contains(&phase))
}
