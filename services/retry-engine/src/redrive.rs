//! Redriving: the workflow of a dead letter goes on from its fault.

use futures_util::{StreamExt, stream};
use planaria_proto::retry::v1::DeadLetterState;
use planaria_proto::retry::v1::redrive_dead_letters_response::Outcome;
use planaria_runtime::clock;
use tonic::Code;

use crate::config::Config;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::Orchestrator;
use crate::records::DeadLetter;

const REASON: &str = "redrive of dead letter ";

/// What the workflow's history says of the redrive; the log brings it back.
pub(crate) fn reason(dead_letter: &str) -> String {
    format!("{REASON}{dead_letter}")
}

/// Whether a workflow went on for a redrive.
pub(crate) fn is_redrive(reason: &str) -> bool {
    reason.starts_with(REASON)
}

/// Redrives each; an unknown id fails the call before anything is done.
pub(crate) async fn redrive_all(
    ledger: &Ledger,
    orchestrator: &Orchestrator,
    config: &Config,
    ids: Vec<String>,
) -> Result<Vec<Outcome>, Error> {
    if ids.len() > config.redrive_max {
        return Err(Error::TooMany { given: ids.len(), max: config.redrive_max });
    }
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let letter = ledger.store.dead_letter(&id).await?;
        letters.push(letter.ok_or(Error::DeadLetterNotFound(id))?);
    }
    let outcomes: Vec<_> = stream::iter(letters)
        .map(|letter| redrive(ledger, orchestrator, letter))
        .buffered(config.redrive_concurrency_max.max(1))
        .collect()
        .await;
    ledger.count().await?;
    outcomes.into_iter().collect()
}

async fn redrive(
    ledger: &Ledger,
    orchestrator: &Orchestrator,
    letter: DeadLetter,
) -> Result<Outcome, Error> {
    let refused = |id, detail: &str| Outcome { id, redriven: false, detail: detail.to_owned() };
    match letter.state {
        DeadLetterState::Redriven => return Ok(refused(letter.id, "it was redriven before")),
        DeadLetterState::Resolved => {
            return Ok(refused(letter.id, "its workflow is not faulted any more"));
        }
        DeadLetterState::Open | DeadLetterState::Unspecified => {}
    }
    let settle = |state| ledger.store.settle(&letter.id, state, clock::now_ms());
    match orchestrator.retry_workflow(&letter.workflow, &reason(&letter.id)).await {
        Ok(()) => {
            settle(DeadLetterState::Redriven).await?;
            tracing::info!(dead_letter = letter.id, workflow = letter.workflow, "redriven");
            Ok(Outcome { id: letter.id, redriven: true, detail: String::new() })
        }
        Err(status) if status.code() == Code::FailedPrecondition => {
            settle(DeadLetterState::Resolved).await?;
            Ok(refused(letter.id, "its workflow is not faulted any more"))
        }
        Err(status) if status.code() == Code::NotFound => {
            settle(DeadLetterState::Resolved).await?;
            Ok(refused(letter.id, "its workflow does not exist any more"))
        }
        Err(status) => {
            let detail = format!("the orchestrator did not take it: {}", status.message());
            Ok(refused(letter.id, &detail))
        }
    }
}
