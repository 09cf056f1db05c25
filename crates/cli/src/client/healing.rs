//! `healing`: what the mesh repaired, how it knew, how long it took.

use planaria_proto::monitoring::v1::ListHealingsRequest;
use planaria_proto::types::v1::{Healing, HealingAction};

use super::{Client, call, story};
use crate::Error;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

const PAGE_SIZE_MAX: u32 = 500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List healings, newest first
    List {
        /// Only of this workflow
        #[arg(long, default_value = "", value_name = "ID")]
        workflow: String,
        /// Only of this incident
        #[arg(long, default_value = "", value_name = "ID")]
        incident: String,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    let Command::List { workflow, incident, limit } = command;
    let healings = list(client, &workflow, &incident, limit).await?;
    client.show_list(&healings, "nothing had to be healed", table)
}

/// Healings, newest first; an empty filter lets all pass.
pub(crate) async fn list(
    client: &Client,
    workflow_id: &str,
    incident: &str,
    limit: usize,
) -> Result<Vec<Healing>, Error> {
    let mut healings: Vec<Healing> = Vec::new();
    let mut page_token = String::new();
    while healings.len() < limit {
        let missing = u32::try_from(limit - healings.len()).unwrap_or(u32::MAX);
        let request = call(ListHealingsRequest {
            workflow_id: workflow_id.to_owned(),
            incident: incident.to_owned(),
            page_size: missing.min(PAGE_SIZE_MAX),
            page_token,
        });
        let page = client.monitoring().list_healings(request).await;
        let page = page.map_err(|status| client.refused("cannot list healings", status))?;
        let page = page.into_inner();
        healings.extend(page.healings);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    healings.truncate(limit);
    Ok(healings)
}

/// What was done about it.
pub(crate) fn action(action: HealingAction) -> &'static str {
    match action {
        HealingAction::Unspecified => "unknown",
        HealingAction::Rerun => "run again",
        HealingAction::Quarantined => "quarantined",
        HealingAction::RetryQueued => "retry queued",
        HealingAction::TimerFired => "timer fired",
        HealingAction::WorkflowAdvanced => "workflow advanced",
        HealingAction::Removed => "removed",
        HealingAction::DeadLetterMended => "dead letter mended",
    }
}

fn table(healings: &[Healing]) -> Table {
    let titles =
        ["WHEN", "SIGNAL", ">DETECTED AFTER", "ACTION", ">HEALED AFTER", "WORKFLOW", "WHAT"];
    let mut table = Table::new(&titles);
    for healing in healings {
        let healed = match &healing.healed_after {
            Some(after) => cell(Style::Good, time::duration(Some(after))),
            None => cell(Style::Warm, "under way"),
        };
        table.row([
            time::relative(healing.detected_at.as_ref()).into(),
            story::signal(healing.signal()).into(),
            time::duration(healing.detected_after.as_ref()).into(),
            action(healing.action()).into(),
            healed,
            healing.workflow_id.as_str().into(),
            cell(Style::Dim, healing.summary.as_str()),
        ]);
    }
    table
}
