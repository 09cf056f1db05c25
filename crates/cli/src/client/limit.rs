//! `limit`: how much of a function runs at once, and how much of it starts in a second.

use planaria_proto::flow::v1::list_limits_response::LimitState;
use planaria_proto::flow::v1::{DeleteLimitRequest, Limit, ListLimitsRequest, PutLimitRequest};

use super::{Client, call};
use crate::Error;
use crate::output::table::Table;
use crate::output::time;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Set a limit, or change it: it holds over the whole mesh within a second
    Set {
        /// The function
        function: String,
        /// At most so many attempts at once
        #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "NUMBER")]
        concurrency: u32,
        /// At most so many starts in a second, like 10 or 0.5
        #[arg(long, default_value_t = 0.0, hide_default_value = true, value_name = "NUMBER")]
        rate: f64,
        /// So many starts at once after a pause; usually those of a second
        #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "NUMBER")]
        burst: u32,
        #[command(flatten)]
        of: Of,
    },
    /// List limits and what is used of them
    List {
        /// Only of this namespace
        #[arg(long, default_value = "", value_name = "NAMESPACE")]
        namespace: String,
    },
    /// Remove a limit: what waited for it goes
    Delete {
        /// The function
        function: String,
        #[command(flatten)]
        of: Of,
    },
}

/// What else names a limit.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// A JSON pointer into the tasks' arguments: each value there has the limit for itself
    #[arg(long, default_value = "", hide_default_value = true, value_name = "POINTER")]
    per: String,
    /// The namespace of the definitions
    #[arg(long, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::Set { function, concurrency, rate, burst, of: Of { per, namespace } } => {
            let changed_at = None;
            let limit = Limit { namespace, function, per, concurrency, rate, burst, changed_at };
            let request = PutLimitRequest { limit: Some(limit) };
            let response = client.flow().put_limit(call(request)).await;
            let response =
                response.map_err(|status| client.refused("the limit was not set", status))?;
            let response = response.into_inner();
            let word = if response.created { "set" } else { "changed" };
            let limit = response.limit.unwrap_or_default();
            client.show(&limit, |limit| client.output.line(&format!("{word}: {}", most(limit))))
        }
        Command::List { namespace } => {
            let request = ListLimitsRequest { namespace };
            let response = client.flow().list_limits(call(request)).await;
            let response =
                response.map_err(|status| client.refused("cannot list limits", status))?;
            client.show_list(&response.into_inner().limits, "nothing is limited", table)
        }
        Command::Delete { function, of: Of { per, namespace } } => {
            let request = DeleteLimitRequest { namespace, function, per };
            let response = client.flow().delete_limit(call(request)).await;
            response.map_err(|status| client.refused("the limit was not removed", status))?;
            client.done("removed")
        }
    }
}

/// What a limit lets through, in words.
fn most(limit: &Limit) -> String {
    let mut parts = Vec::new();
    if limit.concurrency > 0 {
        parts.push(format!("{} at once", limit.concurrency));
    }
    if limit.rate > 0.0 {
        parts.push(format!("{} in a second (burst {})", limit.rate, limit.burst));
    }
    parts.join(", ")
}

fn table(limits: &[LimitState]) -> Table {
    let mut table = Table::new(&[
        "FUNCTION",
        "PER",
        "NAMESPACE",
        "LIMIT",
        "RUNNING",
        "WAITING",
        "VALUES",
        "CHANGED",
    ]);
    for state in limits {
        let limit = state.limit.clone().unwrap_or_default();
        let total = state.total.clone().unwrap_or_default();
        let busiest: Vec<String> = state
            .uses
            .iter()
            .filter(|used| !used.value.is_empty())
            .take(3)
            .map(|used| format!("{}: {}+{}", used.value, used.running, used.waiting))
            .collect();
        table.row([
            limit.function.clone().into(),
            limit.per.clone().into(),
            limit.namespace.clone().into(),
            most(&limit).into(),
            total.running.to_string().into(),
            total.waiting.to_string().into(),
            busiest.join(", ").into(),
            time::relative(limit.changed_at.as_ref()).into(),
        ]);
    }
    table
}
