//! Follows the log's healings into the store, and clears the store of old ones.

use std::time::Duration;

use planaria_log_tail::{LogTail, Start};
use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::types::v1::Healing;
use planaria_runtime::{Readiness, clock};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::RetentionConfig;
use crate::gauges::Gauges;
use crate::healings::Healings;

/// After a failed write: the disk may be full for a moment.
const STORE_PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Follower {
    pub(crate) healings: Healings,
    pub(crate) tail: LogTail,
    pub(crate) save_after: Duration,
    pub(crate) retention: RetentionConfig,
    pub(crate) gauges: Gauges,
    /// Whether what is read can be stored.
    pub(crate) readiness: Readiness,
}

impl Follower {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let healings = self.healings.clone();
        let retention = self.retention.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = clear(healings, retention) => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        // The place that was seen and not saved, and when it must be.
        let mut unsaved: Option<(LogPosition, Instant)> = None;
        loop {
            let read = match unsaved {
                Some((position, deadline)) => {
                    let Ok(read) = timeout_at(deadline, self.tail.next()).await else {
                        self.record(&[], position).await;
                        unsaved = None;
                        continue;
                    };
                    read
                }
                None => self.tail.next().await,
            };
            let batch = match read {
                Ok(batch) => batch,
                Err(trimmed) => {
                    tracing::warn!(detail = trimmed.detail, "healings were missed: log trimmed");
                    self.gauges.log_gaps.inc();
                    self.tail.restart(Start::Oldest);
                    continue;
                }
            };
            let healings = Healings::of(batch.records);
            let deadline = unsaved.map_or_else(|| Instant::now() + self.save_after, |(_, at)| at);
            if healings.is_empty() && Instant::now() < deadline {
                unsaved = Some((batch.position, deadline));
            } else {
                self.record(&healings, batch.position).await;
                unsaved = None;
            }
        }
    }

    /// Until it is stored: nothing that was read may be passed over.
    async fn record(&self, healings: &[Healing], position: LogPosition) {
        while let Err(error) = self.healings.record(healings, position).await {
            self.readiness.set(false);
            tracing::error!(error = &error as &dyn std::error::Error, "cannot record");
            sleep(STORE_PAUSE).await;
        }
        self.readiness.set(true);
    }
}

async fn clear(healings: Healings, retention: RetentionConfig) {
    loop {
        let age_ms = retention.age_hours_max.saturating_mul(3_600_000);
        let before_ms = clock::now_ms().saturating_sub(age_ms);
        if let Err(error) = healings.clear(retention.healings_max, before_ms).await {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot clear");
        }
        sleep(Duration::from_millis(retention.interval_ms.max(1))).await;
    }
}
