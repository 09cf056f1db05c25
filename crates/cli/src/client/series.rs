//! `series`: what was counted over time.

use planaria_proto::monitoring::v1::series::Point;
use planaria_proto::monitoring::v1::{GetSeriesRequest, Metric, Series};
use prost_types::Duration;

use super::{Client, call};
use crate::Error;
use crate::output::style::Style;
use crate::output::table::{Table, cell};

/// Letters of the longest bar.
const BAR_MAX: f64 = 40.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Such as workflows-completed, success-ratio, tasks-queued or workflow-latency-p99
    #[arg(required = true, value_parser = metric)]
    metrics: Vec<Metric>,
    /// So many minutes back
    #[arg(long, default_value_t = 30, value_name = "MINUTES")]
    window: u32,
    /// Minutes that are one point
    #[arg(long, default_value_t = 1, value_name = "MINUTES")]
    step: u32,
    /// Only of this namespace
    #[arg(long, default_value = "")]
    namespace: String,
}

fn metric(text: &str) -> Result<Metric, String> {
    let name = format!("METRIC_{}", text.to_uppercase().replace('-', "_"));
    let known = Metric::from_str_name(&name).filter(|metric| *metric != Metric::Unspecified);
    known.ok_or_else(|| {
        let all = (1..).map_while(|number| Metric::try_from(number).ok()).map(word);
        format!("one of {}", all.collect::<Vec<_>>().join(", "))
    })
}

fn word(metric: Metric) -> String {
    metric.as_str_name().trim_start_matches("METRIC_").to_lowercase().replace('_', "-")
}

pub(crate) async fn execute(client: &Client, arguments: Arguments) -> Result<(), Error> {
    let minutes = |count: u32| Some(Duration { seconds: i64::from(count) * 60, nanos: 0 });
    let request = GetSeriesRequest {
        metrics: arguments.metrics.iter().map(|metric| (*metric).into()).collect(),
        window: minutes(arguments.window),
        step: minutes(arguments.step),
        namespace: arguments.namespace,
        ..GetSeriesRequest::default()
    };
    let response = client.monitoring().get_series(call(request)).await;
    let response = response.map_err(|status| client.refused("cannot tell", status))?;
    let series = response.into_inner().series;
    if client.output.is_json() {
        return client.show_list(&series, "", |_| Table::new(&[]));
    }
    for series in &series {
        let name = client.output.paint(Style::Strong, &word(series.metric()));
        client.output.line(&name)?;
        client.output.table(&bars(series), "nothing is known of this time")?;
    }
    Ok(())
}

fn bars(series: &Series) -> Table {
    let highest = series.points.iter().map(|point| point.value).fold(0.0, f64::max);
    let mut table = Table::new(&["AT", ">VALUE", ""]);
    for Point { at, value } in &series.points {
        let part = if highest > 0.0 { value / highest } else { 0.0 };
        // Between 0 and the length of a bar.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
        let length = (part * BAR_MAX).round() as usize;
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        let value = (value * 1_000.0).round() / 1_000.0;
        table.row([at.into(), value.to_string().into(), cell(Style::Dim, "#".repeat(length))]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_words() {
        assert_eq!(metric("tasks-queued"), Ok(Metric::TasksQueued));
        assert_eq!(metric("workflow_latency_p99"), Ok(Metric::WorkflowLatencyP99));
        let refusal = metric("nonsense").unwrap_err();
        assert!(refusal.starts_with("one of workflows-started, "), "{refusal}");
        assert!(metric("unspecified").is_err());
    }
}
