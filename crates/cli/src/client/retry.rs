//! `retry`: what waits for its next attempt.

use planaria_proto::retry::v1::{ListRetriesRequest, Retry, RetryNowRequest};

use super::{Client, call, story};
use crate::Error;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

const PAGE_SIZE: u32 = 500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List tasks that wait for a retry, the next due first
    List {
        /// Only of this workflow
        #[arg(long, default_value = "", value_name = "ID")]
        workflow: String,
        /// Only of this namespace
        #[arg(long, default_value = "", value_name = "NAMESPACE")]
        namespace: String,
    },
    /// Start a waiting retry now
    Now { id: String },
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { workflow, namespace } => {
            let page_size = PAGE_SIZE;
            let request = ListRetriesRequest { workflow_id: workflow, page_size, namespace };
            let response = client.retries().list_retries(call(request)).await;
            let response =
                response.map_err(|status| client.refused("cannot list retries", status))?;
            client.show_list(&response.into_inner().retries, "nothing waits for a retry", table)
        }
        Command::Now { id } => {
            let result = client.retries().retry_now(call(RetryNowRequest { id })).await;
            result.map_err(|status| client.refused("the retry was not started", status))?;
            client.done("started")
        }
    }
}

fn table(retries: &[Retry]) -> Table {
    let mut table =
        Table::new(&["ID", "WORKFLOW", "TASK", "FUNCTION", "FAILURE", "DUE", "LAST ERROR"]);
    for retry in retries {
        table.row([
            retry.id.as_str().into(),
            retry.workflow_id.as_str().into(),
            retry.task.as_str().into(),
            retry.function.as_str().into(),
            format!("{} of {}", retry.failure, retry.attempts_max).into(),
            cell(Style::Warm, due(retry)),
            cell(Style::Dim, story::error(retry.error.as_ref())),
        ]);
    }
    table
}

/// When it starts, and whether it would have before if the budget had not been empty.
fn due(retry: &Retry) -> String {
    let due = time::relative(retry.due_at.as_ref());
    match retry.deferrals {
        0 => due,
        times => format!("{due}, put off {times}x"),
    }
}
