//! Reports how attempts ended, until the engine has acknowledged it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use planaria_proto::task::v1::report_results_response::Verdict;
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::task::v1::{
    Acceptance, Assignment, ReportResultsRequest, Result as TaskResult,
};
use prost::Message;
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::{Code, Request, Status};

use super::core::{Core, Ended, Session};
use super::session::is_gone;
use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::error::has_reason;
use crate::task_error::RUNTIME;
use crate::{TaskError, error};

/// While one report is being committed the next may travel.
const REPORTS_IN_FLIGHT_MAX: usize = 2;
const RESULTS_MAX: usize = 256;
/// Of one report, unless a single result is larger.
const REPORT_BYTES_MAX: usize = 2 * 1024 * 1024;
const REPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reports what comes in: a batch is what ended while earlier reports were under way.
pub(crate) async fn run(
    core: Arc<Core>,
    client: TaskServiceClient<Channel>,
    mut ended: UnboundedReceiver<Ended>,
) {
    let mut in_flight = FuturesUnordered::new();
    let mut batch = Vec::new();
    loop {
        let room = in_flight.len() < REPORTS_IN_FLIGHT_MAX;
        tokio::select! {
            Some(()) = in_flight.next() => {}
            count = ended.recv_many(&mut batch, RESULTS_MAX), if room => {
                if count == 0 {
                    return;
                }
                // Functions that are about to end do so now, and share the report.
                tokio::task::yield_now().await;
                while batch.len() < RESULTS_MAX && let Ok(more) = ended.try_recv() {
                    batch.push(more);
                }
                let batch = std::mem::take(&mut batch);
                in_flight.push(deliver(&core, client.clone(), batch));
            }
        }
    }
}

async fn deliver(core: &Core, mut client: TaskServiceClient<Channel>, batch: Vec<Ended>) {
    let mut waiting = split(batch);
    let mut backoff = Backoff::for_calls();
    while let Some(mut part) = waiting.pop() {
        // Whatever was abandoned meanwhile is nobody's business any more.
        part.retain(|ended| core.inventory.holds(&ended.attempt));
        let Some(first) = part.first() else { continue };
        let session_id = first.attempt.session_id.to_string();
        let results = part.iter().map(to_result).collect();
        let mut request = Request::new(ReportResultsRequest { session_id, results });
        request.set_timeout(REPORT_TIMEOUT);
        if let Some(session) = session_of(core, &first.attempt.session_id) {
            session.to_its_replica(&mut request);
        }
        match client.report_results(request).await {
            Ok(answer) => {
                backoff.worked();
                let verdicts = answer.into_inner().verdicts;
                waiting.extend(settle(core, part, verdicts));
            }
            Err(status) if is_gone(&status) => {
                if let Some(session) = session_of(core, &first.attempt.session_id) {
                    session.gone.cancel();
                }
                core.inventory.settle(part.iter().map(|ended| &ended.attempt));
            }
            Err(status) if is_refused(&status) => {
                waiting.extend(refused(core, part, status.message()));
            }
            Err(status) => {
                tracing::debug!(%status, results = part.len(), "report not acknowledged");
                part.iter_mut().for_each(|ended| ended.sent = true);
                waiting.push(part);
                backoff.wait().await;
            }
        }
    }
}

/// The session, if it is still the worker's.
fn session_of(core: &Core, id: &str) -> Option<Arc<Session>> {
    core.session.borrow().clone().filter(|session| *session.id == *id)
}

/// Parts that fit into a message each.
fn split(batch: Vec<Ended>) -> Vec<Vec<Ended>> {
    let mut parts = Vec::with_capacity(1);
    let mut part = Vec::with_capacity(batch.len());
    let mut bytes = 0;
    for ended in batch {
        let size = to_result(&ended).encoded_len();
        if !part.is_empty() && bytes + size > REPORT_BYTES_MAX {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(ended);
    }
    parts.push(part);
    parts
}

/// Cheap: tokens and payloads are shared, not copied.
fn to_result(ended: &Ended) -> TaskResult {
    let token = ended.attempt.assignment.token.clone();
    TaskResult { token, outcome: Some(ended.outcome.clone()) }
}

/// Forgets what was judged; what was not, or must be said differently, is to be reported again.
fn settle(core: &Core, part: Vec<Ended>, verdicts: Vec<Verdict>) -> Option<Vec<Ended>> {
    let mut again = Vec::new();
    let mut settled = Vec::with_capacity(part.len());
    let mut verdicts = verdicts.into_iter();
    for ended in part {
        let Some(verdict) = verdicts.next() else {
            again.push(ended);
            continue;
        };
        let attempt_id = ended.attempt.id();
        if ended.sent {
            tell_again(&ended, verdict.acceptance());
        }
        match verdict.acceptance() {
            Acceptance::Accepted => {}
            Acceptance::Rejected if !matches!(ended.outcome, Outcome::Failure(_)) => {
                again.push(unfit(ended, &verdict.detail));
                continue;
            }
            Acceptance::Stale => {
                tracing::info!(attempt_id, detail = verdict.detail, "the result came too late");
            }
            Acceptance::Unspecified | Acceptance::TokenInvalid | Acceptance::Rejected => {
                tracing::warn!(attempt_id, detail = verdict.detail, "the result was refused");
            }
        }
        settled.push(ended.attempt);
    }
    core.inventory.settle(settled.iter());
    (!again.is_empty()).then_some(again)
}

/// What the engine says to a result that it may have taken before is for those who check it.
fn tell_again(ended: &Ended, acceptance: Acceptance) {
    let Assignment { workflow_id: workflow, task, attempt, idempotency_key: key, .. } =
        &ended.attempt.assignment;
    let released = matches!(ended.outcome, Outcome::Release(_));
    let acceptance = acceptance.as_str_name();
    tracing::debug!(workflow, task, key, attempt, released, acceptance, "reported again");
}

/// The report as a whole was refused: each result is tried alone, so that the bad one falls out.
fn refused(core: &Core, mut part: Vec<Ended>, detail: &str) -> Vec<Vec<Ended>> {
    if part.len() > 1 {
        return part.into_iter().map(|ended| vec![ended]).collect();
    }
    match part.pop() {
        Some(ended) if !matches!(ended.outcome, Outcome::Failure(_)) => {
            vec![vec![unfit(ended, detail)]]
        }
        Some(ended) => {
            // The engine finds that the attempt is not in the inventory and runs it again.
            tracing::error!(attempt_id = ended.attempt.id(), detail, "not even a failure is taken");
            core.inventory.settle([&ended.attempt].into_iter());
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// An outcome that the engine does not take becomes a failure that says so.
fn unfit(ended: Ended, detail: &str) -> Ended {
    let error = TaskError::permanent(detail)
        .with_type(RUNTIME)
        .with_title("The engine did not take the function's output");
    Ended { outcome: Outcome::Failure(error.into_failure()), ..ended }
}

fn is_refused(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::OutOfRange)
        || has_reason(status, error::PAYLOAD_TOO_LARGE)
}
