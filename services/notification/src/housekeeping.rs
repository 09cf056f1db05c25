//! Clears away old deliveries in small batches, and stops webhooks whose queue is too long.

use std::sync::Arc;
use std::time::Duration;

use planaria_runtime::clock;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::WebhookConfig;
use crate::store::{Retained, WebhookStore};

/// Between two batches.
const PAUSE: Duration = Duration::from_millis(50);
/// Webhooks that are looked at in one go.
const PAGE: u32 = 100;

/// Several replicas may do so at once: what is gone is gone.
pub(crate) async fn run(
    store: Arc<dyn WebhookStore>,
    config: Arc<WebhookConfig>,
    stop: CancellationToken,
) {
    let keeping = async {
        loop {
            if let Err(error) = keep(&*store, &config).await {
                planaria_store::tell("cannot clear", &error);
            }
            sleep(Duration::from_millis(config.housekeeping_ms.max(1))).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keeping => {}
    }
}

async fn keep(store: &dyn WebhookStore, config: &WebhookConfig) -> Result<(), sqlx::Error> {
    let age_ms = config.delivery_age_hours_max.saturating_mul(3_600_000);
    let retained = Retained {
        from_ms: clock::now_ms().saturating_sub(age_ms),
        settled_max: config.settled_max,
        batch_max: config.clear_batch_max.max(1),
    };
    while store.clear(&retained).await? > 0 {
        sleep(PAUSE).await;
    }
    stop_overfull(store, config).await
}

async fn stop_overfull(
    store: &dyn WebhookStore,
    config: &WebhookConfig,
) -> Result<(), sqlx::Error> {
    let mut after = String::new();
    loop {
        let webhooks = store.webhooks("", &after, PAGE).await?;
        let Some(last) = webhooks.last() else { return Ok(()) };
        after.clone_from(&last.id);
        for webhook in webhooks.iter().filter(|webhook| webhook.enabled) {
            let pending = store.pending(&webhook.id).await?;
            if pending > config.pending_max {
                let because = format!("{pending} deliveries waited, {} may", config.pending_max);
                store.disable(&webhook.id, &because).await?;
                tracing::warn!(webhook = webhook.id, because, "a webhook was disabled");
            }
        }
    }
}
