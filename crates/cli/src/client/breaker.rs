//! `breaker`: what is held back from far sides that fail.

use planaria_proto::retry::v1::{
    Breaker, BreakerChange, BreakerKey, BreakerPhase, ListBreakerChangesRequest,
    ListBreakersRequest, ResetBreakerRequest,
};

use super::{Client, call};
use crate::Error;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

const PAGE_SIZE_MAX: u32 = 500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List breakers that hold tasks back
    List {
        /// Also those that let everything through
        #[arg(long)]
        all: bool,
        /// Only of this namespace
        #[arg(long, default_value = "", value_name = "NAMESPACE")]
        namespace: String,
    },
    /// List the last changes of breakers, the newest first
    Changes {
        /// Only of this namespace
        #[arg(long, default_value = "", value_name = "NAMESPACE")]
        namespace: String,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Close a breaker: its tasks go through at once
    Reset {
        /// The function, as `breaker list` shows it
        function: String,
        /// The namespace of its definitions
        #[arg(long, default_value = "default", value_name = "NAMESPACE")]
        namespace: String,
        /// The far side, where the breaker has one
        #[arg(long, default_value = "", value_name = "HOST")]
        destination: String,
    },
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { all, namespace } => {
            let request = ListBreakersRequest { namespace, all, page_size: PAGE_SIZE_MAX };
            let response = client.retries().list_breakers(call(request)).await;
            let response =
                response.map_err(|status| client.refused("cannot list breakers", status))?;
            client.show_list(&response.into_inner().breakers, "nothing is held back", table)
        }
        Command::Changes { namespace, limit } => {
            let page_size = limit.min(PAGE_SIZE_MAX);
            let request = ListBreakerChangesRequest { namespace, page_size };
            let response = client.retries().list_breaker_changes(call(request)).await;
            let response =
                response.map_err(|status| client.refused("cannot list changes", status))?;
            client.show_list(&response.into_inner().changes, "no breaker changed", changes)
        }
        Command::Reset { function, namespace, destination } => {
            let key = Some(BreakerKey { namespace, function, destination });
            let request = ResetBreakerRequest { key };
            let response = client.retries().reset_breaker(call(request)).await;
            let response =
                response.map_err(|status| client.refused("the breaker was not reset", status))?;
            let breaker = response.into_inner().breaker.unwrap_or_default();
            client.show(&breaker, |_| client.output.line("closed"))
        }
    }
}

fn phase(phase: BreakerPhase) -> (Style, &'static str) {
    match phase {
        BreakerPhase::Unspecified => (Style::Dim, "unknown"),
        BreakerPhase::Closed => (Style::Good, "closed"),
        BreakerPhase::Open => (Style::Bad, "open"),
        BreakerPhase::HalfOpen => (Style::Warm, "half open"),
    }
}

fn said(breaker: &Breaker) -> String {
    match breaker.phase() {
        BreakerPhase::Unspecified => String::new(),
        BreakerPhase::Closed => {
            let Breaker { calls, failures, failures_in_row, .. } = breaker;
            format!("{failures} of {calls} calls failed, {failures_in_row} in a row")
        }
        BreakerPhase::Open => {
            let until = time::relative(breaker.until.as_ref());
            format!("opened {} times, probes {until}", breaker.openings)
        }
        BreakerPhase::HalfOpen => {
            let Breaker { probes, probes_passed, probes_failed, .. } = breaker;
            format!("{probes} probes: {probes_passed} answered, {probes_failed} failed")
        }
    }
}

fn table(breakers: &[Breaker]) -> Table {
    let mut table =
        Table::new(&["FUNCTION", "DESTINATION", "NAMESPACE", "BREAKER", "SINCE", "DETAIL"]);
    for breaker in breakers {
        let key = breaker.key.clone().unwrap_or_default();
        let (style, word) = phase(breaker.phase());
        let since = breaker.since.as_ref();
        table.row([
            key.function.into(),
            key.destination.into(),
            key.namespace.into(),
            cell(style, word),
            since.map_or_else(String::new, |since| time::relative(Some(since))).into(),
            said(breaker).into(),
        ]);
    }
    table
}

fn changes(changes: &[BreakerChange]) -> Table {
    let mut table = Table::new(&["AT", "FUNCTION", "DESTINATION", "NAMESPACE", "BECAME", "REASON"]);
    for change in changes {
        let key = change.key.clone().unwrap_or_default();
        let (style, word) = phase(change.to());
        table.row([
            time::relative(change.at.as_ref()).into(),
            key.function.into(),
            key.destination.into(),
            key.namespace.into(),
            cell(style, word),
            change.reason.as_str().into(),
        ]);
    }
    table
}
