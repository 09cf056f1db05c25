//! `dead-letter`: what the system gave up on, and giving it another life.

use planaria_proto::retry::v1::{
    DeadLetter, DeadLetterCause, DeadLetterFilter, DeadLetterState, GetDeadLetterRequest,
    ListDeadLetterGroupsRequest, ListDeadLettersRequest,
};

use super::{Client, call, input, redrive, story, workflow};
use crate::Error;
use crate::output::message;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

const PAGE_SIZE_MAX: u32 = 500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List dead letters, newest first
    List {
        /// Also those that were redriven or resolved: open, redriven or resolved
        #[arg(long, value_parser = state, default_value = "open")]
        state: DeadLetterState,
        #[command(flatten)]
        filter: redrive::Filter,
        /// By error: how many there are of each
        #[arg(long)]
        group: bool,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a dead letter with its whole story
    Show { id: String },
    /// Let the workflows of dead letters go on from their fault
    Redrive(redrive::Arguments),
}

fn state(text: &str) -> Result<DeadLetterState, String> {
    let name = format!("DEAD_LETTER_STATE_{}", text.to_uppercase());
    DeadLetterState::from_str_name(&name).ok_or_else(|| "one of open, redriven, resolved".into())
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { state, filter, group, limit } => {
            let filter = filter.message();
            if group {
                groups(client, state, filter, limit).await
            } else {
                list(client, state, filter, limit).await
            }
        }
        Command::Show { id } => {
            let response =
                client.retries().get_dead_letter(call(GetDeadLetterRequest { id })).await;
            let response =
                response.map_err(|status| client.refused("cannot show it", status))?.into_inner();
            client.show(&response.dead_letter.unwrap_or_default(), |letter| show(client, letter))
        }
        Command::Redrive(arguments) => redrive::execute(client, arguments).await,
    }
}

async fn list(
    client: &Client,
    state: DeadLetterState,
    filter: DeadLetterFilter,
    limit: usize,
) -> Result<(), Error> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    let mut page_token = String::new();
    while letters.len() < limit {
        let missing = u32::try_from(limit - letters.len()).unwrap_or(u32::MAX);
        let request = call(ListDeadLettersRequest {
            state: state.into(),
            filter: Some(filter.clone()),
            page_size: missing.min(PAGE_SIZE_MAX),
            page_token,
            ..ListDeadLettersRequest::default()
        });
        let page = client.retries().list_dead_letters(request).await;
        let page = page.map_err(|status| client.refused("cannot list dead letters", status))?;
        let page = page.into_inner();
        letters.extend(page.dead_letters);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    letters.truncate(limit);
    client.show_list(&letters, "no dead letters", table)
}

async fn groups(
    client: &Client,
    state: DeadLetterState,
    filter: DeadLetterFilter,
    limit: usize,
) -> Result<(), Error> {
    let request = ListDeadLetterGroupsRequest {
        state: state.into(),
        filter: Some(filter),
        page_size: u32::try_from(limit).unwrap_or(u32::MAX).clamp(1, PAGE_SIZE_MAX),
    };
    let response = client.retries().list_dead_letter_groups(call(request)).await;
    let response = response.map_err(|status| client.refused("cannot list dead letters", status))?;
    client.show_list(&response.into_inner().groups, "no dead letters", |groups| {
        let mut table = Table::new(&[
            "FINGERPRINT",
            ">COUNT",
            "FUNCTION",
            "CAUSE",
            "FIRST",
            "LAST",
            "NEWEST",
            "ERROR",
        ]);
        for group in groups {
            table.row([
                group.fingerprint.as_str().into(),
                group.count.into(),
                group.function.as_str().into(),
                cell(Style::Bad, cause(group.cause())),
                time::relative(group.first_at.as_ref()).into(),
                time::relative(group.last_at.as_ref()).into(),
                group.newest_id.as_str().into(),
                cell(Style::Dim, story::error(group.error.as_ref())),
            ]);
        }
        table
    })
}

fn cause(cause: DeadLetterCause) -> &'static str {
    match cause {
        DeadLetterCause::Unspecified => "unknown",
        DeadLetterCause::Exhausted => "retries used up",
        DeadLetterCause::NotRetryable => "not worth a retry",
        DeadLetterCause::Quarantined => "quarantined: it killed its workers",
        DeadLetterCause::Uncaught => "uncaught error",
    }
}

fn table(letters: &[DeadLetter]) -> Table {
    let mut table =
        Table::new(&["ID", "WORKFLOW", "DEFINITION", "TASK", "CAUSE", "CREATED", "ERROR"]);
    for letter in letters {
        table.row([
            letter.id.as_str().into(),
            letter.workflow_id.as_str().into(),
            input::written(letter.definition.as_ref()).into(),
            letter.task.as_str().into(),
            cell(Style::Bad, cause(letter.cause())),
            time::relative(letter.created_at.as_ref()).into(),
            cell(Style::Dim, story::error(letter.error.as_ref())),
        ]);
    }
    table
}

fn show(client: &Client, letter: &DeadLetter) -> Result<(), Error> {
    let output = client.output;
    let line = |label: &str, text: &str| {
        output.line(&format!("{} {text}", output.paint(Style::Dim, &format!("{label:<11}"))))
    };
    line("dead letter", &output.paint(Style::Strong, &letter.id))?;
    line("workflow", &letter.workflow_id)?;
    line("definition", &input::written(letter.definition.as_ref()))?;
    line("task", &letter.task)?;
    line("cause", &output.paint(Style::Bad, cause(letter.cause())))?;
    line("error", &story::error(letter.error.as_ref()))?;
    line("created", &time::relative(letter.created_at.as_ref()))?;
    if letter.redriven_at.is_some() {
        line("redriven", &time::relative(letter.redriven_at.as_ref()))?;
    }
    if let Some(arguments) = &letter.arguments {
        line("arguments", &message::bytes(&arguments.data).line())?;
    }
    line("fingerprint", &letter.fingerprint)?;
    for loss in &letter.losses {
        let progress = match loss.progress.as_str() {
            "" => String::new(),
            progress => format!("; its last progress: {progress}"),
        };
        let when = time::relative(loss.signal_at.as_ref());
        let (worker, attempt) = (&loss.worker_id, loss.attempt);
        let detail = &loss.detail;
        line(
            "lost",
            &format!("worker {worker} with attempt {attempt} {when}: {detail}{progress}"),
        )?;
    }
    output.line("")?;
    workflow::tell(output, letter.story.clone())
}
