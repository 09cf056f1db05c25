//! Clears the store of what is old, in small batches, so that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use planaria_runtime::clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::RetentionConfig;
use crate::store::{MonitoringStore, Retained};

/// Between two batches.
const PAUSE: Duration = Duration::from_millis(50);

/// Clears now and then. Several replicas may do so at once: what is gone is gone.
pub(crate) async fn run(
    store: Arc<dyn MonitoringStore>,
    config: RetentionConfig,
    stop: CancellationToken,
) {
    let clearing = async {
        loop {
            if let Err(error) = clear(&*store, &config).await {
                planaria_store::tell("cannot clear", &error);
            }
            sleep(Duration::from_millis(config.interval_ms.max(1))).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = clearing => {}
    }
}

async fn clear(store: &dyn MonitoringStore, config: &RetentionConfig) -> Result<(), sqlx::Error> {
    let retained = retained(config, clock::now_ms());
    while store.clear(&retained).await? > 0 {
        sleep(PAUSE).await;
    }
    Ok(())
}

fn retained(config: &RetentionConfig, now_ms: u64) -> Retained {
    let hours_ms = |hours: u64| hours.saturating_mul(3_600_000);
    let since_s = |age_ms: u64| now_ms.saturating_sub(age_ms) / 1_000;
    Retained {
        healings_from_ms: now_ms.saturating_sub(hours_ms(config.age_hours_max)),
        healings_max: config.healings_max,
        minutes_from_s: since_s(hours_ms(config.minutes_hours_max)),
        hours_from_s: since_s(hours_ms(config.hours_days_max.saturating_mul(24))),
        batch_max: config.batch_max.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_go_before_hours() {
        let now_ms = 1_700_000_000_000;
        let retained = retained(&RetentionConfig::default(), now_ms);
        assert_eq!(retained.minutes_from_s, now_ms / 1_000 - 7 * 86_400);
        assert_eq!(retained.hours_from_s, now_ms / 1_000 - 400 * 86_400);
        assert_eq!(retained.healings_from_ms, now_ms - 30 * 86_400_000);
    }
}
