//! `dead-letter redrive`: one by one, or all that a filter names, at a limited rate.

use std::time::Duration;

use planaria_proto::retry::v1::{
    DeadLetterFilter, GetRedriveRequest, Redrive, RedriveDeadLettersRequest, RedriveState,
    StartRedriveRequest,
};
use planaria_proto::types::v1::DefinitionReference;
use prost_types::Timestamp;

use super::{Client, call, input};
use crate::Error;
use crate::error::FAILED;
use crate::output::style::Style;
use crate::output::table::{Table, cell};

/// How often a running redrive is looked at.
const LOOK_MS: u64 = 500;

/// Which dead letters; everything that is said must be true of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only of this namespace
    #[arg(long, default_value = "", value_name = "NAMESPACE")]
    namespace: String,
    /// Only of this definition: [NAMESPACE/]NAME[:VERSION]
    #[arg(long, value_parser = input::reference)]
    definition: Option<DefinitionReference>,
    /// Only of this function
    #[arg(long, default_value = "", value_name = "NAME")]
    function: String,
    /// Only with this error, as `dead-letter list --group` shows it
    #[arg(long, default_value = "", value_name = "FINGERPRINT")]
    fingerprint: String,
    /// Only of this workflow
    #[arg(long, default_value = "", value_name = "ID")]
    workflow: String,
    /// Only from the last while, such as 90s, 30m, 12h or 7d
    #[arg(long, value_parser = ago, value_name = "AGO")]
    since: Option<Duration>,
    /// Only from before, such as 90s, 30m, 12h or 7d ago
    #[arg(long, value_parser = ago, value_name = "AGO")]
    until: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which; without, say it by a filter
    ids: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// A new raw input for the task of each: JSON, @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
    /// At most so many in a second
    #[arg(long, value_name = "COUNT", conflicts_with = "ids")]
    rate: Option<f64>,
    /// Only count what would be redriven
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
    /// A name of your own, so that the same command again changes nothing
    #[arg(long, default_value = "", value_name = "ID", conflicts_with = "ids")]
    redrive_id: String,
    /// Do not wait for its end
    #[arg(long, conflicts_with = "ids")]
    detach: bool,
}

impl Filter {
    pub(crate) fn message(self) -> DeadLetterFilter {
        let definition = self.definition.unwrap_or_default();
        let namespace =
            if self.namespace.is_empty() { definition.namespace } else { self.namespace };
        DeadLetterFilter {
            namespace,
            definition: definition.name,
            definition_version: definition.version,
            function: self.function,
            fingerprint: self.fingerprint,
            workflow_id: self.workflow,
            from: self.since.map(before_now),
            before: self.until.map(before_now),
        }
    }
}

pub(crate) async fn execute(client: &Client, arguments: Arguments) -> Result<(), Error> {
    let payload = input::optional_payload(arguments.input.as_deref())?;
    let filter = arguments.filter.message();
    if !arguments.ids.is_empty() {
        if filter != DeadLetterFilter::default() {
            let hint = "name dead letters, or say which by a filter";
            return Err(Error::input("both ids and a filter were given", hint));
        }
        let request = RedriveDeadLettersRequest { ids: arguments.ids, input: payload };
        return one_by_one(client, request).await;
    }
    if filter == DeadLetterFilter::default() {
        let hint = "name dead letters, or say which, such as --function NAME; see --help";
        return Err(Error::input("nothing says which dead letters are redriven", hint));
    }
    let request = StartRedriveRequest {
        redrive_id: arguments.redrive_id,
        filter: Some(filter),
        rate: arguments.rate.unwrap_or_default(),
        input: payload,
        dry_run: arguments.dry_run,
    };
    let response = client.retries().start_redrive(call(request)).await;
    let response = response.map_err(|status| client.refused("nothing was redriven", status))?;
    let mut redrive = response.into_inner().redrive.unwrap_or_default();
    if arguments.dry_run {
        let count = redrive.matched;
        return client.show(&redrive, |_| {
            client.output.line(&format!("{count} dead letters would be redriven"))
        });
    }
    while redrive.state() == RedriveState::Running && !arguments.detach {
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        let request = GetRedriveRequest { redrive_id: redrive.id.clone() };
        let response = client.retries().get_redrive(call(request)).await;
        let response = response.map_err(|status| client.refused("it goes on unseen", status))?;
        redrive = response.into_inner().redrive.unwrap_or_default();
    }
    client.show(&redrive, |redrive| client.output.line(&told(redrive)))?;
    if redrive.refused == 0 { Ok(()) } else { Err(Error::Ended(FAILED)) }
}

fn told(redrive: &Redrive) -> String {
    let Redrive { id, matched, redriven, refused, detail, .. } = redrive;
    let state = match redrive.state() {
        RedriveState::Running => "goes on",
        RedriveState::Stopped => "was stopped",
        RedriveState::Done | RedriveState::Unspecified => "is done",
    };
    let why = if detail.is_empty() { String::new() } else { format!(" (the last: {detail})") };
    format!("redrive {id} {state}: {redriven} of {matched} redriven, {refused} not{why}")
}

async fn one_by_one(client: &Client, request: RedriveDeadLettersRequest) -> Result<(), Error> {
    let response = client.retries().redrive_dead_letters(call(request)).await;
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

/// How long ago: a whole number and its unit.
fn ago(text: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let read = || {
        let unit = text.chars().last()?;
        let (_, seconds) = units.into_iter().find(|(known, _)| *known == unit)?;
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(seconds)?))
    };
    read().ok_or_else(|| "a while is a number with its unit, such as 90s, 30m, 12h or 7d".into())
}

fn before_now(ago: Duration) -> Timestamp {
    let now = Duration::from_millis(planaria_runtime::clock::now_ms());
    let at = std::time::SystemTime::UNIX_EPOCH.checked_add(now.saturating_sub(ago));
    at.unwrap_or(std::time::SystemTime::UNIX_EPOCH).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_while_has_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(ago(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "7", "-7d", "1.5h", "7w", "99999999999999999999d"] {
            assert!(ago(text).is_err(), "{text}");
        }
    }
}
