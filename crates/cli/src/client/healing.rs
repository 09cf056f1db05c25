//! `healing`: what the mesh repaired, how it knew, how long it took.

use planaria_proto::monitoring::v1::{
    GetDistributionRequest, GetDistributionResponse, ListHealingsRequest, Spread,
};
use planaria_proto::types::v1::{Healing, HealingAction};
use prost_types::Duration;

use super::{Client, call, story};
use crate::Error;
use crate::output::document::Document;
use crate::output::message::Mapping;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

const PAGE_SIZE_MAX: u32 = 500;
/// Letters of the longest bar.
const BAR_MAX: u64 = 40;

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
    /// How long detections and repairs took, as a histogram
    Latency {
        /// So many hours back
        #[arg(long, default_value_t = 24, value_name = "HOURS")]
        hours: u32,
    },
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::List { workflow, incident, limit } => {
            let healings = list(client, &workflow, &incident, limit).await?;
            client.show_list(&healings, "nothing had to be healed", table)
        }
        Command::Latency { hours } => latency(client, hours).await,
    }
}

/// Detections and repairs, one below the other.
async fn latency(client: &Client, hours: u32) -> Result<(), Error> {
    let mut shown = Vec::new();
    for (name, spread) in [("detected", Spread::DetectedAfter), ("healed", Spread::HealedAfter)] {
        let request = GetDistributionRequest {
            spread: spread.into(),
            window: Some(Duration { seconds: i64::from(hours) * 3_600, nanos: 0 }),
            ..GetDistributionRequest::default()
        };
        let response = client.monitoring().get_distribution(call(request)).await;
        let response = response.map_err(|status| client.refused("cannot tell", status))?;
        shown.push((name, response.into_inner()));
    }
    let output = client.output;
    if output.is_json() {
        let mapping = Mapping::new()?;
        let members =
            shown.iter().map(|(name, told)| Ok((format!("{name}After"), mapping.document(told)?)));
        return output.document(&Document::Object(members.collect::<Result<_, Error>>()?));
    }
    for (name, told) in &shown {
        let quantile = |span: &Option<Duration>| time::duration(span.as_ref());
        output.line(&format!(
            "{} {} times; p50 {}, p90 {}, p99 {}, longest {}",
            output.paint(Style::Strong, &format!("{name:<8}")),
            told.count,
            quantile(&told.p50),
            quantile(&told.p90),
            quantile(&told.p99),
            quantile(&told.max),
        ))?;
        output.table(&bars(told), "")?;
    }
    Ok(())
}

/// A bar for each bucket.
fn bars(told: &GetDistributionResponse) -> Table {
    let most = told.buckets.iter().map(|bucket| bucket.count).max().unwrap_or(1).max(1);
    let mut table = Table::new(&[">WITHIN", ">COUNT", ""]);
    for bucket in &told.buckets {
        let length = usize::try_from((bucket.count * BAR_MAX).div_ceil(most)).unwrap_or(0);
        table.row([
            time::duration(bucket.until.as_ref()).into(),
            bucket.count.into(),
            cell(Style::Dim, "#".repeat(length)),
        ]);
    }
    table
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
            ..ListHealingsRequest::default()
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
        HealingAction::Rebuilt => "rebuilt",
        HealingAction::Frozen => "frozen",
        HealingAction::Repeated => "repeated",
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
