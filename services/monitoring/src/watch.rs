//! Streams to those who watch. Each ends when its reader goes or the service stops.

use std::time::Duration;

use planaria_proto::monitoring::v1::{Overview, WatchHealingsResponse, WatchOverviewResponse};
use planaria_runtime::identity::Identity;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::healings::Watch;
use crate::overview::Overviews;

/// Sends the overview at once, then whenever it changed.
pub(crate) async fn overview(
    overviews: Overviews,
    every: Duration,
    readers: mpsc::Sender<Result<WatchOverviewResponse, Status>>,
    stop: CancellationToken,
) {
    let age_max = every.min(Duration::from_millis(overviews.config.statistics_age_ms_max));
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Overview> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = readers.closed() => return,
            _ = ticks.tick() => {}
        }
        let overview = overviews.now(age_max).await;
        // The time alone is no news.
        if last
            .as_ref()
            .is_some_and(|last| Overview { at: overview.at, ..last.clone() } == overview)
        {
            continue;
        }
        let response = WatchOverviewResponse { overview: Some(overview.clone()) };
        if readers.send(Ok(response)).await.is_err() {
            return;
        }
        last = Some(overview);
    }
}

/// Sends healings that the caller sees as they change. A reader that is slow gets them later.
pub(crate) async fn healings(
    mut watch: Watch,
    caller: Identity,
    readers: mpsc::Sender<Result<WatchHealingsResponse, Status>>,
    stop: CancellationToken,
) {
    loop {
        let mut healings = tokio::select! {
            () = stop.cancelled() => return,
            () = readers.closed() => return,
            healings = watch.next() => healings,
        };
        healings.retain(|healing| caller.sees(&healing.namespace));
        if healings.is_empty() {
            continue;
        }
        if readers.send(Ok(WatchHealingsResponse { healings })).await.is_err() {
            return;
        }
    }
}
