//! `workflow`: start, show and steer workflows.

use planaria_proto::types::v1::{CloudEvent, DefinitionReference, Phase};
use planaria_proto::workflow::v1::list_workflows_request::Filter;
use planaria_proto::workflow::v1::{
    CancelWorkflowRequest, GetHistoryRequest, GetWorkflowRequest, HistoryEvent,
    ListWorkflowsRequest, RerunWorkflowRequest, ResumeWorkflowRequest, RetryWorkflowRequest,
    SignalWorkflowRequest, SkipTaskRequest, StartWorkflowRequest, SuspendWorkflowRequest,
    WatchWorkflowResponse, Workflow, WorkflowStart,
};

use super::watch::{self, Narrator};
use super::{Client, call, event, input, workflow_view};
use crate::Error;
use crate::output::document::Document;
use crate::output::message::Mapping;
use crate::output::style::Style;
use crate::output::{Output, time};

const PAGE_SIZE_MAX: u32 = 500;
const HISTORY_PAGE_SIZE: u32 = 1_000;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Start a workflow and return at once
    Start {
        /// What to start: [NAMESPACE/]NAME[:VERSION]
        #[arg(value_parser = input::reference)]
        definition: DefinitionReference,
        /// The input: JSON, @FILE, or -
        #[arg(long, value_name = "JSON")]
        input: Option<String>,
        /// Makes the start idempotent
        #[arg(long)]
        key: Option<String>,
    },
    /// Show a workflow with its tasks
    Get { id: String },
    /// List workflows, newest first
    List(List),
    /// Follow a workflow to its end
    Watch { id: String },
    /// Show everything that happened in a workflow
    History {
        id: String,
        /// Only events behind this one
        #[arg(long, default_value_t = 0, value_name = "SEQ")]
        after: u64,
    },
    /// Hold a workflow: what runs may end, nothing new starts
    Suspend {
        id: String,
        /// Kept in the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a suspended workflow go on
    Resume { id: String },
    /// End a workflow and abandon what it has open
    Cancel {
        id: String,
        /// Kept in the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a faulted workflow go on from its fault
    Retry {
        id: String,
        /// Kept in the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a workflow go on from an earlier task
    Rerun {
        id: String,
        /// Reference of the task, such as /do/1/charge
        #[arg(long, value_name = "TASK")]
        from: String,
        /// Replaces the task's input: JSON, @FILE, or -
        #[arg(long, value_name = "JSON")]
        input: Option<String>,
    },
    /// Complete an open or faulted task with an output of your own
    Skip {
        id: String,
        /// Reference of the task, such as /do/1/charge
        task: String,
        /// The task's output: JSON, @FILE, or -; without it, its input
        #[arg(long, value_name = "JSON")]
        with: Option<String>,
        /// Kept in the history
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Deliver an event to a workflow's listen task
    Signal {
        id: String,
        #[command(flatten)]
        event: event::EventArguments,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only with this status; may be given several times
    #[arg(long, value_parser = phase)]
    status: Vec<Phase>,
    /// Only of this definition: [NAMESPACE/]NAME[:VERSION]
    #[arg(long, value_parser = input::reference)]
    definition: Option<DefinitionReference>,
    /// Only with a task that waits for a retry
    #[arg(long)]
    retrying: bool,
    /// Only with a task that waits for a worker
    #[arg(long)]
    waiting_for_worker: bool,
    /// Only what is frozen because its history is damaged
    #[arg(long)]
    frozen: bool,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

fn phase(text: &str) -> Result<Phase, String> {
    let name = format!("PHASE_{}", text.to_uppercase());
    Phase::from_str_name(&name).filter(|phase| *phase != Phase::Unspecified).ok_or_else(|| {
        "one of pending, running, waiting, suspended, cancelled, faulted, completed".into()
    })
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::Start { definition, input, key } => start(client, definition, input, key).await,
        Command::Get { id } => {
            let workflow = get(client, &id).await?;
            client.show(&workflow, |workflow| workflow_view::show(client, workflow))
        }
        Command::List(filter) => list(client, filter).await,
        Command::Watch { id } => watch(client, &id).await,
        Command::History { id, after } => history(client, &id, after).await,
        command => steer(client, command).await,
    }
}

/// The commands that change a workflow and have nothing to show.
async fn steer(client: &Client, command: Command) -> Result<(), Error> {
    let mut workflows = client.workflows();
    let ([not, done], result) = match command {
        Command::Suspend { id: workflow_id, reason } => {
            let request = SuspendWorkflowRequest { workflow_id, reason };
            (
                ["not suspended", "suspended"],
                workflows.suspend_workflow(call(request)).await.map(drop),
            )
        }
        Command::Resume { id: workflow_id } => {
            let request = ResumeWorkflowRequest { workflow_id };
            (["not resumed", "resumed"], workflows.resume_workflow(call(request)).await.map(drop))
        }
        Command::Cancel { id: workflow_id, reason } => {
            let request = CancelWorkflowRequest { workflow_id, reason };
            (
                ["not cancelled", "cancelled"],
                workflows.cancel_workflow(call(request)).await.map(drop),
            )
        }
        Command::Retry { id: workflow_id, reason } => {
            let request = RetryWorkflowRequest { workflow_id, reason };
            let words = ["not retried", "retried from its fault"];
            (words, workflows.retry_workflow(call(request)).await.map(drop))
        }
        Command::Rerun { id: workflow_id, from: task, input } => {
            let input = input::optional_payload(input.as_deref())?;
            let request = RerunWorkflowRequest { workflow_id, task, input };
            (
                ["not run again", "running again"],
                workflows.rerun_workflow(call(request)).await.map(drop),
            )
        }
        Command::Skip { id: workflow_id, task, with, reason } => {
            let output = input::optional_payload(with.as_deref())?;
            let request = SkipTaskRequest { workflow_id, task, output, reason };
            let words = ["not changed: the task was not skipped", "skipped"];
            (words, workflows.skip_task(call(request)).await.map(drop))
        }
        Command::Signal { id: workflow_id, event } => {
            let event: CloudEvent = event.into_event()?;
            let request = SignalWorkflowRequest { workflow_id, event: Some(event) };
            let result = workflows.signal_workflow(call(request)).await;
            let consumed = result
                .map_err(|status| client.refused("the event was not delivered", status))?
                .into_inner()
                .consumed;
            return signalled(client.output, consumed);
        }
        // The others are executed before.
        _ => return Ok(()),
    };
    result.map_err(|status| client.refused(format!("the workflow was {not}"), status))?;
    client.done(done)
}

fn signalled(output: Output, consumed: bool) -> Result<(), Error> {
    if output.is_json() {
        return output.document(&Document::object([("consumed", consumed.into())]));
    }
    output.line(if consumed { "taken by a listen task" } else { "kept until a task listens" })
}

async fn start(
    client: &Client,
    definition: DefinitionReference,
    input: Option<String>,
    key: Option<String>,
) -> Result<(), Error> {
    let name = input::written(Some(&definition));
    let start = WorkflowStart {
        definition: Some(definition),
        input: input::optional_payload(input.as_deref())?,
        idempotency_key: key.unwrap_or_default(),
    };
    let request = call(StartWorkflowRequest { start: Some(start) });
    let response = client.workflows().start_workflow(request).await;
    let started = response
        .map_err(|status| client.refused(format!("cannot start {name}"), status))?
        .into_inner();
    if client.output.is_json() {
        return client.output.document(&Document::object([
            ("id", started.workflow_id.into()),
            ("existed", started.existed.into()),
        ]));
    }
    client.output.line(&started.workflow_id)
}

/// One workflow with its tasks.
pub(crate) async fn get(client: &Client, id: &str) -> Result<Workflow, Error> {
    let request = call(GetWorkflowRequest { workflow_id: id.to_owned() });
    let response = client.workflows().get_workflow(request).await;
    let response = response.map_err(|status| client.refused(format!("cannot get {id}"), status))?;
    Ok(response.into_inner().workflow.unwrap_or_default())
}

async fn list(client: &Client, arguments: List) -> Result<(), Error> {
    let filter = Filter {
        phases: arguments.status.iter().map(|phase| i32::from(*phase)).collect(),
        definition: arguments.definition,
        retrying: arguments.retrying,
        waiting_for_worker: arguments.waiting_for_worker,
        frozen: arguments.frozen,
        ..Filter::default()
    };
    let mut workflows: Vec<Workflow> = Vec::new();
    let mut page_token = String::new();
    while workflows.len() < arguments.limit {
        let missing = u32::try_from(arguments.limit - workflows.len()).unwrap_or(u32::MAX);
        let request = call(ListWorkflowsRequest {
            filter: Some(filter.clone()),
            page_size: missing.min(PAGE_SIZE_MAX),
            page_token,
        });
        let page = client.workflows().list_workflows(request).await;
        let page = page.map_err(|status| client.refused("cannot list workflows", status))?;
        let page = page.into_inner();
        workflows.extend(page.workflows);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    workflows.truncate(arguments.limit);
    if client.output.is_json() {
        return client.output.document(&workflow_view::list(&Mapping::new()?, &workflows)?);
    }
    client.show_list(&workflows, "no such workflows", workflow_view::table)
}

async fn watch(client: &Client, id: &str) -> Result<(), Error> {
    let mapping = Mapping::new()?;
    let mut narrator = Narrator::default();
    let mut first_ms = None;
    watch::follow(client, id, |message| {
        if client.output.is_json() {
            return client.output.document_line(&mapping.document(message)?);
        }
        for line in narrator.tell(message) {
            client.output.line(&told(client.output, &line, &mut first_ms))?;
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// A line with its time since the first one.
pub(super) fn told(output: Output, line: &watch::Line, first_ms: &mut Option<u64>) -> String {
    let first_ms = *first_ms.get_or_insert(line.at_ms);
    let after = time::fine(line.at_ms.saturating_sub(first_ms));
    format!(
        "{} {}",
        output.paint(Style::Dim, &format!("{after:>9}")),
        output.paint(line.style, &line.text)
    )
}

async fn history(client: &Client, id: &str, after: u64) -> Result<(), Error> {
    let mut events: Vec<HistoryEvent> = Vec::new();
    loop {
        let request = call(GetHistoryRequest {
            workflow_id: id.to_owned(),
            after_seq: events.last().map_or(after, |event| event.seq),
            page_size: HISTORY_PAGE_SIZE,
        });
        let page = client.workflows().get_history(request).await;
        let page = page.map_err(|status| client.refused(format!("no history of {id}"), status))?;
        let page = page.into_inner();
        let more = page.more && !page.events.is_empty();
        events.extend(page.events);
        if !more {
            break;
        }
    }
    if client.output.is_json() {
        return client.output.document(&Mapping::new()?.list(&events)?);
    }
    tell(client.output, events)
}

/// A history in lines, with the number of each event.
pub(super) fn tell(output: Output, events: Vec<HistoryEvent>) -> Result<(), Error> {
    let mut narrator = Narrator::default();
    let mut first_ms = None;
    for event in events {
        let number = format!("{:>5}", event.seq);
        let message = WatchWorkflowResponse { events: vec![event], ..Default::default() };
        for line in narrator.tell(&message) {
            let line = told(output, &line, &mut first_ms);
            output.line(&format!("{} {line}", output.paint(Style::Dim, &number)))?;
        }
    }
    Ok(())
}
