//! `run`: a file's workflow from publication to result.

use std::path::PathBuf;
use std::time::Duration;

use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::{StartWorkflowRequest, Workflow, WorkflowStart};
use tokio::time::Instant;

use super::watch::{self, Narrator};
use super::{Backoff, Client, call, definition, input, story, workflow, workflow_view};
use crate::Error;
use crate::error::{CANCELLED, FAILED, is_passing};
use crate::output::message::{self, Mapping};
use crate::output::style::Style;
use crate::output::time;

/// How long a mesh that just took the file may be away before the start is given up.
const START_MS_MAX: u64 = 15_000;

/// Exit status: 0 completed, 1 faulted, 2 cancelled, 3 could not run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The workflow document, YAML or JSON; - reads standard input
    file: PathBuf,
    /// The workflow's input: JSON, @FILE, or -
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// Makes the start idempotent: the same key finds the same workflow again
    #[arg(long)]
    key: Option<String>,
}

pub(crate) async fn execute(client: &Client, arguments: Arguments) -> Result<(), Error> {
    let workflow = complete(client, arguments).await;
    let workflow = workflow.map_err(|error| Error::NotRun(Box::new(error)))?;
    if client.output.is_json() {
        let result = workflow_view::result(&Mapping::new()?, &workflow)?;
        client.output.document(&result)?;
    } else {
        show(client, &workflow)?;
    }
    match workflow.phase() {
        Phase::Completed => Ok(()),
        Phase::Cancelled => Err(Error::Ended(CANCELLED)),
        _ => Err(Error::Ended(FAILED)),
    }
}

/// Publishes, starts and follows; the workflow as it ended.
async fn complete(client: &Client, arguments: Arguments) -> Result<Workflow, Error> {
    let input = input::optional_payload(arguments.input.as_deref())?;
    let put = definition::publish(client, &arguments.file).await?;
    definition::warn(client, &arguments.file, &put.warnings);
    let start = WorkflowStart {
        definition: put.definition.and_then(|definition| definition.reference),
        input,
        // Of its own, so that the start can be tried again without starting twice.
        idempotency_key: arguments.key.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
    };
    let id = start_workflow(client, start).await?;
    follow(client, &id).await?;
    workflow::get(client, &id).await
}

async fn start_workflow(client: &Client, start: WorkflowStart) -> Result<String, Error> {
    let deadline = Instant::now() + Duration::from_millis(START_MS_MAX);
    let mut backoff = Backoff::default();
    loop {
        let request = call(StartWorkflowRequest { start: Some(start.clone()) });
        match client.workflows().start_workflow(request).await {
            Ok(response) => return Ok(response.into_inner().workflow_id),
            Err(status) if is_passing(&status) && Instant::now() < deadline => {
                backoff.pause().await;
            }
            Err(status) => return Err(client.refused("the workflow was not started", status)),
        }
    }
}

/// Follows to the end, with progress where somebody watches.
async fn follow(client: &Client, id: &str) -> Result<(), Error> {
    let output = client.output;
    let watched = output.is_watched();
    if watched {
        output.note(&output.paint_note(Style::Dim, &format!("workflow {id}")));
    }
    let mut narrator = Narrator::default();
    let mut first_ms = None;
    let phase = watch::follow(client, id, |message| {
        if watched {
            for line in narrator.tell(message) {
                let first_ms = *first_ms.get_or_insert(line.at_ms);
                let after = time::fine(line.at_ms.saturating_sub(first_ms));
                let after = output.paint_note(Style::Dim, &format!("{after:>9}"));
                output.note(&format!("{after} {}", output.paint_note(line.style, &line.text)));
            }
        }
        Ok(())
    });
    phase.await.map(drop)
}

fn show(client: &Client, workflow: &Workflow) -> Result<(), Error> {
    let output = client.output;
    let phase = workflow.phase();
    let word = output.paint(Style::of_phase(phase), &workflow_view::phase_word(phase));
    let took = time::between(workflow.started_at.as_ref(), workflow.ended_at.as_ref());
    output.line(&format!("{} {word} after {took}", workflow.id))?;
    if let Some(error) = &workflow.error {
        let text = story::error(Some(error));
        let text = output.paint(Style::Bad, &text);
        match error.instance.as_str() {
            "" => output.line(&text)?,
            place => output.line(&format!("{text} at {place}"))?,
        }
    }
    match &workflow.output {
        Some(payload) => output.line(&message::bytes(&payload.data).pretty()),
        None => Ok(()),
    }
}
