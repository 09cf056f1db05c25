//! `status`: how the mesh is, at a glance.

use planaria_proto::monitoring::v1::{
    GetOverviewRequest, Objective, Overview, service_health::Replica,
};

use super::{Client, call, workflow_view};
use crate::Error;
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

pub(crate) async fn execute(client: &Client) -> Result<(), Error> {
    let response = client.monitoring().get_overview(call(GetOverviewRequest {})).await;
    let response = response.map_err(|status| client.refused("cannot tell the state", status))?;
    client.show(&response.into_inner().overview.unwrap_or_default(), |overview| {
        show(client, overview)
    })
}

fn show(client: &Client, overview: &Overview) -> Result<(), Error> {
    let output = client.output;
    if overview.findings.is_empty() {
        output.line(&output.paint(Style::Good, "all is well"))?;
    }
    for finding in &overview.findings {
        output.line(&format!("{} {finding}", output.paint(Style::Bad, "!")))?;
    }
    output.line("")?;
    output.table(&services(overview), "no services")?;
    output.line("")?;
    let line = |label: &str, text: String| {
        output.line(&format!("{} {text}", output.paint(Style::Dim, &format!("{label:<13}"))))
    };
    let phases: Vec<_> = overview
        .phases
        .iter()
        .filter(|count| count.count > 0)
        .map(|count| format!("{} {}", count.count, workflow_view::phase_word(count.phase())))
        .collect();
    let phases = if phases.is_empty() { "none open".into() } else { phases.join(", ") };
    line("workflows", phases)?;
    line("since start", since_start(overview))?;
    let Overview { tasks_queued, tasks_running, tasks_retrying, .. } = overview;
    line(
        "tasks",
        format!("{tasks_running} running, {tasks_queued} queued, {tasks_retrying} retrying"),
    )?;
    line("workers", format!("{} alive, room for {}", overview.workers_alive, overview.capacity))?;
    line("dead letters", format!("{} open", overview.dead_letters_open))?;
    line("healings", healings(overview))?;
    overview.objective.as_ref().map_or(Ok(()), |it| line("objective", objective(it)))
}

/// What was promised, how it stands, what is left.
fn objective(objective: &Objective) -> String {
    let ended = objective.completed + objective.faulted;
    let days = objective.window.as_ref().map_or(0, |window| window.seconds / 86_400);
    let promised = format!("{} % complete over {days} days", percent(objective.objective));
    if ended == 0 {
        return promised;
    }
    let budget = match percent(objective.budget_left) {
        left if left < 0.0 => "the error budget is overdrawn".into(),
        left => format!("{left:.0} % of the error budget are left"),
    };
    format!("{promised}; {} % of {ended} did, {budget}", percent(objective.success_ratio))
}

/// Without the noise of binary fractions.
fn percent(part: f64) -> f64 {
    (part * 100_000.0).round() / 1_000.0
}

fn since_start(overview: &Overview) -> String {
    format!(
        "{} started, {} completed, {} faulted, {:.1} per second",
        overview.workflows_started,
        overview.workflows_completed,
        overview.workflows_faulted,
        overview.workflows_per_second
    )
}

fn healings(overview: &Overview) -> String {
    let Overview { healings_open, healings_recent, .. } = overview;
    let mut text = format!("{healings_open} under way, {healings_recent} in the last hour");
    if let (Some(p50), Some(p99)) = (&overview.healed_after_p50, &overview.healed_after_p99) {
        let (p50, p99) = (time::duration(Some(p50)), time::duration(Some(p99)));
        text.push_str(&format!("; healed after {p50} (p50), {p99} (p99)"));
    }
    text
}

fn services(overview: &Overview) -> Table {
    let mut table = Table::new(&["SERVICE", "ADDRESS", "STATE", "SINCE", "DETAIL"]);
    for service in &overview.services {
        if service.replicas.is_empty() {
            let nowhere = [cell(Style::Dim, "-"), cell(Style::Bad, "unknown")];
            table.row([service.name.as_str().into()].into_iter().chain(nowhere));
        }
        for replica in &service.replicas {
            let Replica { address, serving, detail, since } = replica;
            let state = match serving {
                true => cell(Style::Good, "serving"),
                false => cell(Style::Bad, "not serving"),
            };
            table.row([
                service.name.as_str().into(),
                address.as_str().into(),
                state,
                time::relative(since.as_ref()).into(),
                cell(Style::Dim, detail.as_str()),
            ]);
        }
    }
    table
}
