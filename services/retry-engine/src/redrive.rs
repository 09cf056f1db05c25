//! Redriving: the workflow of a dead letter goes on from its fault, once.
//!
//! Before the orchestrator is asked, the dead letter is noted as in doubt. One that is found so
//! was asked for by somebody who did not live to see the answer: its workflow's history tells.

use futures_util::{StreamExt, stream};
use planaria_proto::retry::v1::DeadLetterState;
use planaria_proto::retry::v1::redrive_dead_letters_response::Outcome;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_runtime::clock;
use tonic::{Code, Status};

use crate::config::Config;
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::Orchestrator;
use crate::records::DeadLetter;

const REASON: &str = "redrive of dead letter ";
/// Events asked for at once.
const PAGE: u32 = 1_000;

/// What the workflow's history says of the redrive; the log brings it back.
pub(crate) fn reason(dead_letter: &str) -> String {
    format!("{REASON}{dead_letter}")
}

/// Whether a workflow went on for a redrive.
pub(crate) fn is_redrive(reason: &str) -> bool {
    reason.starts_with(REASON)
}

/// What became of a dead letter that was to be redriven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redriven {
    /// Its workflow goes on.
    Done,
    /// There is nothing to redrive, for this reason.
    Refused(&'static str),
    /// The orchestrator did not take it: it may later.
    NotNow(String),
}

/// Redrives each; an unknown id fails the call before anything is done.
pub(crate) async fn redrive_all(
    ledger: &Ledger,
    orchestrator: &Orchestrator,
    config: &Config,
    (ids, input): (Vec<String>, Option<Vec<u8>>),
) -> Result<Vec<Outcome>, Error> {
    if ids.len() > config.redrive_max {
        return Err(Error::TooMany { given: ids.len(), max: config.redrive_max });
    }
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let letter = ledger.store.dead_letter(&id).await?;
        letters.push(letter.ok_or(Error::DeadLetterNotFound(id))?);
    }
    let input = input.as_deref();
    let outcomes: Vec<_> = stream::iter(letters)
        .map(|letter| async move {
            let redriven = redrive(ledger, orchestrator, &letter, input).await?;
            let detail = match &redriven {
                Redriven::Done => String::new(),
                Redriven::Refused(why) => (*why).to_owned(),
                Redriven::NotNow(why) => format!("the orchestrator did not take it: {why}"),
            };
            Ok(Outcome { id: letter.id, redriven: redriven == Redriven::Done, detail })
        })
        .buffered(config.redrive_concurrency_max.max(1))
        .collect()
        .await;
    ledger.count().await?;
    outcomes.into_iter().collect()
}

/// Redrives one; with a new raw input of its task, if one is given.
pub(crate) async fn redrive(
    ledger: &Ledger,
    orchestrator: &Orchestrator,
    letter: &DeadLetter,
    input: Option<&[u8]>,
) -> Result<Redriven, Error> {
    match letter.state {
        DeadLetterState::Redriven => return Ok(Redriven::Refused("it was redriven before")),
        DeadLetterState::Resolved => {
            return Ok(Redriven::Refused("its workflow is not faulted any more"));
        }
        DeadLetterState::Open | DeadLetterState::Unspecified => {}
    }
    let settle = |state| ledger.store.settle(&letter.id, state, clock::now_ms());
    if letter.in_doubt_since_ms.is_some() {
        match went_on(orchestrator, letter).await {
            Ok(true) => {
                settle(DeadLetterState::Redriven).await?;
                return Ok(Redriven::Done);
            }
            Ok(false) => {}
            Err(status) => return Ok(Redriven::NotNow(status.message().to_owned())),
        }
    }
    ledger.store.begin_redrive(&letter.id, clock::now_ms()).await?;
    let asked = match input {
        None => orchestrator.retry_workflow(&letter.workflow, &reason(&letter.id)).await,
        Some(input) => orchestrator.rerun_workflow(&letter.workflow, &letter.task, input).await,
    };
    match asked {
        Ok(()) => {
            settle(DeadLetterState::Redriven).await?;
            tracing::info!(dead_letter = letter.id, workflow = letter.workflow, "redriven");
            Ok(Redriven::Done)
        }
        Err(status) if status.code() == Code::FailedPrecondition => {
            settle(DeadLetterState::Resolved).await?;
            Ok(Redriven::Refused("its workflow is not faulted any more"))
        }
        Err(status) if status.code() == Code::NotFound => {
            settle(DeadLetterState::Resolved).await?;
            Ok(Redriven::Refused("its workflow does not exist any more"))
        }
        Err(status) => Ok(Redriven::NotNow(status.message().to_owned())),
    }
}

/// Whether the workflow went on from the very fault that the dead letter tells of.
async fn went_on(orchestrator: &Orchestrator, letter: &DeadLetter) -> Result<bool, Status> {
    let (mut after_seq, mut faulted) = (0, false);
    loop {
        let page = match orchestrator.history(&letter.workflow, after_seq, PAGE).await {
            Ok(page) => page,
            Err(status) if status.code() == Code::NotFound => return Ok(false),
            Err(status) => return Err(status),
        };
        let last_seq = page.events.last().map_or(after_seq, |event| event.seq);
        for event in page.events {
            let at_ms = convert::milliseconds(event.at);
            match event.event {
                Some(Event::WorkflowFaulted(_)) if at_ms == letter.created_at_ms => faulted = true,
                Some(Event::WorkflowRetried(_) | Event::WorkflowRerun(_)) if faulted => {
                    return Ok(true);
                }
                _ => {}
            }
        }
        // A page without progress would be asked for for ever.
        if !page.more || last_seq <= after_seq {
            return Ok(false);
        }
        after_seq = last_seq;
    }
}
