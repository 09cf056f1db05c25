//! `dead-letter`: what the system gave up on, and giving it another life.

use planaria_proto::retry::v1::{
    DeadLetter, DeadLetterCause, DeadLetterState, GetDeadLetterRequest, ListDeadLettersRequest,
    RedriveDeadLettersRequest,
};

use super::{Client, call, input, story, workflow};
use crate::Error;
use crate::error::FAILED;
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
        /// Only of this workflow
        #[arg(long, default_value = "", value_name = "ID")]
        workflow: String,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a dead letter with its whole story
    Show { id: String },
    /// Let the workflows of dead letters go on from their fault
    Redrive {
        /// Which
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

fn state(text: &str) -> Result<DeadLetterState, String> {
    let name = format!("DEAD_LETTER_STATE_{}", text.to_uppercase());
    DeadLetterState::from_str_name(&name).ok_or_else(|| "one of open, redriven, resolved".into())
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { state, workflow, limit } => list(client, state, workflow, limit).await,
        Command::Show { id } => {
            let response =
                client.retries().get_dead_letter(call(GetDeadLetterRequest { id })).await;
            let response =
                response.map_err(|status| client.refused("cannot show it", status))?.into_inner();
            client.show(&response.dead_letter.unwrap_or_default(), |letter| show(client, letter))
        }
        Command::Redrive { ids } => redrive(client, ids).await,
    }
}

async fn list(
    client: &Client,
    state: DeadLetterState,
    workflow_id: String,
    limit: usize,
) -> Result<(), Error> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    let mut page_token = String::new();
    while letters.len() < limit {
        let missing = u32::try_from(limit - letters.len()).unwrap_or(u32::MAX);
        let request = call(ListDeadLettersRequest {
            state: state.into(),
            workflow_id: workflow_id.clone(),
            page_size: missing.min(PAGE_SIZE_MAX),
            page_token,
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

fn cause(letter: &DeadLetter) -> &'static str {
    match letter.cause() {
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
            cell(Style::Bad, cause(letter)),
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
    line("cause", &output.paint(Style::Bad, cause(letter)))?;
    line("error", &story::error(letter.error.as_ref()))?;
    line("created", &time::relative(letter.created_at.as_ref()))?;
    if letter.redriven_at.is_some() {
        line("redriven", &time::relative(letter.redriven_at.as_ref()))?;
    }
    if let Some(arguments) = &letter.arguments {
        line("arguments", &message::bytes(&arguments.data).line())?;
    }
    output.line("")?;
    workflow::tell(output, letter.story.clone())
}

async fn redrive(client: &Client, ids: Vec<String>) -> Result<(), Error> {
    let request = call(RedriveDeadLettersRequest { ids });
    let response = client.retries().redrive_dead_letters(request).await;
    let response = response.map_err(|status| client.refused("nothing was redriven", status))?;
    let outcomes = response.into_inner().outcomes;
    client.show_list(&outcomes, "nothing was asked for", |outcomes| {
        let mut table = Table::new(&["ID", "OUTCOME", "DETAIL"]);
        for outcome in outcomes {
            let (style, word) = match outcome.redriven {
                true => (Style::Good, "redriven"),
                false => (Style::Bad, "not redriven"),
            };
            let fields = [outcome.id.as_str().into(), cell(style, word)];
            table.row(fields.into_iter().chain([outcome.detail.as_str().into()]));
        }
        table
    })?;
    let all = outcomes.iter().all(|outcome| outcome.redriven);
    if all { Ok(()) } else { Err(Error::Ended(FAILED)) }
}
